"""How a segmentor is to infer: the fields of a config's ``test_cfg``."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from .windows import Side


@dataclass(frozen=True)
class Inference:
    """Fields of ``test_cfg``.

    Attributes:
        mode: 'whole' for the image at once, 'slide' for overlapping windows.
        crop_size: Height and width of a window, in pixels; needed to slide.
        stride: Pixels from one window to the next, down and across; needed to slide.
        window_batch: Windows that go through the encoder at once; chosen from the free memory if None.
        max_memory: Bytes that may be used beside what encoder, logits of windows and result take; what a CPU's cache
            holds if None.
        keep_logits: Whether results hold ``seg_logits``, all classes at full size, as MMSegmentation's.
    """

    mode: str = "whole"
    crop_size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    window_batch: int | None = None
    max_memory: int | None = None
    keep_logits: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("whole", "slide"):
            raise ValueError(f"model.test_cfg.mode={self.mode!r} is not known; choose 'whole' or 'slide'.")
        if self.mode == "slide":
            if self.crop_size is None or self.stride is None:
                raise ValueError(
                    "model.test_cfg.mode='slide' needs crop_size=(height, width) and stride=(down, across)."
                )
            if not all(0 < stride <= crop for stride, crop in zip(self.stride, self.crop_size, strict=True)):
                raise ValueError(
                    f"model.test_cfg.stride={tuple(self.stride)} must be from 1 to crop_size={tuple(self.crop_size)}: "
                    "larger strides leave pixels without a window."
                )
        for name in ("window_batch", "max_memory"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"model.test_cfg.{name}={value} must be at least 1, or None.")

    @classmethod
    def read(cls, test_cfg: dict[str, Any] | None) -> "Inference":
        """Check a config's ``test_cfg``.

        Raises:
            ValueError: A field is not known or its value not allowed.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(test_cfg or ()) - set(known)):
            raise ValueError(f"model.test_cfg.{unknown[0]} is not known; the fields are {', '.join(known)}.")
        return cls(**test_cfg or {})

    def cut(self, size: Sequence[int]) -> tuple[Side, Side]:
        """Cut an image of some height and width into windows: down, and across."""
        sliding = self.mode == "slide"
        crop, stride = (self.crop_size, self.stride) if sliding else (size, size)
        down, across = (Side.cut(*side) for side in zip(size, crop or size, stride or size, strict=True))
        return down, across
