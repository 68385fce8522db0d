"""LabelMe 3.0's XML, as labelme_format.py of cvat-ai/datumaro and the tool of labelme.csail.mit.edu write it."""

from pathlib import Path

import numpy as np
import pytest

from internvl_seg.data.exports.export import UNLABELLED, SourceError, Window
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.formats import labelme_xml
from internvl_seg.data.exports.source import Source

from ..making import by_name, ids, picture, written
from ..prepared import save
from ..tried.case import coco_polygons

SIZE = "<imagesize><nrows>{}</nrows><ncols>{}</ncols></imagesize>"


def annotation(*objects: str, name: str = "a.png", folder: str = "", size: str = SIZE.format(20, 30)) -> str:
    source = "<source><sourceImage></sourceImage><sourceAnnotation>Datumaro</sourceAnnotation></source>"
    head = f"<filename>{name}</filename>\n<folder>{folder}</folder>\n{source}\n{size}"
    return f"<annotation>\n{head}\n{''.join(objects)}</annotation>\n"


def thing(name: str, inside: str, deleted: int = 0) -> str:
    head = f"<name>{name}</name><deleted>{deleted}</deleted><verified>0</verified><occluded>no</occluded><date></date>"
    return f"<object>{head}<id>0</id>{inside}<attributes></attributes></object>\n"


def polygon(*points: tuple[float, float]) -> str:
    pairs = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in points)
    return f"<polygon>{pairs}<username></username></polygon>"


def mask(name: str) -> str:
    return f"<segm><mask>{name}</mask><box><xmin>0</xmin></box></segm>"


BOX = polygon((2, 3), (12, 3), (12, 8), (2, 8))


def read(folder: Path, *objects: str) -> np.ndarray:
    picture(folder / "a.png")
    written(folder / "a.xml", annotation(*objects))
    return ids(labelme_xml.read(Source(folder)), "a")


@pytest.mark.parametrize("shape", list(coco_polygons(rings=1)), ids=lambda shape: shape[0])
def test_polygons_are_coco_s(tmp_path: Path, shape: tuple) -> None:
    _, size, parts, expected = shape
    picture(tmp_path / "a.png", *size)
    points = [tuple(pair) for pair in np.reshape(parts[0], (-1, 2)).tolist()]
    written(tmp_path / "a.xml", annotation(thing("car", polygon(*points)), size=SIZE.format(*size)))
    np.testing.assert_array_equal(ids(labelme_xml.read(Source(tmp_path)), "a", *size) == 0, expected)


def test_masks_lie_in_the_folder_of_the_subset(tmp_path: Path) -> None:
    """Brush masks of CVAT: RGBA, of which what is not transparent is the object."""
    brushed = np.random.default_rng(0).random((20, 30)) < 0.5
    colours = np.zeros((20, 30, 4), np.uint8)
    colours[brushed] = (0, 203, 255, 153)
    save(tmp_path / "train/Masks/day 1/b_mask_0.png", colours)
    picture(tmp_path / "train/day 1/b.png")
    written(
        tmp_path / "train/day 1/b.xml",
        annotation(thing("car", mask("day 1/b_mask_0.png")), thing("road", BOX), name="b.png", folder="day 1"),
    )
    written(tmp_path / "train/c.xml", annotation(name="c.png"))
    picture(tmp_path / "train/c.png")
    module, why = find_format(Source(tmp_path))
    assert (module, why) == (
        labelme_xml,
        "train/c.xml has <annotation> with LabelMe's <pt>, <segm> or <sourceAnnotation>",
    )
    export = labelme_xml.read(Source(tmp_path))
    expected = np.where(brushed, 0, UNLABELLED)
    expected[3:8, 2:12] = 1
    np.testing.assert_array_equal(ids(export, "train/day 1/b"), expected)
    assert (ids(export, "train/c") == UNLABELLED).all()
    assert {picture.split for picture in export.pictures} == {"train"}
    assert list(export.notes) == ["Pictures without an object, taken as background alone: 1; the first is train/c.xml."]


def test_the_folders_of_the_annotation_tool(tmp_path: Path) -> None:
    """Annotations/FOLDER/x.xml and Images/FOLDER/x.jpg, with blank lines around names, and deleted objects."""
    for folder in ("street", "field"):
        picture(tmp_path / "Images" / folder / "a.jpg")
    things = (thing("\ncar\n", BOX), thing("tree", BOX, deleted=1), thing("", BOX), thing("x", polygon((1, 1), (2, 2))))
    written(tmp_path / "Annotations/street/a.xml", annotation(*things, name="\na.jpg\n", folder="street", size=""))
    export = labelme_xml.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["car"]
    assert (ids(export, "Images/street/a") == 0).sum() == 50
    assert [note.partition(":")[0] for note in export.notes] == [
        "Objects that were deleted, left out",
        "Objects without a name, left out",
        "Objects of fewer than three points or of no extent, left out",
        "Pictures that no file of labels names, left out",
    ]


def test_pascal_vocs_boxes_are_not_labelmes(tmp_path: Path) -> None:
    box = "<object><name>car</name><bndbox><xmin>1</xmin></bndbox></object>"
    written(tmp_path / "a.xml", f"<annotation><filename>a.png</filename><folder>x</folder>{box}</annotation>")
    picture(tmp_path / "a.png")
    with pytest.raises(SourceError, match="holds boxes alone"):
        find_format(Source(tmp_path))


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("<polygon><pt><x>1</x></pt></polygon>", "The points of object 1 of a.xml"),
        (polygon((1, 1), (1e9, 2), (3, 3)), "object 1 of a.xml hold 1e"),
        (mask("../../secret/m.png"), r"The mask '../../secret/m\.png' of object 1"),
        (mask("gone_mask_0.png"), r"The mask 'gone_mask_0\.png' of object 1 of a\.xml is not in a folder Masks"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, inside: str, words: str) -> None:
    save(tmp_path / "secret/m.png", np.zeros((20, 30), np.uint8))  # Of a file outside of the export.
    with pytest.raises(SourceError, match=words):
        read(tmp_path / "in/deep", thing("car", inside))


def test_a_picture_of_another_size_or_named_twice(tmp_path: Path) -> None:
    read(tmp_path, thing("car", BOX))
    labels = by_name(labelme_xml.read(Source(tmp_path)), "a").labels
    assert labels is not None
    with pytest.raises(SourceError, match=r"a\.png of a\.xml was labelled with 20 rows"):
        labels((21, 30), Window(0, 0, 21, 30))
    written(tmp_path / "b.xml", annotation(thing("car", BOX)))
    with pytest.raises(SourceError, match=r"a\.xml and b\.xml are both for the picture a\.png"):
        labelme_xml.read(Source(tmp_path))
