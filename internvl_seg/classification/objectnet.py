"""Which classes of ImageNet a folder of ObjectNet shows, by the files that come with it."""

import json
from typing import Any

from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from ..data.image_tree import ImageTree
from .layout import LayoutError

_MAPPINGS = "mappings/"


@TRANSFORMS.register_module()
class RemoveBorder(BaseTransform):
    """Cut a border off; ObjectNet's images have a red one so that nobody trains on them unawares.

    Threads may share it.

    Args:
        width: Of the border, in pixels; 2 in ObjectNet's own evaluation.
    """

    def __init__(self, width: int = 2) -> None:
        self.width = width

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut it off ``img``, (H, W, 3)."""
        width = self.width
        results["img"] = results["img"][width:-width, width:-width]
        results["img_shape"] = results["img"].shape[:2]
        return results


def read_mapping(tree: ImageTree) -> tuple[set[str], dict[str, list[int]]]:
    """The class folders of ObjectNet.

    Args:
        tree: ObjectNet, with the folder ``mappings``.

    Returns:
        Every folder, and the classes of ImageNet that those folders show that show any.

    Raises:
        LayoutError: A file is missing, or does not say what ObjectNet's say.
    """
    titles = _read_json(tree, "folder_to_objectnet_label.json")
    names_of = _read_json(tree, "objectnet_to_imagenet_1k.json")
    lines = _read_json(tree, "pytorch_to_imagenet_2012_id.json")
    text = _read(tree, "imagenet_to_label_2012_v2")
    line_of = {name.strip(): number for number, name in enumerate(text.splitlines())}
    output_of = {line: output for output, line in lines.items()}
    found: dict[str, list[int]] = {}
    for folder, title in titles.items():
        for name in str(names_of[title]).split("; ") if title in names_of else ():
            if name not in line_of:
                raise LayoutError(
                    f"{tree.where}/{_MAPPINGS}objectnet_to_imagenet_1k.json: {title!r} is {name!r}, which is no line "
                    "of imagenet_to_label_2012_v2. Unpack ObjectNet's mappings again."
                )
            output = output_of.get(line_of[name], "")
            if not output.isdecimal() or int(output) >= 1000:
                raise LayoutError(
                    f"{tree.where}/{_MAPPINGS}pytorch_to_imagenet_2012_id.json: the output of line {line_of[name]} is "
                    f"{output!r}, expected a label from 0 to 999. Unpack ObjectNet's mappings again."
                )
            found.setdefault(folder, []).append(int(output))
    return set(titles), found


def _read(tree: ImageTree, name: str) -> str:
    text = tree.text(_MAPPINGS + name)
    if text is None:
        raise LayoutError(f"{tree.where}/{_MAPPINGS}{name} is missing. It comes with ObjectNet, in mappings.")
    return text


def _read_json(tree: ImageTree, name: str) -> dict[str, Any]:
    text = _read(tree, name)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise LayoutError(f"{tree.where}/{_MAPPINGS}{name} is no JSON: {error}. Unpack ObjectNet's again.") from error
    if not isinstance(content, dict):
        raise LayoutError(
            f"{tree.where}/{_MAPPINGS}{name} holds a {type(content).__name__}, expected an object of names. Unpack "
            "ObjectNet's again."
        )
    return content
