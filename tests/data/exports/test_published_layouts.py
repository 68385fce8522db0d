"""Folders as published sets and tools leave them, whose names and tables are a little other than the plain ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.pairs import find_pairs
from internvl_seg.data.exports.source import Source

from .prepared import make, masks, names, random_ids, save

COLOURS = np.array([[64, 128, 64], [0, 0, 0], [128, 0, 0]], np.uint8)
VAIHINGEN = np.array([[255] * 3, [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], np.uint8)


def test_camvid_of_kaggle_whose_masks_end_in_l(tmp_path: Path) -> None:
    """train/NAME.png, train_labels/NAME_L.png and class_dict.csv: kaggle.com/datasets/carlolepelaars/camvid."""
    expected = {}
    for seed, split in enumerate(("train", "val", "test")):
        ids = random_ids(seed, 3)
        save(tmp_path / f"in/{split}/0001TP_00{seed}.png", seed)
        save(tmp_path / f"in/{split}_labels/0001TP_00{seed}_L.png", COLOURS[ids])
        expected[f"{split}/0001TP_00{seed}"] = np.array([0, 255, 1], np.uint8)[ids]
    (tmp_path / "in/class_dict.csv").write_text("name,r,g,b\nAnimal,64,128,64\nVoid,0,0,0\nBuilding,128,0,0\n")
    assert names(make(tmp_path / "in", tmp_path / "out")) == ["Animal", "Building"]
    found = masks(tmp_path / "out")
    assert found.keys() == expected.keys()
    for name, ids in expected.items():
        np.testing.assert_array_equal(found[name], ids)


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (
            ["images/a.jpg", "images/b.jpg", "labels/a_x.png", "labels/b_x.png"],
            {"images/a.jpg": "labels/a_x.png", "images/b.jpg": "labels/b_x.png"},
        ),
        # Two endings that are as good, and one that few have, say nothing.
        (["images/a.jpg", "labels/a_l.png", "labels/a_r.png"], {}),
        (["images/a.jpg", "images/b.jpg", "images/c.jpg", "labels/a_x.png"], {}),
        (["a.jpg", "a.png", "b.jpeg", "b.bmp", "c.jpg"], {"a.jpg": "a.png", "b.jpeg": "b.bmp"}),
        (["a.png", "a.tif"], {}),
        # Names that differ in case alone.
        (
            ["images/A.jpg", "images/a.jpg", "masks/A.png", "masks/a.png"],
            {"images/A.jpg": "masks/A.png", "images/a.jpg": "masks/a.png"},
        ),
        # Stereo pictures are pictures.
        (["images/a_l.png", "images/a_r.png", "masks/a_l.png"], {"images/a_l.png": "masks/a_l.png"}),
    ],
)
def test_pairs_by_an_ending_or_by_the_kind_of_file(files: list[str], pairs: dict[str, str]) -> None:
    assert dict(find_pairs(files).found) == pairs


def test_the_whole_ground_truth_of_vaihingen(tmp_path: Path) -> None:
    """The archives' folders: masks are called as the pictures, and those without boundaries lie in another."""
    ids = random_ids(0, 6)
    start = "ISPRS_semantic_labeling_Vaihingen"
    save(tmp_path / f"in/{start}/top/top_mosaic_09cm_area1.tif", 0)
    save(tmp_path / f"in/{start}_ground_truth_COMPLETE/top_mosaic_09cm_area1.tif", VAIHINGEN[ids])
    eroded = f"in/{start}_ground_truth_eroded_COMPLETE/top_mosaic_09cm_area1_noBoundary.tif"
    save(tmp_path / eroded, np.zeros((*ids.shape, 3), np.uint8))
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "isprs"
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/top_mosaic_09cm_area1"], ids)


@pytest.mark.parametrize("folder", ["SegmentationClass", "SegmentationClassPNG"])
def test_labelme_in_the_layout_of_voc_has_its_own_classes(tmp_path: Path, folder: str) -> None:
    """examples/semantic_segmentation/labelme2voc.py of labelme, of version 5 and of version 3."""
    ids = random_ids(0, 3)
    mask = Image.fromarray(ids)
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    (tmp_path / "in" / folder).mkdir(parents=True)
    mask.save(tmp_path / "in" / folder / "a.png")
    other = "SegmentationClassNpy" if folder == "SegmentationClass" else "SegmentationClass"
    (tmp_path / "in" / other).mkdir()
    np.save(tmp_path / "in" / other / "a.npy", ids)
    save(tmp_path / "in/JPEGImages/a.jpg", 0)
    (tmp_path / "in/class_names.txt").write_text("_background_\nperson\nbottle")
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "voc"
    assert names(prepared) == ["_background_", "person", "bottle"]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)
    (tmp_path / "in/class_names.txt").unlink()
    told = make(tmp_path / "in", tmp_path / "other")
    assert any("Pascal VOC's own 21; --classes" in note for note in told.export.notes)


