"""Pipelines: fields of their steps, steps that are missing, and crops that are no whole patches."""

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

from mmengine.config import Config

from ..config import walk
from .contradiction import Contradiction, found_value, option, type_name
from .fields import Kind, whole
from .sizes import patch_size
from .steps import Chain, Step, chains

# They leave the size of an image as it is.
_SAME_SIZE = (
    *("LoadImageFromFile", "LoadAnnotations", "PackSegInputs", "RandomFlip", "PhotoMetricDistortion", "Normalize"),
    *("CLAHE", "AdjustGamma", "Rerange", "RGB2Gray", "RandomCutOut", "GenerateEdge", "RandomGrayscale"),
)
# They change where in the image something is, which has to be done to the mask, too.
_MOVING = ("RandomFlip", "RandomCrop", "RandomRotate", "RandomRotFlip", "CenterCrop", "RandomMosaic")
_OF_IMAGES = ("InferencerLoader", "LoadBiomedicalData")
_OURS = ("IoUMetric", "SegmentationMetric")
_is_whole = whole(1).accepts


def _is_positive(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) > 0


def _is_pair(value: Any, of: Callable[[Any], bool], kinds: Any = tuple) -> bool:
    return isinstance(value, kinds) and len(value) == 2 and all(map(of, value))


def _is_range(value: Any) -> bool:
    return _is_pair(value, _is_positive, (list, tuple)) and value[0] <= value[1] < math.inf


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


_PAIR = "two whole numbers above 0 in round brackets"
_CROP = Kind(
    f"a whole number above 0, or {_PAIR}, height and width",
    lambda value: _is_whole(value) or _is_pair(value, _is_whole),
    (504, 504),
)
_SCALE = Kind(
    "a whole number above 0, or two of them, width and height",
    lambda value: value is None or _is_whole(value) or _is_pair(value, _is_whole, (list, tuple)),
    (504, 504),
)
_KEEPING_RATIO = Kind(
    f"a whole number above 0, or {_PAIR}, the longest and the shortest side",
    lambda value: (
        value is None
        or _is_whole(value)
        or (_is_pair(value, _is_positive) and math.isfinite(min(value)) and min(value) >= 1)
    ),
    (2016, 504),
)
_FACTOR = Kind(
    "a number above 0 with a decimal point, or two numbers in round brackets, of width and height",
    lambda value: (
        value is None
        or (isinstance(value, float) and 0 < value < math.inf)
        or (_is_pair(value, _is_positive) and max(value) < math.inf)
    ),
    1.0,
)
_BASE = Kind(
    f"{_PAIR}, width and height, or a list of such",
    lambda value: (
        _is_pair(value, _is_whole)
        or (isinstance(value, (list, tuple)) and bool(value) and all(_is_pair(item, _is_whole) for item in value))
    ),
    (2016, 504),
)
_RATIOS = Kind("two numbers above 0, the smaller first", lambda value: value is None or _is_range(value), (0.5, 2.0))
_SHORTEST = Kind(
    "a whole number above 0, or two of them",
    lambda value: _is_whole(value) or _is_pair(value, _is_whole, (list, tuple)),
    504,
)
_FLIP = Kind(
    "a number from 0.0 to 1.0 with a decimal point, or a list of such, one for each direction",
    lambda value: (
        value is None or _is_share(value) or (isinstance(value, (list, tuple)) and all(map(_is_share, value)))
    ),
    0.5,
)
_PROBABILITY = Kind("a number from 0 to 1", lambda value: _is_share(value) or value in (0, 1), 0.5)
_LARGEST_SHARE = Kind("a number above 0, up to 1", lambda value: _is_positive(value) and value <= 1, 0.75)
# What fields of steps may hold; those that are not here are compared with annotations alone.
STEPS: dict[str, dict[str, Kind]] = {
    "Resize": {"scale": _SCALE, "scale_factor": _FACTOR},
    "RandomResize": {"scale": _BASE, "ratio_range": _RATIOS},
    "ResizeShortestEdge": {"scale": _SHORTEST, "max_size": Kind("a number above 0", _is_positive, 2016)},
    "ResizeToMultiple": {"size_divisor": Kind("a whole number above 0", _is_whole, 14)},
    "RandomCrop": {"crop_size": _CROP, "cat_max_ratio": _LARGEST_SHARE},
    "CenterCrop": {"crop_size": _CROP},
    "RandomFlip": {"prob": _FLIP},
    "RandomRotate": {"prob": _PROBABILITY},
    "PhotoMetricDistortion": {"contrast_range": _RATIOS, "saturation_range": _RATIOS},
}


def check_pipelines(config: Config, loaders: tuple[str, ...]) -> Iterator[Contradiction]:
    """Find steps whose fields fail or mean nothing, steps that are missing, and crops that are no whole patches.

    Args:
        config: The config of a segmentor.
        loaders: The keys of the loaders to look at.
    """
    for loader in loaders:
        found = list(_check_fields(config, loader))
        yield from found
        for chain in chains(config, loader) if not found else ():
            yield from _check_missing(config, loader, chain)
            if loader == "train_dataloader":
                yield from _check_moving(chain)
                yield from _check_patches(config, chain)


def _check_fields(config: Config, loader: str) -> Iterator[Contradiction]:
    for key, node in walk((config.get(loader) or {}).get("dataset"), f"{loader}.dataset"):
        if not node.get("type") or "pipeline" not in key or not Step(key, node).is_known:
            continue
        for name, kind in STEPS.get(type_name(node), {}).items():
            if name == "scale" and type_name(node) == "Resize" and node.get("keep_ratio"):
                kind = _KEEPING_RATIO
            if name not in node or kind.accepts(node[name]):
                continue
            value = node[name]
            yield Contradiction(
                f"{key}.{name}",
                f"{found_value(value)}: expected {kind.words}.",
                f"{_set(f'{key}.{name}', _mended(value, kind))}.",
            )
        yield from _check_smallest(key, node)


