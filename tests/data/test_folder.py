import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from PIL import Image

from internvl_seg.data.class_files import ClassFileError
from internvl_seg.data.folder import FolderError, class_weights, read_classes
from internvl_seg.data.palette import distinct_palette

LOAD = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images, of two formats, with classes 0 to 2 and ignored pixels."""
    init_default_scope("mmseg")
    for kind in ("images", "annotations"):
        (tmp_path / kind / "train").mkdir(parents=True)
    for i, suffix in enumerate((".jpg", ".tif")):
        Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "images" / "train" / f"image{i}{suffix}")
        mask = np.array([[0, 1, 255], [i + 1, 0, 0]], np.uint8)
        Image.fromarray(mask).save(tmp_path / "annotations" / "train" / f"image{i}.png")
    return tmp_path


PREFIX = {"img_path": "images/train", "seg_map_path": "annotations/train"}


def build(root: Path, **fields: Any) -> Any:
    return DATASETS.build(
        {"type": "FolderDataset", "data_root": str(root), "data_prefix": PREFIX, "pipeline": LOAD, **fields}
    )


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_pairs_are_read_whatever_the_image_format(root: Path) -> None:
    (root / "images" / "train" / "notes.txt").write_text("not an image")
    dataset = build(root)
    assert [sample["gt_seg_map"][1, 0] for sample in dataset] == [1, 2]
    assert dataset.metainfo["classes"] == ["class 0", "class 1", "class 2"]
    assert dataset.metainfo["palette"] == distinct_palette(3)


def test_without_names_and_masks_both_are_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "images/train/a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "annotations/train").mkdir(parents=True)
    with pytest.raises(
        FolderError, match=r"annotations.train holds no mask of the 1 images in .*no .*classes\.txt that"
    ):
        read_classes(tmp_path)


def test_classes_are_named_by_classes_txt(root: Path) -> None:
    (root / "classes.txt").write_text("sky\nsign symbol\n\n")
    assert read_classes(root) == ["sky", "sign symbol"]
    assert build(root).metainfo["classes"] == ["sky", "sign symbol"]


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["annotations/train/image1.png"], "1 of 2 images .* have no mask; the first is .*image1.png"),
        (["images/train/image0.jpg", "images/train/image1.tif"], r"train holds no image\. Expected images/"),
    ],
)
def test_incomplete_folder_says_what_is_missing(root: Path, remove: list[str], message: str) -> None:
    (root / "classes.txt").write_text("a\nb\nc\n")
    for name in remove:
        (root / name).unlink()
    with pytest.raises(FolderError, match=message):
        build(root)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"nowhere.images.train is not a folder"):
        read_classes(tmp_path / "nowhere")


def test_rare_classes_weigh_more() -> None:
    labels = np.full((20, 100), 255, np.uint8)
    labels[:8], labels[8] = 0, 1
    labels[9, :1] = 2
    assert class_weights([labels, labels], 4) == [1.0, 2.0, 5.0, 5.0]


def names(dataset: Any) -> list[str]:
    """The images of a data set, below its folder of images."""
    return [
        os.path.relpath(info["img_path"], dataset.data_prefix["img_path"])
        for info in map(dataset.get_data_info, range(len(dataset)))
    ]


def test_upper_case_suffixes_are_images(root: Path) -> None:
    for path in (root / "images/train").iterdir():
        path.rename(path.with_suffix(path.suffix.upper()))
    assert names(build(root)) == ["image0.JPG", "image1.TIF"]


def test_masks_of_nothing_but_zeros_have_one_class(tmp_path: Path) -> None:
    init_default_scope("mmseg")
    save(tmp_path / "images/train/a.png", np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / "annotations/train/a.png", np.zeros((2, 3), np.uint8))
    assert read_classes(tmp_path) == ["class 0"]
    assert build(tmp_path).metainfo["classes"] == ["class 0"]


def test_classes_are_counted_over_all_splits_with_the_pipelines_reader(root: Path) -> None:
    save(root / "images/test/site/x.png", np.zeros((2, 3, 3), np.uint8))
    mask = np.full((2, 3, 3), 5, np.uint8)
    save(root / "annotations/test/site/x.png", mask)
    for split in ("train", "test"):
        prefix = {key: value.replace("train", split) for key, value in PREFIX.items()}
        assert build(root, data_prefix=prefix).metainfo["classes"] == [f"class {i}" for i in range(6)]
    assert len(read_classes(root)) == 6
    save(root / "annotations/test/site/x.png", np.full((2, 3), 4, np.uint8))  # Another time and size: counted anew.
    assert len(read_classes(root)) == 5


def test_other_labels_than_255_are_not_counted(root: Path) -> None:
    save(root / "annotations/train/image0.png", np.array([[0, 11, 255], [1, 0, 0]], np.uint8))
    assert len(build(root, ignore_index=11).metainfo["classes"]) == 3
    assert len(build(root).metainfo["classes"]) == 12
    dataset = build(root, reduce_zero_label=True, ignore_index=11)
    assert dataset.metainfo["classes"] == ["class 1", "class 2"]
    assert dataset[1]["gt_seg_map"].tolist() == [[255, 0, 255], [1, 255, 255]]


def test_values_that_are_no_ids_are_not_thousands_of_classes(root: Path) -> None:
    save(root / "annotations/train/image0.png", np.full((2, 3), 40_000, np.uint16))
    with pytest.raises(FolderError, match=r"image0\.png holds 40000: there would be 40001 classes"):
        build(root)
    save(
        root / "annotations/train/image0.png", np.stack([np.zeros((2, 3)), *[np.ones((2, 3))] * 2], -1).astype(np.uint8)
    )
    with pytest.raises(FolderError, match=r"image0\.png has 3 channels that differ.*prepare_dataset"):
        build(root)


@pytest.mark.parametrize("content", ["Straße\r\nHaus\r\n".encode(e) for e in ("utf-8-sig", "utf-16", "latin-1")])
def test_classes_txt_of_windows(content: bytes, root: Path) -> None:
    (root / "classes.txt").write_bytes(content)
    assert build(root).metainfo["classes"] == ["Straße", "Haus"]


def test_colours_of_classes_txt_are_the_palette(root: Path) -> None:
    taken = distinct_palette(1)[0]
    (root / "classes.txt").write_text(f"sky\nroad 2 128 64 0\ntree #{bytes(taken).hex()}\n")
    palette = build(root).metainfo["palette"]
    assert palette[1:] == [[128, 64, 0], taken]
    assert palette[0] not in palette[1:]
    assert build(root, metainfo={"classes": ["tree", "road 2"]}).metainfo["palette"] == [taken, [128, 64, 0]]


def test_a_fault_in_classes_txt_names_its_line(root: Path) -> None:
    (root / "classes.txt").write_text("a\nb\na\n")
    with pytest.raises(ClassFileError, match=r"classes\.txt:3 names 'a' again"):
        build(root)


def test_metainfo_names_the_classes_where_nothing_else_does(root: Path, tmp_path: Path) -> None:
    dataset = build(root, metainfo={"classes": ("ground", "square", "x"), "palette": [[1, 2, 3]] * 3, "task": "t"})
    assert (dataset.metainfo["classes"], dataset.metainfo["task"]) == (["ground", "square", "x"], "t")
    assert (dataset.metainfo["palette"], dataset.metainfo["label_map"]) == ([[1, 2, 3]] * 3, None)
    (tmp_path / "names.txt").write_text("ground\nsquare #010203\nx\n")
    dataset = build(root, metainfo={"classes": str(tmp_path / "names.txt")})
    assert dataset.metainfo["classes"] == ["ground", "square", "x"]
    assert dataset.metainfo["palette"][1] == [1, 2, 3]


@pytest.mark.parametrize("chosen", [["c", "a"], ["b"], ["a", "b", "c"], ["c", "b", "a"]])
def test_classes_are_chosen_as_mmsegmentation_does(chosen: list[str], root: Path) -> None:
    (root / "classes.txt").write_text("a 1 1 1\nb 2 2 2\nc 3 3 3\n")

    class Own(BaseSegDataset):
        METAINFO = {"classes": ("a", "b", "c"), "palette": [[1, 1, 1], [2, 2, 2], [3, 3, 3]]}  # noqa: RUF012

    fields = {"data_root": str(root), "data_prefix": PREFIX, "pipeline": LOAD, "metainfo": {"classes": chosen}}
    theirs = Own(img_suffix=".jpg", **fields)
    ours = build(root, metainfo={"classes": chosen})
    assert ours.metainfo["label_map"] == theirs.metainfo["label_map"]
    if len(chosen) < 3:  # Where only the order is another, MMSegmentation leaves the colours where they were.
        assert ours.metainfo["palette"] == theirs.metainfo["palette"]
    assert ours.metainfo["palette"] == [[" abc".index(name)] * 3 for name in chosen]
    np.testing.assert_array_equal(ours[0]["gt_seg_map"], theirs[0]["gt_seg_map"])


def test_classes_that_are_left_out_are_ignored_by_the_label_that_is(root: Path) -> None:
    (root / "classes.txt").write_text("a\nb\nc\n")
    assert build(root, metainfo={"classes": ["a", "c"]}, ignore_index=9).label_map == {0: 0, 1: 9, 2: 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metainfo": {"classes": ["a", "z"]}}, r"names 'z', which classes\.txt does not: it has a, b, c"),
        ({"metainfo": {"classes": ["a", "a"]}}, "names 'a' twice"),
        ({"metainfo": {"classes": []}}, r"metainfo\.classes = \[\]: expected names"),
        ({"metainfo": {"classes": 3}}, r"metainfo\.classes = 3: expected names"),
        ({"metainfo": {"classes": [1, 2]}}, r"metainfo\.classes = \[1, 2\]: expected names"),
        ({"metainfo": {"palette": [[1, 2, 3]]}}, "expected 3 colours, one a class"),
        ({"metainfo": {"palette": [[1, 2, 300]] * 3}}, "expected 3 colours"),
        ({"metainfo": ["a", "b", "c"]}, "expected a dict with classes and palette"),
        ({"filter_cfg": {"filter_empty_gt": True}}, "filter_cfg = .*does not filter images"),
        ({"backend_args": {"backend": "petrel"}}, "backend_args = .*lists a folder on a disk"),
        ({"data_prefix": {"img": "images/train"}}, "data_prefix names img: expected img_path"),
        ({"data_prefix": {"seg_map_path": "annotations/train"}}, "img_path, the folder of the images, is missing"),
        ({"ann_file": "gone.txt"}, r"ann_file .*gone\.txt is not there"),
        ({"ann_file": "images"}, r"ann_file .*images is a folder"),
        ({"indices": [0, 7]}, r"indices = \[0, 7\] names images that are not there"),
        ({"img_suffix": ".jpeg"}, r"holds no \*\.jpeg"),
        ({"seg_map_suffix": ".bmp"}, r"2 of 2 images .* have no mask.*set seg_map_suffix='\.png'"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: dict[str, Any], message: str, root: Path) -> None:
    (root / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(FolderError, match=message):
        build(root, **fields)


def test_a_list_chooses_and_orders_the_images(root: Path) -> None:
    (root / "some.txt").write_text("image1.tif\nimage0\n", encoding="utf-8-sig")
    (root / "images/train/without_mask.png").write_bytes((root / "images/train/image1.tif").read_bytes())
    assert names(build(root, ann_file="some.txt")) == ["image1.tif", "image0.jpg"]
    assert names(build(root, ann_file=str(root / "some.txt"), indices=1)) == ["image1.tif"]
    assert names(build(root, ann_file="some.txt", indices=[1])) == ["image0.jpg"]


def test_suffixes_that_a_config_gives(root: Path) -> None:
    (root / "annotations/train/image0.png").rename(root / "annotations/train/image0_mask.png")
    dataset = build(root, img_suffix=".jpg", seg_map_suffix="_mask.png")
    assert names(dataset) == ["image0.jpg"]
    assert dataset[0]["gt_seg_map"][1, 0] == 1
    assert dataset.unused_masks() == []


def test_a_set_without_masks(root: Path) -> None:
    (root / "classes.txt").write_text("a\nb\n")
    for prefix in ({"img_path": "images/train"}, {"img_path": "images/train", "seg_map_path": None}):
        dataset = build(root, data_prefix=prefix, pipeline=[], test_mode=True)
        assert names(dataset) == ["image0.jpg", "image1.tif"]
        assert "seg_map_path" not in dataset.get_data_info(0)


def test_nothing_is_listed_before_it_is_asked_for(root: Path) -> None:
    (root / "classes.txt").write_text("a\nb\n")
    (root / "annotations/train/image0.png").unlink()
    dataset = build(root, lazy_init=True, serialize_data=False, max_refetch=3)
    assert dataset.metainfo["classes"] == ["a", "b"]
    with pytest.raises(FolderError, match="1 of 2 images"):
        len(dataset)


@pytest.mark.parametrize("suffix", [".tif", ".bmp"])
def test_masks_of_other_formats_are_found(suffix: str, root: Path) -> None:
    for path in list((root / "annotations/train").iterdir()):
        Image.open(path).save(path.with_suffix(suffix))
        path.unlink()
    assert [sample["gt_seg_map"][1, 0] for sample in build(root)] == [1, 2]
    assert len(read_classes(root)) == 3
