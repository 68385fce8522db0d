"""Pictures and files of exports, made small, and what a reader draws of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from internvl_seg.data.exports.export import Annotated, Drawn, Export, Window

GOLDEN = Path(__file__).parent / "golden"


def picture(path: Path, height: int = 20, width: int = 30) -> Path:
    """A grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 150)).save(path)
    return path


def written(path: Path, content: Any) -> Path:
    """A file of text, or of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def by_name(export: Export, name: str) -> Annotated:
    """A picture of an export."""
    return next(each for each in export.pictures if each.name == name)


def drawn(export: Export, name: str, height: int = 20, width: int = 30) -> Drawn:
    """The whole map of a picture."""
    labels = by_name(export, name).labels
    assert labels is not None
    return labels((height, width), Window(0, 0, height, width))


def ids(export: Export, name: str, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    """The ids of the whole map of a picture."""
    return drawn(export, name, height, width).ids
