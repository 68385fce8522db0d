"""Masks that lie in image files of any kind: as values or as colours."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .export import UNLABELLED, Annotated, Drawn, SourceError, Split, Window
from .in_order import each
from .pictures import Picture
from .source import Source

_ROWS = 512
_UNKNOWN = 0xFFFF
# What :func:`read_values` gives for transparent pixels, which no file holds as an id.
TRANSPARENT = -(1 << 40)
# Makes places of classes out of a part of an open mask.
Convert = Callable[[Picture, Window], NDArray[np.uint8]]


class MaskFile:
    """Labels that are a file: an instance is :data:`~.export.Labels`, for one thread.

    Args:
        path: The file; opened with the first window and closed with the last.
        convert: Makes classes of it.
    """

    def __init__(self, path: Path, convert: Convert) -> None:
        self._path, self._convert = path, convert
        self._open: Picture | None = None

    def __call__(self, size: tuple[int, int], window: Window) -> Drawn:
        """The labels of a window of a picture of a size."""
        if self._open is None:
            self._open = Picture(self._path, self._path.name)
        try:
            if self._open.size != size:
                height, width = self._open.size
                raise SourceError(
                    f"{self._path} is {width} x {height} pixels, its picture {size[1]} x {size[0]}. Export the mask at "
                    "the picture's size."
                )
            ids = self._convert(self._open, window)
        except BaseException:
            self._close()
            raise
        if window.top + window.height >= size[0] and window.left + window.width >= size[1]:
            self._close()
        return Drawn(ids)

    def _close(self) -> None:
        if self._open is not None:
            self._open.__exit__()
            self._open = None


def with_ids(
    source: Source, file: str, mask: str | None, places: dict[int, int], split: Split | None, group: str | None = None
) -> Annotated:
    """A picture whose labels are a mask of ids.

    Args:
        source: The export.
        file: The picture in it.
        mask: Its mask in it; None if it has none.
        places: Those of :func:`values_to_classes`.
        split: What the export says of the picture.
        group: That of the picture.
    """
    path = source.path(mask) if mask else None
    labels = MaskFile(path, values_to_classes(places, path)) if path else None
    name = PurePosixPath(file).with_suffix("").as_posix()
    return Annotated(source.path(file), name, labels, split, group, mask or file)


def read_values(mask: Picture, window: Window, where: Path) -> NDArray[np.int64]:
    """A part of a mask as whole numbers; of several equal channels one, :data:`TRANSPARENT` where it is that.

    Args:
        mask: The open mask; colours by number are the numbers.
        window: The part.
        where: The file, for messages.

    Raises:
        SourceError: It is in colours, has several bands, or its values are no whole numbers.
    """
    pixels = mask.read(window)
    bands = pixels[:-1] if mask.has_opacity else pixels
    if not all(np.array_equal(bands[0], other) for other in bands[1:]):
        if len(bands) != 3:
            raise SourceError(f"{where} has {len(bands)} bands that differ: ids in one band were expected.")
        raise SourceError(f"{where} is in colours, where other masks have ids. Say which colour is which class: {ASK}.")
    values = bands[0]
    if values.dtype.kind in "fc":
        values = np.nan_to_num(values.real, nan=-1)
        if (broken := values[values != np.rint(values)]).size:
            raise SourceError(f"{where} holds {broken[0]:g}: the ids of a mask are whole numbers. Export it again.")
    whole: NDArray[np.int64] = values.astype(np.int64)
    if mask.has_opacity:
        whole[pixels[-1] == 0] = TRANSPARENT
    return whole


def values_to_classes(places: dict[int, int], where: Path) -> Convert:
    """Masks of values.

    Args:
        places: Place of the class of every value, or IGNORED or UNLABELLED; transparent pixels have no label, if it
            does not say what they are.
        where: The file, for messages.
    """
    places = {TRANSPARENT: UNLABELLED, **places}
    known = np.array(sorted(places), np.int64)
    to = np.array([places[value] for value in sorted(places)], np.uint8)

    def convert(mask: Picture, window: Window) -> NDArray[np.uint8]:
        values = read_values(mask, window, where)
        at = np.minimum(np.searchsorted(known, values), len(known) - 1)
        wrong = known[at] != values
        if wrong.any():
            found, counts = np.unique(values[wrong], return_counts=True)
            text = ", ".join(f"{value} ({count} pixels)" for value, count in zip(found[:5], counts[:5], strict=True))
            raise SourceError(
                f"{where} holds values that are no class: {text}{' ...' if len(found) > 5 else ''}. Known are "
                f"{', '.join(map(str, known[1:21]))}{' ...' if len(known) > 21 else ''}. Name all: {ASK}."
            )
        return to[at]

    return convert


ASK = "--classes FILE, a name a line in the order of the ids, or with its colour: road #804000"


class Colours:
    """Classes by colour.

    Args:
        places: Place of the class of every colour, or IGNORED or UNLABELLED.
        distance: How far other colours may be from these, which then count as the nearest: those of lossy files and
            of smooth edges.
    """

    def __init__(self, places: dict[tuple[int, int, int], int], distance: float = 0) -> None:
        self._table = np.full(1 << 24, _UNKNOWN, np.uint16)
        self._colours = np.array(list(places), np.int64).reshape(-1, 3)
        self._places = np.array(list(places.values()), np.uint16)
        self._table[_codes(self._colours.T)] = self._places
        self._distance = distance

    def convert(self, where: Path) -> Convert:
        """What makes classes of a file; transparent pixels have no label."""
        return lambda mask, window: self._classes(*read_colours(mask, window, where), where)

    def _classes(self, codes: NDArray[np.int64], clear: NDArray[np.bool_] | None, where: Path) -> NDArray[np.uint8]:
        found = self._table[codes]
        if clear is not None:
            found[clear] = UNLABELLED
        if (unknown := found == _UNKNOWN).any():
            others, inverse, counts = np.unique(codes[unknown], return_inverse=True, return_counts=True)
            nearest, far = self._nearest(others)
            if far.any():
                self._refuse(others[far], counts[far], where)
            found[unknown] = nearest[inverse.ravel()]
        return found.astype(np.uint8)

    def _nearest(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """The nearest of some colours, and which are farther than the distance."""
        places, far = np.empty(len(codes), np.uint16), np.empty(len(codes), np.bool_)
        for start in range(0, len(codes), 4096):
            some = slice(start, start + 4096)
            steps = (_of_codes(codes[some])[:, None] - self._colours[None]) ** 2
            squares = steps.sum(-1)
            places[some] = self._places[squares.argmin(1)]
            far[some] = squares.min(1) > self._distance**2
        return places, far

    def _refuse(self, codes: NDArray[np.int64], counts: NDArray[np.int64], where: Path) -> None:
        most = np.argsort(-counts)[:4]
        text = ", ".join(f"{_hex(codes[i])} ({counts[i]} pixels)" for i in most)
        steps = np.sqrt(((_of_codes(codes)[:, None] - self._colours[None]) ** 2).sum(-1).min(1))
        raise SourceError(
            f"{where} has {int(counts.sum())} pixels in {len(codes)} colours that are no class: {text}"
            f"{' ...' if len(codes) > 4 else ''}; the farthest is {steps.max():.0f} from a class's colour. Name all "
            "colours (--classes FILE), or, if these are smooth edges or a lossy file, let the nearest colour count: "
            "--colour-distance N."
        )


def read_colours(mask: Picture, window: Window, where: Path) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """A part of a mask as colours, red * 65536 + green * 256 + blue, and which pixels are transparent.

    Raises:
        SourceError: It has not 8 bits a channel.
    """
    pixels = mask.read(window)
    if pixels.dtype != np.uint8:
        raise SourceError(f"{where} is {pixels.dtype}; masks in colours have 8 bits a channel. Export it again.")
    if (table := mask.colour_table()) is not None:
        pixels = np.moveaxis(table[pixels[0]], -1, 0)
    clear = pixels[-1] == 0 if len(pixels) in (2, 4) else None
    return _codes(pixels[:3] if len(pixels) >= 3 else np.broadcast_to(pixels[:1], (3, *pixels.shape[1:]))), clear


def count_values(
    paths: Sequence[Path], read: Callable[[Picture, Window, Path], NDArray[np.int64]]
) -> Iterator[tuple[Path, dict[int, int] | SourceError]]:
    """How often each value is in each of some masks; all cores read.

    Args:
        paths: The masks.
        read: Such as :func:`read_values`.
    """

    def count(path: Path) -> dict[int, int] | SourceError:
        counts: dict[int, int] = {}
        try:
            with Picture(path, path.name) as mask:
                for part in _parts(mask):
                    for value, number in _counted(read(mask, part, path)):
                        counts[value] = counts.get(value, 0) + number
        except SourceError as error:
            return error
        return counts

    yield from each(count, paths)


def is_coloured(paths: Iterable[Path]) -> bool:
    """Whether one of some masks has colours, not ids: channels that differ."""
    for path in paths:
        with suppress(SourceError), Picture(path, path.name) as mask:
            if mask.bands >= 3 and any((pixels[1:3] != pixels[:1]).any() for pixels in map(mask.read, _parts(mask))):
                return True
    return False


def has_colours_by_number(paths: Iterable[Path], known: Set[tuple[int, int, int]]) -> bool:
    """Whether all of some masks have colours by number, and those that occur are known: the numbers may be any."""
    codes = {red << 16 | green << 8 | blue for red, green, blue in known}
    found = False
    for path in paths:
        with suppress(SourceError), Picture(path, path.name) as mask:
            if mask.colour_table() is None:
                return False
            for part in _parts(mask):
                if not codes.issuperset(np.unique(read_colours(mask, part, path)[0]).tolist()):
                    return False
            found = True
    return found


def _parts(mask: Picture) -> Iterator[Window]:
    """Windows of whole rows, one after the other: masks of maps do not fit into memory."""
    height, width = mask.size
    for top in range(0, height, _ROWS):
        yield Window(top, 0, min(_ROWS, height - top), width)


def _counted(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    low, high = int(values.min()), int(values.max())
    if high - low < 1 << 16:
        counts = np.bincount((values - low).ravel())
        return [(int(i) + low, int(counts[i])) for i in np.flatnonzero(counts)]
    found, numbers = np.unique(values, return_counts=True)
    return [(int(value), int(number)) for value, number in zip(found, numbers, strict=True)]


def _codes(channels: NDArray[Any]) -> NDArray[np.int64]:
    red, green, blue = channels.astype(np.int64)
    codes: NDArray[np.int64] = (red << 16) | (green << 8) | blue
    return codes


def _of_codes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)


def _hex(code: int) -> str:
    return f"#{int(code):06x}"