def _check_smallest(key: str, node: dict[str, Any]) -> Iterator[Contradiction]:
    """Find a random scale whose smallest is no image any more."""
    scale: Any = node.get("scale")
    ratios: Any = node.get("ratio_range")
    if type_name(node) != "RandomResize" or not _is_pair(scale, _is_whole) or not _is_range(ratios):
        return
    if min(scale) * ratios[0] < 1:
        yield Contradiction(
            f"{key}.ratio_range",
            f"= {ratios} of scale = {scale}: the smallest has no pixel.",
            f"{_set(f'{key}.ratio_range', _RATIOS.example)}.",
        )


def _set(key: str, value: Any) -> str:
    """The option for a value; round brackets are quoted, since a shell reads them."""
    shown = f"'({','.join(map(str, value))})'" if isinstance(value, tuple) else value
    return f"Set {option(key, shown)}, for example"


def _mended(value: Any, kind: Kind) -> Any:
    """What was meant by a value, or else an example."""
    tries: list[Any] = []
    for read in (int, float):
        try:
            tries.append(read(value))
        except (TypeError, ValueError, OverflowError):
            continue
    if isinstance(value, (list, tuple)):
        tries += [tuple(value), tuple(sorted(value, key=str))]
        if all(isinstance(item, float) and item.is_integer() for item in value):
            tries.append(tuple(map(int, value)))
        if len(value) == 1:
            tries.append(value[0])
    same = [other for other in tries if isinstance(value, (str, list, tuple)) or other == value]
    return next((other for other in same if kind.accepts(other)), kind.example)


def _check_missing(config: Config, loader: str, chain: Chain) -> Iterator[Contradiction]:
    if not chain.is_known:
        return
    names = [step.name for step in chain.all_steps()]
    if not any((name.startswith("Load") and "Image" in name) or name in _OF_IMAGES for name in names):
        yield Contradiction(
            chain.key, "has no step that reads the images.", "Begin with dict(type='LoadImageFromFile')."
        )
    evaluator = config.get("val_evaluator") or {}
    scored = isinstance(evaluator, dict) and type_name(evaluator) in _OURS
    if (loader == "train_dataloader" or (loader == "val_dataloader" and scored)) and not any(
        name.startswith("Load") and ("Annotation" in name or name == "LoadBiomedicalData") for name in names
    ):
        yield Contradiction(
            chain.key,
            "has no step that reads the masks.",
            "Add dict(type='LoadAnnotations') after the step that reads the images.",
        )
    if not any(name.startswith("Pack") for name in names):
        yield Contradiction(
            chain.key, "has no step that makes a sample for the model.", "End with dict(type='PackSegInputs')."
        )


def _check_moving(chain: Chain) -> Iterator[Contradiction]:
    """Find steps that flip, turn or cut the image before there is a mask to which the same is done."""
    names = [step.name for step in chain.steps]
    if "LoadAnnotations" in names:
        for step in chain.steps[: names.index("LoadAnnotations")]:
            if moving := [inner for inner in step.inner() if inner.name in _MOVING]:
                yield Contradiction(
                    step.key,
                    f"({moving[0].name}) stands before LoadAnnotations: it moves the image, and not the mask.",
                    "Move LoadAnnotations up, behind the step that reads the images.",
                )


def _check_patches(config: Config, chain: Chain) -> Iterator[Contradiction]:
    patch, last = patch_size(config), _sizing(chain)
    if patch is None or last is None:
        return
    field = "crop_size" if last.name == "RandomCrop" else "scale"
    given: Any = last.node.get(field)
    if not _is_whole(given) and not _is_pair(given, _is_whole, (list, tuple)):
        return
    sides = (given, given) if isinstance(given, int) else tuple(given)
    mended = tuple(-(-side // patch) * patch for side in sides)
    mend = _set(f"{last.key}.{field}", mended[0] if isinstance(given, int) else mended) + "."
    if last.name == "RandomCrop" and min(sides) < patch:
        yield Contradiction(
            f"{last.key}.{field}", f"= {given!r} is less than one patch of {patch} x {patch} pixels.", mend
        )
        return
    preprocessor = config.model.get("data_preprocessor") or config.get("data_preprocessor") or {}
    if type_name(preprocessor) != "SegDataPreProcessor":
        return
    size: Any = preprocessor.get("size")
    divisor: Any = preprocessor.get("size_divisor")
    height, width = sides if field == "crop_size" else sides[::-1]
    if _is_pair(size, _is_whole, (list, tuple)):
        height, width = max(height, size[0]), max(width, size[1])
    elif _is_whole(divisor):
        height, width = (-(-side // divisor) * divisor for side in (height, width))
    if height % patch or width % patch:
        yield Contradiction(
            f"{last.key}.{field}",
            f"= {given!r} makes batches of {height} x {width} pixels, but the model's patches have {patch} x {patch}, "
            "and both sides are whole patches.",
            mend,
        )


def _sizing(chain: Chain) -> Step | None:
    """The step that gives all images of a training one size; None if none does, or that is not known."""
    for step in reversed(chain.steps):
        if step.name == "RandomCrop" or (step.name == "Resize" and not step.node.get("keep_ratio")):
            return step if step.is_known else None
        if step.name not in _SAME_SIZE:
            return None
    return None
