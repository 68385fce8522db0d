"""What can be wrong with a folder of images and masks."""

from collections.abc import Sequence
from pathlib import Path

PAGE = "docs/own_data.md"
CONVERTER = "python tools/prepare_dataset.py"


class FolderError(RuntimeError):
    """A folder of images and masks is incomplete or inconsistent."""


class MissingMaskError(FolderError):
    """Images of a folder have no mask.

    Attributes:
        pairs: Every image with its mask, the missing ones among them.
    """

    def __init__(self, images: Path, pairs: Sequence[tuple[Path, Path]], missing: Sequence[Path]) -> None:
        super().__init__(f"{len(missing)} of {len(pairs)} images in {images} have no mask; the first is {missing[0]}.")
        self.pairs = pairs
