"""Kaggle's tables: Airbus, Severstal (old and new), Understanding Clouds, TGS Salt, Sartorius and UW-Madison."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from internvl_seg.data.exports.export import UNLABELLED, SourceError, Window
from internvl_seg.data.exports.formats import kaggle_rle
from internvl_seg.data.exports.source import Source

from ..making import by_name, drawn, ids, picture, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        picture(tmp_path / "train_images" / name)
    written(tmp_path / "sample_submission.csv", "ImageId,EncodedPixels\nz.jpg,1 1\n")
    return tmp_path


def columns(found: np.ndarray, value: int) -> list[int]:
    return np.flatnonzero((found == value).any(0)).tolist()


def test_a_row_an_object_and_none_for_an_empty_picture(folder: Path) -> None:
    written(folder / "train.csv", "ImageId,EncodedPixels\na.jpg,1 20\na.jpg,41 20 81 20\nb.jpg,\ngone.jpg,1 1\n")
    assert kaggle_rle.recognise(Source(folder)) == "train.csv has a column 'EncodedPixels'"
    export = kaggle_rle.read(Source(folder))
    assert [label.name for label in export.classes] == ["object"]
    assert [each.name for each in export.pictures] == ["train_images/a", "train_images/b"]
    assert columns(ids(export, "train_images/a"), 0) == [0, 2, 4]
    assert (ids(export, "train_images/b") == UNLABELLED).all()
    assert export.notes == (
        "The runs of train.csv are read down the columns, as those of most of Kaggle's tables.",
        "Tables of submissions, left out: 1; the first is sample_submission.csv.",
        "Rows of pictures that are not there, left out: 1; the first is gone.jpg in line 5 of train.csv.",
        "Pictures without an object, background alone: 1; the first is train_images/b.jpg in line 4 of train.csv.",
        "Pictures that no table names, left out (are they without an object?): 1; the first is train_images/c.jpg.",
    )


def test_image_and_label_in_one_column(folder: Path) -> None:
    rows = "a.jpg_Fish,1 20\na.jpg_Sugar,11 20\na.jpg_Gravel,\n"
    written(folder / "train.csv", f"Image_Label,EncodedPixels\n{rows}")
    export = kaggle_rle.read(Source(folder))
    assert [label.name for label in export.classes] == ["Fish", "Gravel", "Sugar"]
    found = drawn(export, "train_images/a")
    assert (columns(found.ids, 0), columns(found.ids, 2), found.overlapped) == ([0], [0, 1], 10)


@pytest.mark.parametrize("header", ["ImageId,ClassId,EncodedPixels", "ImageId_ClassId,EncodedPixels"])
def test_classes_as_numbers(folder: Path, header: str) -> None:
    mark = "_" if "_" in header else ","
    written(folder / "train.csv", f"{header}\na.jpg{mark}10,1 20\na.jpg{mark}3,21 20\n")
    assert [label.name for label in kaggle_rle.read(Source(folder)).classes] == ["3", "10"]
    names = written(folder / "names.txt", "".join(f"defect {i}\n" for i in range(1, 11)))
    export = kaggle_rle.read(Source(folder, classes=names))
    assert len(export.classes) == 10
    assert (columns(ids(export, "train_images/a"), 9), columns(ids(export, "train_images/a"), 2)) == ([0], [1])


def test_names_without_a_suffix_and_masks_beside_the_pictures(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        picture(tmp_path / "train" / kind / "00ae65c6.png")
    written(tmp_path / "train.csv", "\ufeffid,rle_mask\n00ae65c6,21 20\n")
    name = written(tmp_path / "names.txt", "salt #ff0000\n")
    export = kaggle_rle.read(Source(tmp_path, classes=name))
    assert [(each.name, each.split) for each in export.pictures] == [("train/images/00ae65c6", None)]
    assert export.classes[0].colour == (255, 0, 0)
    assert columns(ids(export, "train/images/00ae65c6"), 0) == [1]


def test_a_field_that_is_longer_than_csv_takes(folder: Path) -> None:
    runs = " ".join("1 20" for _ in range(40_000))
    written(folder / "train.csv", f"ImageId,EncodedPixels\na.jpg,{runs}\n")
    assert columns(ids(kaggle_rle.read(Source(folder)), "train_images/a"), 0) == [0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Picture,EncodedPixels\na.jpg,1 1\n", "ImageId and EncodedPixels were expected"),
        ("ImageId,EncodedPixels\na.jpg,1 1,7\n", "line 2 of train.csv has 3 fields"),
        ("Image_Label,EncodedPixels\nFish,1 1\n", "line 2 of train.csv has 'Fish'"),
        (
            "ImageId,ClassId,EncodedPixels\na.jpg,1,1 1\na.jpg,,1 1\n",
            "line 3 of train.csv has run lengths and no class",
        ),
        ("ImageId,EncodedPixels\ngone.jpg,1 1\n", "None of the labelled pictures"),
    ],
)
def test_what_is_not_as_kaggle_says(folder: Path, content: str, words: str) -> None:
    written(folder / "train.csv", content)
    with pytest.raises(SourceError, match=words):
        kaggle_rle.read(Source(folder))


def test_runs_beyond_the_picture(folder: Path) -> None:
    written(folder / "train.csv", "ImageId,EncodedPixels\na.jpg,590 20\n")
    labels = by_name(kaggle_rle.read(Source(folder)), "train_images/a").labels
    assert labels is not None
    with pytest.raises(SourceError, match=r"line 2 of train\.csv has a run from pixel 590, 20 long"):
        labels((20, 30), Window(0, 0, 20, 30))


def test_submissions_alone(folder: Path) -> None:
    with pytest.raises(SourceError, match="submissions alone"):
        kaggle_rle.read(Source(folder))


def test_a_class_that_the_given_file_has_not(folder: Path) -> None:
    written(folder / "train.csv", "Image_Label,EncodedPixels\na.jpg_Fish,1 20\n")
    names = written(folder / "names.txt", "Sugar\nFlower\n")
    with pytest.raises(SourceError, match=r"has class 'Fish', but .*names\.txt \(--classes\) names Sugar, Flower"):
        kaggle_rle.read(Source(folder, classes=names))


def test_the_runs_of_carvana_go_along_the_rows(folder: Path) -> None:
    written(folder / "train_masks.csv", "img,rle_mask\na.jpg,2 3 31 2\n")
    export = kaggle_rle.read(Source(folder))
    assert np.argwhere(ids(export, "train_images/a") == 0).tolist() == [[0, 1], [0, 2], [0, 3], [1, 0], [1, 1]]
    assert "The runs of train_masks.csv are read along the rows, as those of Carvana." in export.notes


def runs(mask: np.ndarray, order: Literal["C", "F"]) -> str:
    """As the encoders of public notebooks write a mask."""
    flat = np.concatenate(([0], mask.ravel(order), [0]))
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges.tolist()))


def blob(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    """A disc."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:height, :width]
    row, column = rng.integers(5, height - 5), rng.integers(5, width - 5)
    return (y - row) ** 2 + (x - column) ** 2 < 30


