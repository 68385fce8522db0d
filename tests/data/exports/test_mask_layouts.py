"""Masks in the layouts of tools and of published data sets become ids, pixel by pixel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset, LoveDADataset, PotsdamDataset
from numpy.typing import NDArray
from PIL import Image

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.formats import cityscapes, isprs, loveda, voc
from internvl_seg.data.exports.source import Source

from .prepared import SIZE, make, masks, names, random_ids, save

Ids = NDArray[np.uint8]


def cvat(root: Path, *, pictures: bool = True) -> dict[str, Ids]:
    """As datumaro 1 writes it for CVAT: ``plugins/data_formats/voc/exporter.py`` and its ``labelmap.txt``."""
    colours = {"background": (0, 0, 0), "car": (250, 50, 83), "aeroplane": (51, 221, 255)}
    lines = [f"{name}:{','.join(map(str, colours[name]))}::" for name in sorted(colours)]
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines) + "\n")
    listed = ["a", "day 1/b", "empty"]
    (root / "ImageSets/Segmentation/default.txt").write_text("\n".join(listed) + "\n")
    found = {}
    for seed, name in enumerate(listed):
        if pictures:
            save(root / f"JPEGImages/{name}.jpg", seed)
        if name != "empty":
            found[name] = random_ids(seed, 3)
            table = np.array([colours[one] for one in ("background", "aeroplane", "car")], np.uint8)
            save(root / f"SegmentationClass/{name}.png", table[found[name]])
            save(root / f"SegmentationObject/{name}.png", table[found[name]])
    return found


@pytest.mark.parametrize("elsewhere", [False, True])
def test_cvat_masks(tmp_path: Path, elsewhere: bool) -> None:
    ids = cvat(tmp_path / "in", pictures=not elsewhere)
    if elsewhere:
        for seed, name in enumerate(["a", "day 1/b", "empty"]):
            save(tmp_path / f"photos/{name}.png", seed)
    prepared = make(tmp_path / "in", tmp_path / "out", images=tmp_path / "photos" if elsewhere else None)
    assert prepared.export.format == "cvat_masks"
    assert names(prepared) == ["background", "aeroplane", "car"]
    found = masks(tmp_path / "out")
    np.testing.assert_array_equal(found["train/a"], ids["a"])
    np.testing.assert_array_equal(found["train/b"], ids["day 1/b"])
    assert (found["train/empty"] == 0).all()
    assert any("1 pictures are listed and have no mask" in note for note in prepared.export.notes)


def test_cvat_without_pictures_says_where_they_may_be(tmp_path: Path) -> None:
    cvat(tmp_path / "in", pictures=False)
    with pytest.raises(SourceError, match=r"3 pictures are not in the export, the first is a\..*--images FOLDER"):
        make(tmp_path / "in", tmp_path / "out")


def roboflow(root: Path) -> dict[str, Ids]:
    """As Roboflow exports 'Semantic Segmentation Masks': ``_classes.csv`` in each split, with blanks."""
    ids = {}
    for seed, split in enumerate(("train", "valid", "test")):
        stem = f"street.v2_jpg.rf.{seed}0ff"
        save(root / f"{split}/{stem}.jpg", seed)
        ids[split] = random_ids(seed, 3)
        save(root / f"{split}/{stem}_mask.png", ids[split])
        (root / f"{split}/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, sea lion\n")
    return ids


def test_roboflow_masks(tmp_path: Path) -> None:
    ids = roboflow(tmp_path / "in")
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "roboflow_masks"
    assert names(prepared) == ["background", "cat", "sea lion"]
    found = masks(tmp_path / "out")
    assert set(found) == {"train/street.v2_jpg.rf.00ff", "val/street.v2_jpg.rf.10ff", "test/street.v2_jpg.rf.20ff"}
    np.testing.assert_array_equal(found["val/street.v2_jpg.rf.10ff"], ids["valid"])
    assert {picture.group for picture in prepared.export.pictures} == {"street.v2_jpg"}
    assert any("1 groups are in more than one of the source's splits" in note for note in prepared.plan.notes)


@pytest.mark.parametrize(
    ("classes", "theirs"),
    [
        (loveda._CLASSES, LoveDADataset),
        (cityscapes.TRAINED_CLASSES, CityscapesDataset),
        (isprs._CLASSES, PotsdamDataset),
    ],
)
def test_colours_are_those_that_mmsegmentation_has(classes: Any, theirs: Any) -> None:
    assert [list(entry[-1]) for entry in classes] == [list(colour) for colour in theirs.METAINFO["palette"]]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"Pixel Value, Class\n0, a\x10", r"_classes\.csv:2 holds the character '\\x10'"),
        (b"Pixel Value, Class\n0, " + b"a" * 200_000, r"_classes\.csv is no CSV: field larger than field limit"),
    ],
)
def test_roboflow_tables_that_are_none(tmp_path: Path, table: bytes, words: str) -> None:
    roboflow(tmp_path / "in")
    (tmp_path / "in/train/_classes.csv").write_bytes(table)
    with pytest.raises(SourceError, match=words):
        make(tmp_path / "in", tmp_path / "out")


# Where `helpers/labels.py` of cityscapesscripts has a trainId from 0 to 18.
TRAINED = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def cityscapes_folders(root: Path) -> dict[str, Ids]:
    """Names of cityscapesscripts: ``helpers/csHelpers.py``, ids of ``helpers/labels.py``."""
    ids = {}
    for seed, (split, city) in enumerate((("train", "aachen"), ("val", "lindau"), ("test", "berlin"))):
        stem = f"{city}_000000_000019"
        save(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", seed)
        start = root / f"gtFine/{split}/{city}/{stem}_gtFine_"
        ids[split] = random_ids(seed, 34)
        save(Path(f"{start}labelIds.png"), ids[split])
        save(Path(f"{start}instanceIds.png"), ids[split].astype(np.uint16) * 1000)
        save(Path(f"{start}color.png"), seed)
    return ids


def test_cityscapes(tmp_path: Path) -> None:
    ids = cityscapes_folders(tmp_path / "in")
    prepared = make(tmp_path / "in", tmp_path / "out")
    expected = np.full(34, 255)
    expected[TRAINED] = np.arange(19)
    found = masks(tmp_path / "out")
    assert list(found) == ["train/aachen_000000_000019_leftImg8bit", "val/lindau_000000_000019_leftImg8bit"]
    for split, mask in zip(("train", "val"), found.values(), strict=True):
        np.testing.assert_array_equal(mask, expected[ids[split]])
    assert names(prepared)[13] == "car"
    assert "it has no labels" in prepared.plan.left_out.values()
    assert cityscapes.recognise(Source(tmp_path / "in/gtFine")) is None


def voc_devkit(root: Path) -> Ids:
    """As VOCdevkit: palette PNGs, 255 at borders, most pictures without a mask; gives the mask that all others have."""
    base = root / "VOCdevkit/VOC2012"
    ids = random_ids(0, 21)
    ids[5] = 255
    palette = np.zeros((256, 3), np.uint8)
    palette[:21] = voc._palette(21)
    palette[255] = (224, 224, 192)
    for name, split in (("2007_000032", "train"), ("2007_000033", "val"), ("2007_000039", None)):
        save(base / f"JPEGImages/{name}.jpg", int(name[-2:]))
        if split:
            mask = Image.fromarray(ids)
            mask.putpalette(palette.ravel().tolist())
            (base / "SegmentationClass").mkdir(exist_ok=True)
            mask.save(base / f"SegmentationClass/{name}.png")
            assert Image.open(base / f"SegmentationClass/{name}.png").mode == "P"
            (base / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
            (base / f"ImageSets/Segmentation/{split}.txt").write_text(name + "\n")
    return ids


def test_voc(tmp_path: Path) -> None:
    ids = voc_devkit(tmp_path / "in")
    prepared = make(tmp_path / "in", tmp_path / "out")
    found = masks(tmp_path / "out")
    assert list(found) == ["train/2007_000032", "val/2007_000033"]
    np.testing.assert_array_equal(found["train/2007_000032"], ids)
    assert prepared.ids.classes[1] == ("aeroplane", (128, 0, 0))
    assert prepared.ids.classes[20] == ("tvmonitor", (0, 64, 128))
    assert prepared.plan.left_out == {"2007_000039": "it has no labels"}


def test_voc_that_was_saved_in_its_colours(tmp_path: Path) -> None:
    ids = random_ids(0, 21)
    ids[5] = 255
    palette = np.zeros((256, 3), np.uint8)
    palette[:21] = voc._palette(21)
    palette[255] = (224, 224, 192)
    save(tmp_path / "in/JPEGImages/a.jpg", 0)
    save(tmp_path / "in/SegmentationClass/a.png", palette[ids])
    make(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)


def loveda_folders(root: Path) -> dict[str, Ids]:
    """Folders and ids of LoveDA's README: 0 no data, 1 background ... 7 agriculture."""
    ids = {}
    for seed, (split, area) in enumerate((("Train", "Urban"), ("Val", "Rural"))):
        save(root / f"{split}/{area}/images_png/{seed}.png", seed)
        ids[split] = random_ids(seed, 8)
        save(root / f"{split}/{area}/masks_png/{seed}.png", ids[split])
    save(root / "Test/Urban/images_png/9.png", 9)
    return ids


