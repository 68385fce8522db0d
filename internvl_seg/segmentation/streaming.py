"""From the windows' low-resolution logits to labels, exactly, in a memory that the number of classes hardly touches.

Upsampling a window, adding it in its place, dividing by how many windows overlap, cutting padding off, flipping and
resizing are linear and separable: per class the picture's logits are ``A L B^T``, where L are the low-resolution logits
of the windows side by side and A and B depend on sizes only. A tile of the picture needs a few rows of A and B, and all
classes of it are there at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..common.finite import NonFiniteError
from .resize import Taps
from .windows import Side

# A class is left out of a tile only if it is behind by more than rounding could make up, relative to the logits.
_MARGIN = 1e-4
# Longer sides of tiles would make nothing faster, and the matrix of a side takes memory by its length squared: that of
# a picture of one row of 100,000 pixels would be of gigabytes.
_LONGEST_SIDE = 2048
Scores = Literal["logits", "probabilities"]


class NonFiniteLogitsError(NonFiniteError):
    """Logits of a picture hold NaN or infinity.

    Attributes:
        picture: Which of the pictures that were seen together.
    """

    def __init__(self, picture: int) -> None:
        super().__init__("The logits of a picture hold NaN or infinity.")
        self.picture = picture


class WindowRows:
    """The low-resolution logits of the windows of N pictures of one size, row by row, computed when they are needed.

    Args:
        compute: Gives the logits of the rows of windows from a first one to a last one (not included), a tensor
            (N, h, C, W) each: h logits down a window, W across all windows of the row.
        count: Rows of windows.
        at_once: Rows to compute at once.
        classifier: Where there are more classes than channels, features are kept instead of logits: C is their number
            then, and this (classes, C) and its bias (classes,) make logits of them.

    Attributes:
        low_size: Logits down and across a row of windows, h and W.
        num_classes: Number of classes.
        device: Where the logits are.
    """

    def __init__(
        self,
        compute: Callable[[int, int], list[Tensor]],
        count: int,
        at_once: int = 1,
        classifier: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.classifier = classifier
        self._compute, self._count, self._at_once = compute, count, at_once
        self._kept: dict[int, Tensor] = {}
        self._extremes: list[Tensor] = []
        first = self.row(0)
        self.low_size = first.shape[1], first.shape[3]
        self.num_classes = first.shape[2] if classifier is None else len(classifier[0])
        self.device = first.device

    def row(self, number: int) -> Tensor:
        """Logits of a row of windows, (N, h, C, W)."""
        if number not in self._kept:
            first = number - number % self._at_once
            last = min(first + self._at_once, self._count)
            rows = self._compute(first, last)
            self._kept |= zip(range(first, last), rows, strict=True)
            self._extremes += [torch.stack([row.amin((1, 2, 3)), row.amax((1, 2, 3))]) for row in rows]
        return self._kept[number]

    def check(self) -> None:
        """Check the rows that are new since it was last called; on an accelerator this waits for them.

        Raises:
            NonFiniteLogitsError: One of the pictures has a logit that is NaN or infinite.
        """
        if self._extremes:
            finite = torch.stack(self._extremes).isfinite().all(0).all(0)  # (N,): NaN spreads to the extremes.
            self._extremes = []
            if False in (found := finite.tolist()):
                raise NonFiniteLogitsError(found.index(False))

    def keep_only(self, numbers: set[int]) -> None:
        """Forget all rows but these."""
        self._kept = {number: row for number, row in self._kept.items() if number in numbers}


@dataclass(frozen=True)
class View:
    """A picture as the model saw it once: as it is, or flipped, or at another scale.

    Attributes:
        windows: Its low-resolution logits.
        picture: Which of the N pictures of ``windows`` it is.
        rows: Matrix from the rows of all windows, top to bottom, to the rows of the output.
        columns: The same for columns.
        alone: Whether nothing else needs ``windows``, which then forgets what is done with.
        names: Of all pictures of ``windows``, for errors.
    """

    windows: WindowRows
    picture: int
    rows: Taps
    columns: Taps
    alone: bool
    names: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels."""
        return len(self.rows.index), len(self.columns.index)

    def window_rows(self, rows: slice) -> set[int]:
        """The rows of windows that some rows of the output are made of."""
        index = self.rows.index[rows][self.rows.weight[rows] != 0]
        return set((index // self.windows.low_size[0]).unique().tolist())


def undo_windows(
    low_size: tuple[int, int],
    sides: tuple[Side, Side],
    padded: Sequence[int],
    align_corners: bool,
    device: torch.device | str = "cpu",
) -> tuple[Taps, Taps]:
    """Matrices, for rows and for columns, that make an image's logits out of those of its windows.

    Args:
        low_size: Logits down and across a row of windows, as of :class:`WindowRows`.
        sides: How the image is cut, down and across.
        padded: Height and width of a window as the encoder takes it, in pixels.
        align_corners: As in ``F.interpolate``.
        device: Where PyTorch would resize.
    """
    low = low_size[0], low_size[1] // len(sides[1].starts)
    rows, columns = (
        side.taps(size, whole, align_corners, device) for side, size, whole in zip(sides, low, padded, strict=True)
    )
    return rows, columns


class Tile(NamedTuple):
    """A rectangle of the output.

    Attributes:
        rows: Where it is.
        columns: Where it is.
        labels: Class ids, (h, w) int64.
        scores: (C, h, w) float32 if they were asked for; to be copied before the next tile is made.
    """

    rows: slice
    columns: slice
    labels: Tensor
    scores: Tensor | None


class _Band:
    """A view's low-resolution logits for some rows of the output, ready to be made into tiles."""

    def __init__(self, view: View, rows: slice) -> None:
        matrix, used = view.rows.block(rows)
        height, device = view.windows.low_size[0], view.windows.device
        window = used // height
        parts = [
            view.windows.row(i)[view.picture][(used[window == i] - i * height).to(device)]
            for i in window.unique().tolist()
        ]
        self._low = torch.cat(parts).float()  # (K, C, W)
        self._classifier = view.windows.classifier
        self._matrix = matrix.to(device)

    def low(self, used: Tensor) -> Tensor:
        """The low-resolution logits that a tile is made of, (K, classes, columns)."""
        low = self._low.index_select(2, used)
        if self._classifier is None:
            return low
        weight, bias = self._classifier
        return weight @ low + bias[:, None]

    def raised(self, low: Tensor, columns: Tensor, buffer: Tensor) -> Tensor:
        """Logits of a tile, (h, classes, w), in the buffer, out of low ones (K, classes, columns)."""
        half = (self._matrix @ low.flatten(1)).view(-1, len(columns))
        out = buffer[: len(half) * columns.shape[1]].view(len(half), columns.shape[1])
        return torch.mm(half, columns, out=out).view(len(self._matrix), -1, columns.shape[1])


def _candidates(low: Tensor) -> Tensor:
    """Classes that may win: no logit is outside the range of those that it is mixed from, (K, classes, columns)."""
    bar = low.amin((0, 2)).max()
    behind = low.amax((0, 2)) < bar - _MARGIN * bar.abs().clamp(min=1)
    return (~behind).nonzero()[:, 0]  # All of them where there is a NaN.


def _cut(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _decide(probabilities: Tensor, threshold: float | None) -> Tensor:
    """Labels (h, w) out of the probabilities (h, C, w)."""
    if threshold is None:
        return probabilities.max(1).indices
    return (probabilities[:, 0] > threshold).long()


@torch.no_grad()
def _make_tile(
    bands: Sequence[_Band],
    columns: Sequence[tuple[Tensor, Tensor]],
    buffer: Tensor,
    threshold: float | None,
    scores: Scores | None,
) -> tuple[Tensor, Tensor | None]:
    """Labels (h, w) and scores (h, C, w) of a tile, out of every view's band and columns."""
    with torch.autocast(buffer.device.type, enabled=False):
        if len(bands) == 1 and scores != "probabilities" and threshold is None:
            (band,), ((matrix, used),) = bands, columns
            low = band.low(used)
            if scores == "logits":
                logits = band.raised(low, matrix, buffer)
                return logits.max(1).indices, logits
            classes = _candidates(low)
            if len(classes) < low.shape[1]:
                low = low.index_select(1, classes)
            return classes[band.raised(low, matrix, buffer).max(1).indices], None
        mean: Tensor | None = None
        for band, (matrix, used) in zip(bands, columns, strict=True):
            logits = band.raised(band.low(used), matrix, buffer)
            probabilities = logits.softmax(1) if threshold is None else logits.sigmoid()
            mean = probabilities if mean is None else mean.add_(probabilities)
        assert mean is not None
        labels = _decide(mean.div_(len(bands)), threshold)
        if scores == "logits":  # MMSegmentation keeps those of the last view, of a single class as probabilities.
            return labels, logits if threshold is None else probabilities
        return labels, mean if scores else None


def stream_tiles(
    views: Sequence[View], tile_bytes: int, threshold: float | None = None, scores: Scores | None = None
) -> Iterator[Tile]:
    """Labels of a picture, tile by tile, from top to bottom and in each band from left to right.

    Args:
        views: The picture as the model saw it, once or several times; the mean of their probabilities then decides.
        tile_bytes: About how much memory the logits of a tile may take.
        threshold: For a model with one output: pixels whose probability is above are 1, all others 0.
        scores: What to give beside the labels: the logits (of the last view; of a model with one output, the
            probabilities), as MMSegmentation does, or the mean probabilities.

    Yields:
        Tiles that cover the picture. A class that can nowhere win in a tile is not computed, unless for scores.

    Raises:
        NonFiniteLogitsError: A window's logits hold NaN or infinity; no tile that is made of them was given.
    """
    height, width = views[0].size
    num_classes, device = views[0].windows.num_classes, views[0].windows.device
    area = max(tile_bytes // (4 * num_classes), 64)
    tile_height = min(isqrt(area), height, _LONGEST_SIDE)
    strips = _cut(width, min(area // tile_height, width, _LONGEST_SIDE))
    columns = [
        [(matrix.T.contiguous().to(device), used.to(device)) for matrix, used in map(view.columns.block, strips)]
        for view in views
    ]
    rows = _cut(height, tile_height)
    # Flipped pictures are read from the bottom: what is still needed is asked for, not what comes next.
    needed = [[view.window_rows(band) for band in rows] for view in views]
    buffer = torch.empty(num_classes * tile_height * (strips[0].stop), device=device)
    for i, band in enumerate(rows):
        for view, numbers in zip(views, needed, strict=True):
            if view.alone:
                view.windows.keep_only(set().union(*numbers[i:]))
        bands = [_Band(view, band) for view in views]
        for j, strip in enumerate(strips):
            labels, found = _make_tile(bands, [c[j] for c in columns], buffer, threshold, scores)
            if j == 0:  # Its classes that may win have been waited for; new are only rows of windows.
                for view in views:
                    view.windows.check()
            yield Tile(band, strip, labels, None if found is None else found.transpose(0, 1))
