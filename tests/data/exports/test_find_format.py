"""Which format an export has, and which ids its classes get."""

from pathlib import Path

import pytest

from internvl_seg.data.class_files import read_class_file
from internvl_seg.data.exports.class_ids import class_ids, classes_text
from internvl_seg.data.exports.export import IGNORED, UNLABELLED, ClassLabel, Export, SourceError
from internvl_seg.data.exports.find_format import find_format, known_formats
from internvl_seg.data.exports.formats import FORMATS
from internvl_seg.data.exports.source import Source

from .prepared import random_ids, save

LABELS = (ClassLabel("road"), ClassLabel("roof", (0, 0, 0)))


def test_background_is_put_first_or_found() -> None:
    of = class_ids(Export("x", "w", LABELS, (), "background"), None)
    assert [label.name for label in of.classes] == ["background", "road", "roof"]
    assert len({label.colour for label in of.classes}) == 3
    assert of.table[[0, 1, UNLABELLED, IGNORED]].tolist() == [1, 2, 0, 255]
    of = class_ids(Export("x", "w", LABELS, (), "background"), "ignore")
    assert of.table[[0, 1, UNLABELLED, IGNORED]].tolist() == [0, 1, 255, 255]
    of = class_ids(Export("x", "w", (LABELS[0], ClassLabel("bg")), (), "ignore"), None)
    assert of.classes[1] == ("bg", (0, 0, 0))
    of = class_ids(Export("x", "w", (*LABELS, ClassLabel("Background")), (), "background"), None)
    assert of.table[[0, 1, 2, UNLABELLED]].tolist() == [0, 1, 2, 2]


def test_named_classes_say_the_order() -> None:
    export = Export("x", "w", LABELS, (), "ignore")
    of = class_ids(export, None, [ClassLabel("roof"), ClassLabel("tree")])
    assert of.table[[0, 1]].tolist() == [255, 0]
    assert of.classes[0] == ("roof", (0, 0, 0))
    assert "does not name 'road': pixels of it are ignored" in of.notes[0]
    assert "names 'tree', which the export does not have" in of.notes[1]
    with pytest.raises(SourceError, match="none of them"):
        class_ids(export, None, [ClassLabel("sky")])


def test_many_classes() -> None:
    many = tuple(ClassLabel(f"c{i}") for i in range(254))
    of = class_ids(Export("x", "w", many, (), "ignore"), None)
    assert len({label.colour for label in of.classes}) == 254
    assert of.table[253] == 253
    with pytest.raises(SourceError, match="has 255 classes"):
        class_ids(Export("x", "w", many, (), "background"), None)


def test_names_in_classes_txt_are_read_back(tmp_path: Path) -> None:
    odd = ("road 2", "#x", '3 "y"', "zone 1 2 3", "été, a:b", "0: z")
    labels = [ClassLabel(name, (1, 2, i)) for i, name in enumerate(odd)]
    (tmp_path / "classes.txt").write_text(classes_text(labels), encoding="utf-8")
    found = read_class_file(tmp_path / "classes.txt")
    assert [name for name, _ in found] == ["road 2", "#x", "3 'y'", "zone 1 2 3", "été, a:b", "0: z"]
    assert [colour for _, colour in found] == [label.colour for label in labels]


def test_formats_that_do_not_tell(tmp_path: Path) -> None:
    save(tmp_path / "in/images/a.png", 0)
    save(tmp_path / "in/masks/a.png", random_ids(0, 3))
    with pytest.raises(SourceError, match=r"--format other is not known\. Known are(.|\n)*cvat_masks"):
        find_format(Source(tmp_path / "in"), "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no file"):
        find_format(Source(tmp_path / "empty"))
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.md").touch()
    with pytest.raises(SourceError, match=r"is no export of a known format\. Known are(.|\n)*id_masks"):
        find_format(Source(tmp_path / "text"))


def test_two_formats_that_claim_an_export_are_named(tmp_path: Path) -> None:
    save(tmp_path / "in/Train/Urban/images_png/0.png", 0)
    save(tmp_path / "in/Train/Urban/masks_png/0.png", random_ids(0, 8))
    save(tmp_path / "in/JPEGImages/0.png", 0)
    save(tmp_path / "in/SegmentationClass/0.png", random_ids(0, 8))
    with pytest.raises(SourceError, match=r"may be of 2 formats: voc .*loveda .*--format voc or --format loveda"):
        find_format(Source(tmp_path / "in"))
    assert find_format(Source(tmp_path / "in"), "loveda")[0].__name__.endswith("loveda")


def test_every_format_says_what_it_is() -> None:
    modules = known_formats()
    assert set(modules) <= set(FORMATS)
    for module in modules.values():
        assert "\n" not in module.SUMMARY
        assert callable(module.recognise)
        assert callable(module.read)
