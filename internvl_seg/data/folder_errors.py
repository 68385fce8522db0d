"""What can be wrong with a folder of images and masks."""

from collections.abc import Sequence
from pathlib import Path

PAGE = "docs/own_data.md"
CONVERTER = "python tools/prepare_dataset.py"
LAYOUT = "images/{train,test}/NAME.* and annotations/{train,test}/NAME.png"


class FolderError(RuntimeError):
    """A folder of images and masks is incomplete or inconsistent."""


class NoImageError(FolderError):
    """There is no folder, or no image in it."""


class MissingMaskError(FolderError):
    """Images of a folder have no mask.

    Attributes:
        pairs: Every image with its mask, the missing ones among them.
        hint: What there is in their place, and what to do; '' if nothing is known.
    """

    def __init__(
        self, images: Path, pairs: Sequence[tuple[Path, Path]], missing: Sequence[Path], hint: str = ""
    ) -> None:
        told = f"{len(missing)} of {len(pairs)} images in {images} have no mask; the first is {missing[0]}. {hint}"
        super().__init__(told.rstrip())
        self.pairs = pairs
        self.hint = hint
