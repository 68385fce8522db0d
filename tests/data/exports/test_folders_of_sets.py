"""Folders of published data sets that are pictures and masks as such: each picture finds its mask, and its split."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.pairs import find_pairs

from .prepared import make, masks, names, random_ids, save

# Of each set: a picture, its mask, and what else lies there; {} is a name.
LAYOUTS = {
    "sat and map": ("sat/{}.png", "map/{}.png", ()),
    "Massachusetts roads": ("train/sat/{}.tiff", "train/map/{}.tif", ()),
    "Massachusetts roads of Kaggle": ("tiff/train/{}.png", "tiff/train_labels/{}.tif", ("metadata.csv",)),
    "X and Y": ("Train_X/{}.png", "Train_Y/{}.png", ()),
    "x and y": ("x_train/{}.png", "y_train/{}.png", ()),
    "FloodNet": ("FloodNet/train/train-org-img/{}.jpg", "FloodNet/train/train-label-img/{}_lab.png", ()),
    "FloodNet without folders": ("train-org-img/{}.jpg", "train-label-img/{}_lab.png", ()),
    "DeepGlobe": ("train/{}_sat.jpg", "train/{}_mask.png", ("valid/9_sat.jpg",)),
    "INRIA": ("AerialImageDataset/train/images/{}.tif", "AerialImageDataset/train/gt/{}.tif", ()),
    "iSAID": (
        "train/images/images/{}.png",
        "train/Semantic_masks/images/{}_instance_color_RGB.png",
        ("train/Instance_masks/images/{}_instance_id_RGB.png",),
    ),
    "iSAID in tiles": ("img_dir/train/{}.png", "ann_dir/train/{}_instance_color_RGB.png", ()),
    "UAVid": ("uavid_train/{}/Images/000000.png", "uavid_train/{}/Labels/000000.png", ()),
    "DroneDeploy": ("images/{}-ortho.tif", "labels/{}-label.png", ("elevations/{}-elev.tif",)),
    "Semantic Drone Dataset": (
        "semantic_drone_dataset/training_set/images/{}.jpg",
        "semantic_drone_dataset/training_set/gt/semantic/label_images/{}.png",
        (),
    ),
    "Semantic Drone Dataset of Kaggle": (
        "dataset/semantic_drone_dataset/original_images/{}.jpg",
        "dataset/semantic_drone_dataset/label_images_semantic/{}.png",
        ("RGB_color_image_masks/RGB_color_image_masks/{}.png",),
    ),
    "KITTI": (
        "training/image_2/{}_10.png",
        "training/semantic/{}_10.png",
        ("training/semantic_rgb/{}_10.png", "training/instance/{}_10.png", "testing/image_2/9_10.png"),
    ),
    "Mapillary Vistas": (
        "training/images/{}.jpg",
        "training/v1.2/labels/{}.png",
        ("training/v1.2/instances/{}.png", "training/v1.2/panoptic/{}.png", "training/v2.0/labels/{}.png"),
    ),
    "Potsdam in patches": ("patches/img/{}.png", "patches/lab/{}.png", ()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_picture_finds_its_mask(tmp_path: Path, layout: str) -> None:
    picture, mask, others = LAYOUTS[layout]
    expected = {}
    for seed, name in enumerate(("seq1", "seq2", "seq3")):
        save(tmp_path / "in" / picture.format(name), seed)
        ids = random_ids(seed, 3)
        save(tmp_path / "in" / mask.format(name), ids)
        expected[name] = ids
        for other in others:
            if other.endswith(".csv"):
                (tmp_path / "in" / other).write_text("png_image_path\n")
            else:
                save(tmp_path / "in" / other.format(name), random_ids(9, 2))
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "id_masks"
    assert not prepared.failed
    found = masks(tmp_path / "out")
    assert len(found) == 3
    of = {one.name: one.source for one in prepared.written}
    for name, ids in found.items():
        split, _, stem = name.partition("/")
        assert split == "train"
        (which,) = (one for one in expected if one in of[stem])
        np.testing.assert_array_equal(ids, expected[which])


@pytest.mark.parametrize("palette", [True, False])
def test_the_classes_of_mapillary_vistas_are_in_its_config(tmp_path: Path, palette: bool) -> None:
    colours = [[165, 42, 42], [0, 192, 0], [196, 196, 196]]
    labels = [
        {"name": f"object--{i}", "readable": str(i), "color": colour, "evaluate": True}
        for i, colour in enumerate(colours)
    ]
    ids = random_ids(0, 3)
    for version in ("1.2", "2.0"):
        mask = Image.fromarray(ids if version == "1.2" else ids[::-1])
        if palette:
            mask.putpalette([part for colour in colours for part in colour])
        (tmp_path / f"in/training/v{version}/labels").mkdir(parents=True)
        mask.save(tmp_path / f"in/training/v{version}/labels/a.png")
        config = {"labels": labels, "version": version, "mapping": "public", "folder_name": "vistas"}
        (tmp_path / f"in/config_v{version}.json").write_text(json.dumps(config))
    (tmp_path / "in/config.json").write_text('{"labels": ["a"]}')
    save(tmp_path / "in/training/images/a.jpg", 0)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert names(prepared) == ["object--0", "object--1", "object--2"]
    assert prepared.ids.classes[1].colour == (0, 192, 0)
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)


@pytest.mark.parametrize(
    "files",
    [
        # What means something else where another word says mask.
        ["train/A/1.png", "train/map/1.png", "train/label/2.png"],
        ["sat/1.png", "map/2.png"],
        ["x/1.png", "z/1.png"],
    ],
)
def test_words_that_may_mean_something_else_make_no_pairs(files: list[str]) -> None:
    assert find_pairs(files).found == []


def test_a_word_that_may_mean_something_else_says_nothing_beside_one_that_does_not() -> None:
    found = find_pairs(["images/a.png", "map/a.png", "masks/a.png"])
    assert found.found == [("images/a.png", "masks/a.png")]
    assert found.without_mask == ["map/a.png"]