def test_a_table_of_titles_in_json(tmp_path: Path) -> None:
    """classes.json of kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery."""
    save(tmp_path / "in/Tile 1/images/image_part_001.jpg", 0)
    save(tmp_path / "in/Tile 1/masks/image_part_001.png", COLOURS[random_ids(0, 3)])
    entry = '{"title": "%s", "shape": "polygon", "color": "#%s"}'
    table = [entry % pair for pair in (("Land", "408040"), ("Road", "000000"), ("Roof", "800000"))]
    (tmp_path / "in/classes.json").write_text('{{"classes": [{}], "tags": []}}'.format(", ".join(table)))
    assert names(make(tmp_path / "in", tmp_path / "out")) == ["Land", "Road", "Roof"]


def test_what_a_file_of_classes_calls_void_is_no_class(tmp_path: Path) -> None:
    ids = random_ids(0, 3)
    for kind, pixels in (("ids", ids), ("colours", COLOURS[ids])):
        save(tmp_path / kind / "images/a.png", 0)
        save(tmp_path / kind / "masks/a.png", pixels)
    named = tmp_path / "names.txt"
    named.write_text("tree 64 128 64\nvoid 0 0 0\nroof 128 0 0\n")
    for kind in ("ids", "colours"):
        prepared = make(tmp_path / kind, tmp_path / f"{kind}_out", classes=named)
        assert names(prepared) == ["tree", "roof"]
        assert prepared.ids.notes == ()
        np.testing.assert_array_equal(
            masks(tmp_path / f"{kind}_out")["train/a"], np.array([0, 255, 1], np.uint8)[ids], kind
        )


def test_ids_that_may_begin_with_one_are_told(tmp_path: Path) -> None:
    save(tmp_path / "in/images/a.png", 0)
    save(tmp_path / "in/masks/a.png", random_ids(0, 2) + 1)
    (tmp_path / "in/classes.txt").write_text("water\nroad\nroof\nfield\n")
    notes = make(tmp_path / "in", tmp_path / "out").export.notes
    assert any("No pixel has id 0, which is 'water'" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "words"), [("a.zip", r"unzip a\.zip -d FOLDER"), ("a.tar.gz", "Unpack it and name the folder")]
)
def test_archives_are_to_be_unpacked(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    for root in (tmp_path, tmp_path / name):
        with pytest.raises(SourceError, match=rf"is an archive\. .*{words}"):
            find_format(Source(root))


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("via_region_data.csv", "filename,region_shape_attributes\n", "VGG Image Annotator's table: .* as JSON"),
        ("a.xml", "<annotation><object><bndbox></bndbox></object></annotation>", "holds boxes alone"),
        (
            "a.xml",
            "<annotation><object><bndbox></bndbox><polygon><x1>1</x1></polygon></object></annotation>",
            "Roboflow's polygons: export 'COCO Segmentation'",
        ),
        ("_annotations.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n", "holds boxes alone, as TensorFlow's"),
        ("_annotations.createml.json", '[{"annotations":[{"coordinates":{"x":1}}]}]', "boxes alone, as CreateML's"),
        (
            "sem_seg_train.json",
            '[{"labels": [{"poly2d": []}]}]',
            "of Scalabel's polygons, as BDD100K's",
        ),
        ("export.ndjson", '{"data_row": {}}', "lines of JSON, as Labelbox's"),
        (
            "task-1-annotation-1-by-1-tag-road-0.png",
            "",
            "is a brush mask of Label Studio, whose name says the task and not the picture: export JSON",
        ),
        ("a.jpg", "", "has no pictures with masks of like names, such as"),
    ],
)
def test_what_is_near_to_a_format_says_what_to_do(tmp_path: Path, file: str, content: str, words: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(SourceError, match=rf"is no export of a known format\. .*{words}.* Known are"):
        find_format(Source(tmp_path))


@pytest.mark.parametrize("known", [True, False])
def test_colours_by_number_are_read_by_a_table_that_names_them(tmp_path: Path, known: bool) -> None:
    ids = random_ids(0, 3)
    mask = Image.fromarray(np.array([2, 0, 1], np.uint8)[ids])
    mask.putpalette([0, 255, 0, 0, 0, 255, 255 if known else 254, 0, 0])
    save(tmp_path / "in/images/a.jpg", 0)
    (tmp_path / "in/masks").mkdir()
    mask.save(tmp_path / "in/masks/a.png")
    (tmp_path / "in/labelmap.txt").write_text("red:255,0,0::\ngreen:0,255,0::\nblue:0,0,255::\n")
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == ("colour_masks" if known else "id_masks")
    expected = ids if known else np.array([2, 0, 1], np.uint8)[ids]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], expected)


