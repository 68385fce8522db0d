"""Many pictures on one page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from ..data.names import readable
from ..data.writing import write_encoded
from .fonts import Font, find_font
from .sheet_legend import Entry, draw_legend

CELL = (320, 240)
_MARGIN, _LINE, _SIZE = 8, 16, 11
_LETTERS = 200
_PER_SHEET = 60


def draw_contact_sheet(
    pictures: Sequence[tuple[str, Path]], columns: int = 5, legend: Sequence[Entry] = ()
) -> Image.Image:
    """Small copies of pictures in rows, each with its name below.

    Args:
        pictures: Names and files; of a file that cannot be read, the place stays grey.
        columns: Pictures in a row.
        legend: What the colours in them mean, below all pictures.

    Returns:
        A page as large as it has to be.

    Raises:
        ValueError: There are no pictures.
    """
    if not pictures:
        raise ValueError("A contact sheet needs at least one picture.")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = CELL[0] + _MARGIN, CELL[1] + _LINE + _MARGIN
    page = Image.new("RGB", (columns * width + _MARGIN, rows * height + _MARGIN), "white")
    pen = ImageDraw.Draw(page)
    for i, (name, path) in enumerate(pictures):
        left, top = i % columns * width + _MARGIN, i // columns * height + _MARGIN
        small = _shrink(path)
        page.paste(small, (left + (CELL[0] - small.width) // 2, top + (CELL[1] - small.height) // 2))
        name, font = _written(readable(name)[-_LETTERS:])
        while len(name) > 1 and pen.textlength(name, font) > CELL[0]:
            name = "…" + name.lstrip("…")[1:]  # The end of a path tells more than its beginning.
        pen.text((left, top + CELL[1]), name, fill="black", font=font)
    return draw_legend(page, legend, _MARGIN) if legend else page


def _written(name: str) -> tuple[str, Font]:
    """A name with a font for it; letters that no font has stand as numbers."""
    font = find_font(name, _SIZE)
    if font is None:
        name = name.encode("ascii", "backslashreplace").decode()
    font = font or find_font(name, _SIZE)
    assert font is not None  # All fonts have these.
    return name, font


def write_contact_sheets(
    pictures: Sequence[tuple[str, Path]], folder: Path, legend: Sequence[Entry] = ()
) -> list[Path]:
    """Write pages of sixty pictures: ``contact_sheet.jpg``, ``contact_sheet_2.jpg`` and so on.

    Args:
        pictures: Names and files.
        folder: Where.
        legend: What the colours in them mean, on every page.

    Returns:
        The pages; none if there are no pictures.

    Raises:
        OSError: One cannot be written.
    """
    pages = []
    for number, start in enumerate(range(0, len(pictures), _PER_SHEET), start=1):
        pages.append(folder / ("contact_sheet.jpg" if number == 1 else f"contact_sheet_{number}.jpg"))
        page = draw_contact_sheet(pictures[start : start + _PER_SHEET], legend=legend)
        write_encoded(pages[-1], partial(page.save, format="JPEG", quality=90))
    return pages


def _shrink(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", CELL)  # JPEGs are decoded small.
            return ImageOps.contain(ImageOps.exif_transpose(picture).convert("RGB"), CELL)
    except Exception:  # Decoders raise what they like at damaged files.
        return Image.new("RGB", CELL, "lightgrey")
