"""The loading steps of a data set's pipeline, as the config names them: what they decode is what training sees."""

import hashlib
import inspect
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import PIL
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray
from PIL import Image

# Ids of more than 16 bits are not looked up.
IDS = 2**16
_PARTS = ("header.py", "loading.py", "facts.py")


def nested(pipeline: Any) -> Iterator[dict[str, Any]]:
    """Transforms of a pipeline, also those inside others."""
    for item in pipeline:
        if isinstance(item, dict):
            yield item
            yield from nested(item.get("transforms", []))
        elif isinstance(item, (list, tuple)):
            yield from nested(item)


def class_of(step: dict[str, Any]) -> Any:
    """The class that a step of a pipeline is an object of; None if its name is not known."""
    kind = step.get("type")
    if not isinstance(kind, str):
        return kind
    with TRANSFORMS.switch_scope_and_registry(None) as registry:  # MMPretrain's, for its data sets.
        return registry.get(kind)


def _reads_masks(step: dict[str, Any]) -> bool:
    kind = class_of(step)
    return inspect.isclass(kind) and (issubclass(kind, LoadAnnotations) or "Annotation" in kind.__name__)


def _reads_images(step: dict[str, Any]) -> bool:
    kind = class_of(step)
    named = inspect.isclass(kind) and (issubclass(kind, LoadImageFromFile) or kind.__name__.startswith("Load"))
    return named and not _reads_masks(step)


class Loader:
    """The steps of a pipeline that read an image, and those that read its mask, each for itself.

    Threads may share it.

    Args:
        pipeline: Config of the transforms; without a loading step MMSegmentation's are taken.
    """

    def __init__(self, pipeline: list[dict[str, Any]]) -> None:
        steps = list(nested(pipeline))
        last = max((i for i, step in enumerate(steps) if _reads_images(step)), default=-1)
        before = [step for step in steps[: last + 1] if not _reads_masks(step) and "transforms" not in step]
        self._image_steps = before or [{"type": "LoadImageFromFile"}]
        self._mask_steps = [step for step in steps if _reads_masks(step)][:1] or [{"type": "LoadAnnotations"}]
        self._images = [TRANSFORMS.build(dict(step)) for step in self._image_steps]
        # What is stored is asked for, and a step with a word of its own on zeros would not give it.
        as_stored = [{k: v for k, v in step.items() if k != "reduce_zero_label"} for step in self._mask_steps]
        self._masks = [TRANSFORMS.build(step) for step in as_stored]
        self.image_key = self._key(self._image_steps)
        self.mask_key = self._key(self._mask_steps)

    def reduces_zero(self, otherwise: bool) -> bool:
        """Whether 0 is no class, as the step says that reads masks, or as is said otherwise."""
        said = (step.get("reduce_zero_label") for step in self._mask_steps)
        return bool(next((value for value in said if value is not None), otherwise))

    @property
    def masks_by_pillow(self) -> bool:
        """Whether Pillow decodes the masks, which tells of files that are cut off."""
        return all(getattr(step, "imdecode_backend", "") == "pillow" for step in self._masks)

    def image(self, info: dict[str, Any]) -> NDArray[Any]:
        """The decoded image of a sample, (H, W) or (H, W, bands)."""
        results: Any = {**info, "seg_fields": []}
        for step in self._images:
            results = step(results)
        if results is None:
            raise ValueError("a loading step leaves it out")
        return np.asarray(results["img"])

    def stored_ids(self, info: dict[str, Any]) -> NDArray[Any]:
        """The mask of a sample before classes are renumbered: (H, W), or with a third axis if it holds no ids."""
        return self._read_mask(self._masks, {**info, "reduce_zero_label": False, "label_map": None})

    def new_ids(self, info: dict[str, Any]) -> NDArray[np.int64]:
        """What becomes of every stored id: (65536,), found by letting the steps read a mask of all ids."""
        table = np.arange(IDS)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "ids.png")
            Image.fromarray(np.arange(IDS, dtype=np.uint16).reshape(256, 256)).save(path)
            info = {**info, "seg_map_path": str(path)}
            # Their own: a step keeps what it was first told of zeros.
            steps = [TRANSFORMS.build(dict(step)) for step in self._mask_steps]
            try:
                stored = self.stored_ids(info).astype(np.int64).ravel()
                table[stored % IDS] = self._read_mask(steps, info).astype(np.int64).ravel()
            except Exception:  # Of one's own, which may read no such mask.
                return np.arange(IDS)
        return table

    @staticmethod
    def _read_mask(steps: list[Any], info: dict[str, Any]) -> NDArray[Any]:
        results: Any = {**info, "seg_fields": []}
        for step in steps:
            results = step(results)
        return np.asarray(results["gt_seg_map"])

    @staticmethod
    def _key(steps: list[dict[str, Any]]) -> str:
        """Hash of the steps, of their code and of the libraries below."""
        said = [json.dumps(step, sort_keys=True, default=str) for step in steps]
        said += [PIL.__version__, cv2.__version__, mmcv.__version__]
        digest = hashlib.blake2b(repr(said).encode(), digest_size=16)
        sources = {Path(inspect.getsourcefile(class_of(step)) or __file__) for step in steps}
        # What this package's steps call is in the folder above.
        sources |= {*Path(__file__).parents[1].glob("*.py"), *(Path(__file__).with_name(name) for name in _PARTS)}
        for file in sorted(sources):
            digest.update(file.read_bytes())
        return digest.hexdigest()
