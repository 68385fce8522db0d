"""How large a pipeline makes an image at most, before it cuts a crop out of it."""

from typing import Any


def _within(size: tuple[float, float], long: float, short: float) -> tuple[float, float]:
    """Scale (height, width) to fit into a long and a short side, keeping the ratio."""
    factor = min(long / max(size), short / min(size))
    return size[0] * factor, size[1] * factor


def _resize(size: tuple[float, float], transform: dict[str, Any]) -> tuple[float, float]:
    """Largest (height, width) that a transform of MMCV or MMSegmentation gives; it stays if it does not resize."""
    kind = transform["type"]
    scales = transform.get("scales") or ([transform["scale"]] if "scale" in transform else [])
    if kind in ("Resize", "RandomResize", "RandomChoiceResize"):
        factor = max(transform.get("ratio_range") or (1.0,))
        if not scales:
            factors = transform.get("scale_factor") or 1.0
            width, height = factors if isinstance(factors, (list, tuple)) else (factors, factors)
            return size[0] * height, size[1] * width
        largest = max(scales, key=lambda scale: scale[0] * scale[1] if isinstance(scale, (list, tuple)) else scale)
        width, height = largest if isinstance(largest, (list, tuple)) else (largest, largest)
        if transform.get("keep_ratio", transform.get("resize_type") is not None):
            return _within(size, max(width, height) * factor, min(width, height) * factor)
        return height * factor, width * factor
    if kind == "ResizeShortestEdge":
        shortest = max(scales[0]) if isinstance(scales[0], (list, tuple)) else scales[0]
        return _within(size, transform.get("max_size") or float("inf"), shortest)
    return size


def largest_before_crop(
    size: tuple[int, int], pipeline: list[dict[str, Any]]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Largest size of an image where a pipeline crops it, and the size of the crop.

    Args:
        size: (height, width) of the image.
        pipeline: Config of the transforms.

    Returns:
        Both as (height, width); None if nothing is cropped.
    """
    current: tuple[float, float] = size
    for transform in pipeline:
        if transform["type"] == "RandomCrop":
            crop = transform["crop_size"]
            height, width = crop if isinstance(crop, (list, tuple)) else (crop, crop)
            return (round(current[0]), round(current[1])), (height, width)
        current = _resize(current, transform)
    return None