def test_loveda(tmp_path: Path) -> None:
    ids = loveda_folders(tmp_path / "in")
    prepared = make(tmp_path / "in", tmp_path / "out")
    found = masks(tmp_path / "out")
    np.testing.assert_array_equal(found["train/0"], np.array([255, *range(7)])[ids["Train"]])
    np.testing.assert_array_equal(found["val/1"], np.array([255, *range(7)])[ids["Val"]])
    assert names(prepared)[0] == "background"
    assert loveda.recognise(Source(tmp_path / "in/Test")) is None


ISPRS = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0], [0, 0, 0]])


def isprs_pair(root: Path, picture: str, mask: str, seed: int = 0) -> Ids:
    """File names of the benchmark's archives; some of Potsdam's masks hold 252 for 255."""
    ids = random_ids(seed, 7)
    colours = ISPRS.astype(np.uint8)[ids]
    colours[0][colours[0] == 255] = 252
    save(root / picture, seed)
    save(root / mask, colours)
    if "potsdam" in picture:
        save(root / picture.replace("2_Ortho", "4_Ortho").replace("_RGB", "_RGBIR"), 100 + seed)
    return ids


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("2_Ortho_RGB/top_potsdam_2_10_RGB.tif", "5_Labels_all/top_potsdam_2_10_label.tif"),
        ("top/top_mosaic_09cm_area1.tif", "gts_for_participants/top_mosaic_09cm_area1.tif"),
        ("top/top_mosaic_09cm_area1.tif", "gts_eroded/top_mosaic_09cm_area1_noBoundary.tif"),
    ],
)
def test_isprs(tmp_path: Path, picture: str, mask: str) -> None:
    ids = isprs_pair(tmp_path / "in", picture, mask)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "isprs"
    (found,) = masks(tmp_path / "out").values()
    np.testing.assert_array_equal(found, np.where(ids == 6, 255, ids))
    assert names(prepared)[4] == "car"
    assert any("not used: RGBIR" in note for note in prepared.export.notes) == ("potsdam" in picture)
    assert isprs.recognise(Source(tmp_path / "in" / picture)) is None


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    save(tmp_path / "in/Train/Urban/images_png/0.png", 0)
    save(tmp_path / "in/Train/Urban/masks_png/0.png", random_ids(0, 8, (SIZE[0] + 1, SIZE[1])))
    with pytest.raises(SourceError, match=r"masks_png/0\.png is 60 x 41 pixels, its picture 60 x 40"):
        make(tmp_path / "in", tmp_path / "out")
