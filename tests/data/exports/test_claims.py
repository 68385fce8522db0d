"""Files that are small and claim to be much, or hold far more than a file of their kind does."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.class_files import ClassFileError, read_class_file
from internvl_seg.data.exports.class_table import table_of_values
from internvl_seg.data.exports.colour_tables import read_classes
from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.formats import roboflow_masks
from internvl_seg.data.exports.mask_files import has_colours_by_number, is_coloured
from internvl_seg.data.exports.pictures import Picture
from internvl_seg.data.exports.source import Source
from internvl_seg.data.exports.yolo_layout import yaml_file

LONG = "7" * 5000


def save(path: Path, pixels: np.ndarray, palette: list[int] | None = None) -> None:
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(palette)
    image.save(path)


def write_tiff(path: Path, width: int, height: int) -> None:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 1)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4))


def test_a_raster_that_is_larger_than_the_memory_is_refused_in_words(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", 2**31 - 1, 2**20)
    with Picture(tmp_path / "a.tif", "a.tif") as picture, pytest.raises(SourceError, match=r"a\.tif.* memory"):
        picture.read()


def test_numbers_of_thousands_of_digits_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    table, places = table_of_values(Source(tmp_path), [LONG, "2", "10"], "a.csv")
    assert table.names() == ("2", "10", LONG)
    assert places == {"2": 0, "10": 1, LONG: 2}


@pytest.mark.parametrize("value", [LONG, "-1", "x", str(2**63)])
def test_roboflows_values_are_whole_numbers(tmp_path: Path, value: str) -> None:
    (tmp_path / "_classes.csv").write_text(f"Pixel Value, Class\n0, background\n{value}, road\n")
    with pytest.raises(SourceError, match=r"_classes\.csv is no table"):
        roboflow_masks.read(Source(tmp_path))


def test_a_class_without_a_name_is_none(tmp_path: Path) -> None:
    (tmp_path / "colours.json").write_text('{"road": [1, 2, 3], " ": [4, 5, 6]}')
    with pytest.raises(SourceError, match="no table of classes"):
        read_classes(tmp_path / "colours.json")


def test_more_names_than_ids_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("\n".join(f"class {i}" for i in range(2**16 + 1)))
    with pytest.raises(ClassFileError, match="65537 lines"):
        read_class_file(path)
    path.write_text("\n".join(f"class {i}" for i in range(2**16)))
    assert len(read_class_file(path)) == 2**16


def test_a_large_yaml_file_is_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("train: images\nnames: [road]\n")
    assert yaml_file(Source(tmp_path)) == "data.yaml"
    path.write_text("train: images\nnames: [road]\n" + "#" * 2**20)
    assert yaml_file(Source(tmp_path)) is None


@pytest.mark.parametrize("row", [0, 599])
def test_masks_are_looked_at_to_their_last_row(tmp_path: Path, row: int) -> None:
    grey = np.zeros((600, 20, 3), np.uint8)
    save(tmp_path / "a.png", grey)
    assert not is_coloured([tmp_path / "a.png"])
    grey[row, 3, 2] = 9
    save(tmp_path / "a.png", grey)
    assert is_coloured([tmp_path / "a.png"])
    ids = np.zeros((600, 20), np.uint8)
    palette = [10, 20, 30, 40, 50, 60]
    save(tmp_path / "b.png", ids, palette)
    assert has_colours_by_number([tmp_path / "b.png"], {(10, 20, 30)})
    ids[row, 3] = 1
    save(tmp_path / "b.png", ids, palette)
    assert not has_colours_by_number([tmp_path / "b.png"], {(10, 20, 30)})