def test_sartorius_has_a_row_an_instance_along_the_rows(tmp_path: Path) -> None:
    """The columns of train.csv of sartorius-cell-instance-segmentation, pictures in train/."""
    picture(tmp_path / "train" / "0030fd0e6378.png")
    cells = [blob(seed) for seed in (1, 2, 3)]
    head = "id,annotation,width,height,cell_type,plate_time,sample_date,sample_id,elapsed_timedelta"
    end = "11h30m00s,2019-06-16,x[old]_A1-1,0 days 11:30:00"
    kinds = ("shsy5y", "astro", "shsy5y")
    rows = [f"0030fd0e6378,{runs(cell, 'C')},30,20,{kind},{end}" for cell, kind in zip(cells, kinds, strict=True)]
    written(tmp_path / "train.csv", "\n".join([head, *rows]) + "\n")
    assert kaggle_rle.recognise(Source(tmp_path)) == "train.csv has a column 'annotation'"
    export = kaggle_rle.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["astro", "shsy5y"]
    expected = np.full((20, 30), UNLABELLED)
    for cell, kind in zip(cells, kinds, strict=True):
        expected[cell] = kind == "shsy5y"
    np.testing.assert_array_equal(ids(export, "train/0030fd0e6378"), expected)
    assert "The runs of train.csv are read along the rows, as those of Sartorius." in export.notes


def test_the_size_that_a_table_says(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "a.png")
    written(tmp_path / "train.csv", "id,annotation,width,height,cell_type\na,1 5,20,30,cort\n")
    labels = by_name(kaggle_rle.read(Source(tmp_path)), "train/a").labels
    assert labels is not None
    with pytest.raises(SourceError, match=r"a\.png of train\.csv was labelled with 30 rows and 20 columns"):
        labels((20, 30), Window(0, 0, 20, 30))


