"""Data sets whose fields do not describe one: folders, lists and names of classes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS

from ..config import walk
from .contradiction import Contradiction, type_name


def check_data(config: Config, loaders: tuple[str, ...]) -> Iterator[Contradiction]:
    """Find data sets of a segmentation that have no images, or classes that their type does not have.

    Args:
        config: The config.
        loaders: The keys of the loaders to look at.
    """
    for loader in loaders:
        for key, node in walk((config.get(loader) or {}).get("dataset"), f"{loader}.dataset"):
            known = DATASETS.get(type_name(node)) if node.get("type") else None
            if known is not None and hasattr(known, "METAINFO"):
                yield from _check_fields(key, node)
                yield from _check_classes(key, node, known.METAINFO.get("classes"))


def _check_fields(key: str, node: dict[str, Any]) -> Iterator[Contradiction]:
    prefix = node.get("data_prefix", {"img_path": ""})
    if not isinstance(prefix, Mapping) or "img_path" not in prefix:
        yield Contradiction(
            f"{key}.data_prefix",
            f"= {prefix!r}: expected a dict with img_path, the folder of the images.",
            "Write data_prefix=dict(img_path='images/train', seg_map_path='annotations/train').",
        )
    listed, root = node.get("ann_file"), Path(node.get("data_root") or "")
    if isinstance(listed, str) and listed and root.is_dir() and not (root / listed).is_file():
        yield Contradiction(
            f"{key}.ann_file",
            f"= {listed!r} under data_root = {node.get('data_root')!r} is no file; it lists the names of the images.",
            "Put it there, or leave ann_file out for all images of the folder.",
        )
    if "pipeline" in node and not node["pipeline"]:
        yield Contradiction(
            f"{key}.pipeline", "is empty: nothing would read the images.", "Begin with LoadImageFromFile."
        )


def _check_classes(key: str, node: dict[str, Any], known: Any) -> Iterator[Contradiction]:
    metainfo = node.get("metainfo") or {}
    given = metainfo.get("classes") if isinstance(metainfo, Mapping) else None
    if isinstance(given, str) and not Path(given).is_file():
        yield Contradiction(
            f"{key}.metainfo", f"has classes = {given!r}, which is no file.", "Give the names of the classes as a list."
        )
    elif known and isinstance(given, (list, tuple)) and (strange := [name for name in given if name not in known]):
        yield Contradiction(
            f"{key}.metainfo",
            f"names the class {strange[0]!r}, but the classes of {type_name(node)} are its own, {len(known)} of them.",
            "Leave metainfo out; for classes of your own take type='FolderDataset'.",
        )
