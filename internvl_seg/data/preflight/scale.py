"""How large a pipeline makes an image before it cuts a crop out of it: the resizing steps themselves say it."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmseg.registry import TRANSFORMS

Size = tuple[int, int]

_RESIZING = ("Resize", "RandomResize", "RandomChoiceResize", "ResizeShortestEdge", "ResizeToMultiple")
_CROPS = ("RandomCrop", "CenterCrop")
# These give another size, too, but do not scale what is seen; or do so in ways of their own.
_OTHERS = ("Pad", "Albu")
# Of all ways that a pipeline may go, so many are tried.
_MOST_WAYS = 64


def _name(step: dict[str, Any]) -> str:
    kind = step.get("type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, (list, tuple)) for v in value)


def _ways(step: dict[str, Any], typical: bool) -> Iterator[list[dict[str, Any]]]:
    """The outermost ways that a step may go, or the one in the middle of them: steps in which nothing is random."""
    name, step = _name(step), dict(step)
    inner = step.get("transforms") or []
    if name == "RandomApply":
        prob = step.get("prob", 0.5)
        if prob < 1 and not (typical and prob >= 0.5):
            yield []
        if prob > 0 and not (typical and prob < 0.5):
            yield from _paths(inner if isinstance(inner, list) else [inner], typical)
    elif name == "RandomChoice":
        for branch in inner:
            yield from _paths(branch if isinstance(branch, list) else [branch], typical)
    elif name == "RandomResize" and _is_pair(step.get("scale")):
        ends = list(zip(*step["scale"], strict=True))
        middle = tuple(round(sum(end) / 2) for end in ends)
        for scale in [middle] if typical else [tuple(map(min, ends)), tuple(map(max, ends))]:
            yield [step | {"scale": scale, "ratio_range": (1.0, 1.0)}]
    elif name == "RandomResize" and step.get("ratio_range"):
        low, high = step["ratio_range"]
        for ratio in [math.sqrt(low * high)] if typical else [low, high]:
            yield [step | {"ratio_range": (ratio, ratio)}]
    elif name == "RandomChoiceResize" and isinstance(step.get("scales"), list):
        scales = sorted(step["scales"], key=lambda scale: np.prod(scale))
        for scale in [scales[len(scales) // 2]] if typical else scales:
            yield [step | {"scales": [scale]}]
    else:
        yield [step] if name in (*_RESIZING, *_CROPS, *_OTHERS) else []


def _paths(steps: list[dict[str, Any]], typical: bool) -> Iterator[list[dict[str, Any]]]:
    """The ways that a row of steps may go."""
    ways = (list(_ways(step, typical)) for step in steps)
    for path in itertools.islice(itertools.product(*ways), _MOST_WAYS):
        yield [step for way in path for step in way]


def _crop_of(step: dict[str, Any]) -> Size:
    crop = step["crop_size"]
    sides = (crop[0], crop[1]) if isinstance(crop, (list, tuple)) else (crop, crop)
    return sides[::-1] if _name(step) == "CenterCrop" else sides


def _build(step: dict[str, Any]) -> Any:
    # What is in a crop says nothing of its size.
    try:
        built = TRANSFORMS.build({key: value for key, value in step.items() if key != "cat_max_ratio"})
    except Exception:  # As of a package that is not there; the training says so.
        return None
    inside: Any = built
    while inside is not None:  # Sizes do not depend on it, time does.
        if hasattr(inside, "interpolation"):
            inside.interpolation = "nearest"
        inside = getattr(inside, "resize", None)
    return built


def _built(steps: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(_name(step), built) for step in steps if (built := _build(step)) is not None]


class Scaling:
    """What the resizing steps of a pipeline make of the sizes of images.

    Threads may not share it.

    Args:
        pipeline: Config of the transforms.

    Attributes:
        crop: (height, width) of the first crop; None if nothing is cropped.
    """

    def __init__(self, pipeline: list[dict[str, Any]]) -> None:
        place = next((i for i, step in enumerate(pipeline) if _name(step) in _CROPS), len(pipeline))
        self.crop: Size | None = _crop_of(pipeline[place]) if place < len(pipeline) else None
        self._before = [
            _built([step for step in path if _name(step) not in _CROPS]) for path in _paths(pipeline[:place], False)
        ]
        self._whole = [_built(path) for path in _paths(pipeline, True)]
        # Up to the first crop on every way, which may be inside another step.
        self._to_crops: list[tuple[list[tuple[str, Any]], Size]] = []
        for path in _paths(pipeline[: place + 1], False):
            end = next((i for i, step in enumerate(path) if _name(step) in _CROPS), None)
            if end is not None:
                self._to_crops.append((_built(path[:end]), _crop_of(path[end])))
        self._known: dict[tuple[Size, bool], list[Size]] = {}
        self._fitting: dict[Size, tuple[Size, Size] | None] = {}

    def reachable(self, size: Size) -> list[Size]:
        """The outermost sizes, (height, width), that an image may get before it is cropped.

        Args:
            size: (height, width) of the image.
        """
        return self._sizes(size, False)

    def typical(self, size: Size) -> list[Size]:
        """The sizes that it gets in the middle of all that is random, if nothing is cut off or padded."""
        return self._sizes(size, True)

    def nearest_crop(self, size: Size) -> tuple[Size, Size] | None:
        """The size before the first crop, and that crop, on the way on which most of the crop is filled.

        Args:
            size: (height, width) of the image.

        Returns:
            Both as (height, width); None if nothing is cropped.
        """
        if size not in self._fitting:
            state = np.random.get_state()
            ways = [(_through(steps, size)[0], crop) for steps, crop in self._to_crops]
            np.random.set_state(state)
            self._fitting[size] = max(ways, key=lambda way: min(a / b for a, b in zip(*way, strict=True)), default=None)
        return self._fitting[size]

    def _sizes(self, size: Size, typical: bool) -> list[Size]:
        if (size, typical) not in self._known:
            state = np.random.get_state()  # A training is not to see what is drawn here.
            paths = self._whole if typical else self._before
            found = {_through(path, size)[typical] for path in paths}
            np.random.set_state(state)
            self._known[size, typical] = sorted(found)
        return self._known[size, typical]


def _through(steps: list[tuple[str, Any]], size: Size) -> tuple[Size, Size]:
    """The size after some steps, and the one that the whole image would have at the scale that it has then."""
    results: Any = {"img": np.zeros(size, np.uint8), "img_shape": size, "ori_shape": size, "seg_fields": []}
    scale = np.ones(2)
    before = size
    for name, step in steps:
        results = step(results)
        now = results["img"].shape[:2]
        if name in _RESIZING:
            scale *= np.divide(now, before)
        before = now
    height, width = (max(1, round(side * factor)) for side, factor in zip(size, scale, strict=True))
    return before, (height, width)