def test_uw_madison_has_slices_in_folders_of_cases(tmp_path: Path) -> None:
    """Rows and folders of uw-madison-gi-tract-image-segmentation: three rows a slice, some of them empty."""
    scans = [f"case{case}/case{case}_day{day}/scans" for case, day in ((2, 1), (2, 3), (15, 1))]
    organs = ("large_bowel", "small_bowel", "stomach")
    rows, expected = ["id,class,segmentation"], {}
    for i, scan in enumerate(scans):
        name = f"train/{scan}/slice_0001_30_20_1.50_1.50"
        picture(tmp_path / f"{name}.png")
        expected[name] = np.full((20, 30), UNLABELLED)
        for value, organ in enumerate(organs):
            there = (i + value) % 3 > 0
            if there:
                expected[name][blob(10 * i + value)] = value
            text = runs(blob(10 * i + value), "C") if there else ""
            rows.append(f"{scan.split('/')[1]}_slice_0001,{organ},{text}")
    written(tmp_path / "train.csv", "\n".join([*rows, "case9_day1_slice_0001,stomach,"]))
    export = kaggle_rle.read(Source(tmp_path))
    assert [label.name for label in export.classes] == list(organs)
    assert {each.name: each.group for each in export.pictures} == {
        name: name.split("/")[1] for name in sorted(expected)
    }
    for name, map_ in expected.items():
        np.testing.assert_array_equal(ids(export, name), map_)
    assert "The runs of train.csv are read along the rows, as those of UW-Madison." in export.notes
    assert any("case9_day1_slice_0001 in line 11" in note for note in export.notes)


@pytest.mark.parametrize("header", ["ImageId,EncodedPixels", "id,annotation,cell_type"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_which_way_the_runs_go_is_seen(tmp_path: Path, header: str, order: Literal["C", "F"]) -> None:
    rows = []
    for i in range(8):
        picture(tmp_path / f"{i}.png", 40, 70)
        rows.append(f"{i}.png,{runs(blob(i, 40, 70), order)}{',x' if 'cell' in header else ''}")
    written(tmp_path / "train.csv", "\n".join([header, *rows]))
    export = kaggle_rle.read(Source(tmp_path))
    for i in range(8):
        np.testing.assert_array_equal(ids(export, str(i), 40, 70) == 0, blob(i, 40, 70))
    other = (order == "C") != ("cell" in header)
    assert any("fall apart into lines" in note for note in export.notes) == other
    assert any(("along the rows" if order == "C" else "down the columns") in note for note in export.notes)


def test_noise_is_read_as_the_columns_say(tmp_path: Path) -> None:
    rows = []
    for i in range(3):
        picture(tmp_path / f"{i}.png", 40, 70)
        rows.append(f"{i}.png,{runs(np.random.default_rng(i).random((40, 70)) < 0.5, 'F')}")
    written(tmp_path / "train.csv", "\n".join(["ImageId,EncodedPixels", *rows]))
    assert any("down the columns, as those of most" in note for note in kaggle_rle.read(Source(tmp_path)).notes)


def relative(mask: np.ndarray) -> str:
    """``mask2rle`` of SIIM's mask_functions.py: starts are counted from the end of the run before."""
    pairs = np.array(runs(mask, "F").split(), int).reshape(-1, 2)
    ends = np.concatenate(([1], pairs.sum(1)[:-1]))
    return " ".join(f"{start - end} {length}" for (start, length), end in zip(pairs, ends, strict=True))


def test_siim_counts_from_the_run_before(tmp_path: Path) -> None:
    """Names of pictures have dots, and there is a blank in the header and before -1."""
    masks = {f"1.2.276.0.7230010.{i}": blob(i, 40, 40) for i in range(3)}
    rows = [f"{name}, {relative(mask)}" for name, mask in masks.items()]
    for name in [*masks, "1.2.9"]:
        picture(tmp_path / f"{name}.png", 40, 40)
    assert any(int(after) < int(before) for before, after in pairwise(relative(blob(0, 40, 40)).split()[0::2]))
    written(tmp_path / "train-rle.csv", "\n".join(["ImageId, EncodedPixels", *rows, "1.2.9, -1"]))
    export = kaggle_rle.read(Source(tmp_path))
    for name, mask in masks.items():
        np.testing.assert_array_equal(ids(export, name, 40, 40) == 0, mask)
    assert (ids(export, "1.2.9", 40, 40) == UNLABELLED).all()
    assert any("counted from the run before, as those of SIIM-ACR" in note for note in export.notes)
    written(tmp_path / "train-rle.csv", "ImageId,EncodedPixels\n1.2.9,9 2 3 1 4\n")
    with pytest.raises(SourceError, match=r"line 2 of train-rle\.csv has 5 numbers"):
        kaggle_rle.read(Source(tmp_path))
