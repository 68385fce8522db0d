"""Many pictures on one page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from ..data.names import readable
from ..data.writing import write_encoded

CELL = (320, 240)
_MARGIN, _LINE = 8, 16
_LETTERS = 200
_PER_SHEET = 60


def draw_contact_sheet(pictures: Sequence[tuple[str, Path]], columns: int = 5) -> Image.Image:
    """Small copies of pictures in rows, each with its name below.

    Args:
        pictures: Names and files; of a file that cannot be read, the place stays grey.
        columns: Pictures in a row.

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
        name = readable(name)[-_LETTERS:]
        while len(name) > 1 and pen.textlength(name) > CELL[0]:
            name = "…" + name.lstrip("…")[1:]  # The end of a path tells more than its beginning.
        pen.text((left, top + CELL[1] + 2), name, fill="black")
    return page


def write_contact_sheets(pictures: Sequence[tuple[str, Path]], folder: Path) -> list[Path]:
    """Write pages of sixty pictures: ``contact_sheet.jpg``, ``contact_sheet_2.jpg`` and so on.

    Args:
        pictures: Names and files.
        folder: Where.

    Returns:
        The pages; none if there are no pictures.

    Raises:
        OSError: One cannot be written.
    """
    pages = []
    for number, start in enumerate(range(0, len(pictures), _PER_SHEET), start=1):
        pages.append(folder / ("contact_sheet.jpg" if number == 1 else f"contact_sheet_{number}.jpg"))
        page = draw_contact_sheet(pictures[start : start + _PER_SHEET])
        write_encoded(pages[-1], partial(page.save, format="JPEG", quality=90))
    return pages


def _shrink(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", CELL)  # JPEGs are decoded small.
            return ImageOps.contain(ImageOps.exif_transpose(picture).convert("RGB"), CELL)
    except Exception:  # Decoders raise what they like at damaged files.
        return Image.new("RGB", CELL, "lightgrey")