def test_the_background_of_binary_masks_is_black(tmp_path: Path) -> None:
    save(tmp_path / "in/images/a.png", 0)
    save(tmp_path / "in/masks/a.png", random_ids(0, 2) * 255)
    assert make(tmp_path / "in", tmp_path / "out").ids.classes[0] == ("background", (0, 0, 0))


def test_cityscapes_with_ids_of_training_alone(tmp_path: Path) -> None:
    """As cityscapesscripts' createTrainIdLabelImgs.py writes them, and MMSegmentation's data set wants them."""
    ids = random_ids(0, 19)
    ids[0, 0] = 255
    save(tmp_path / "in/leftImg8bit/train/aachen/aachen_0_1_leftImg8bit.png", 0)
    save(tmp_path / "in/gtFine/train/aachen/aachen_0_1_gtFine_labelTrainIds.png", ids)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "cityscapes"
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/aachen_0_1_leftImg8bit"], ids)


@pytest.mark.parametrize(
    ("picture", "mask", "other"),
    [
        (
            "images/10k/{}/0004a4c0-d4dff0ad.jpg",
            "labels/sem_seg/masks/{}/0004a4c0-d4dff0ad.png",
            "labels/sem_seg/colormaps/{}/0004a4c0-d4dff0ad.png",
        ),
        (
            "seg/images/{}/0004a4c0-d4dff0ad.jpg",
            "seg/labels/{}/0004a4c0-d4dff0ad_train_id.png",
            "seg/color_labels/{}/0004a4c0-d4dff0ad_train_color.png",
        ),
    ],
)
def test_bdd100k_as_of_2020_and_of_2018(tmp_path: Path, picture: str, mask: str, other: str) -> None:
    """Folders of doc.bdd100k.com/format.html; masks in colours lie beside those of ids."""
    maps = {}
    for seed, split in enumerate(("train", "val")):
        maps[split] = random_ids(seed, 19)
        maps[split][5] = 255
        save(tmp_path / "in/bdd100k" / picture.format(split), seed)
        save(tmp_path / "in/bdd100k" / mask.format(split), maps[split])
        save(tmp_path / "in/bdd100k" / other.format(split), seed)
    save(tmp_path / "in/bdd100k" / picture.format("test").replace("d4", "d5"), 9)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "bdd100k"
    assert names(prepared)[13] == "car"
    found = masks(tmp_path / "out")
    assert set(found) == {"train/0004a4c0-d4dff0ad", "val/0004a4c0-d4dff0ad"}
    for split, expected in maps.items():
        np.testing.assert_array_equal(found[f"{split}/0004a4c0-d4dff0ad"], expected)
    assert "1 of 3 pictures have no mask, as those of the test set." in prepared.export.notes


def test_bdd100k_without_pictures(tmp_path: Path) -> None:
    save(tmp_path / "in/bdd100k/labels/sem_seg/masks/train/a.png", random_ids(0, 19))
    with pytest.raises(SourceError, match="no pictures in images/10k"):
        make(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("base", ["ADEChallengeData2016/", ""])
def test_ade20k_has_ids_from_one_up(tmp_path: Path, base: str) -> None:
    """ADEChallengeData2016.zip: what is of none of its classes is 0, and was read as a class of its own."""
    maps = {}
    for seed, (folder, split) in enumerate((("training", "train"), ("validation", "val"))):
        name = f"ADE_{split}_0000000{seed}"
        maps[f"{split}/{name}"] = random_ids(seed, 151)
        save(tmp_path / f"in/{base}images/{folder}/{name}.jpg", seed)
        save(tmp_path / f"in/{base}annotations/{folder}/{name}.png", maps[f"{split}/{name}"])
    save(tmp_path / f"in/{base}images/training/ADE_train_00000007.jpg", 7)
    (tmp_path / f"in/{base}objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0\t1\t1\t1\twall\n")
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "ade20k"
    assert (len(names(prepared)), prepared.ids.classes[0]) == (150, ("wall", (120, 120, 120)))
    found = masks(tmp_path / "out")
    assert found.keys() == maps.keys()
    for name, ids in maps.items():
        np.testing.assert_array_equal(found[name], np.where(ids == 0, 255, ids.astype(int) - 1))
    assert "1 of 3 pictures have no mask and count as not labelled." in prepared.export.notes
