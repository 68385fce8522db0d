from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

import internvl_seg  # noqa: F401 - registers the data sets
from internvl_seg.data.folder import FolderError

LOAD = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
TRAIN = {"img_path": "images/train", "seg_map_path": "annotations/train"}


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


def write(root: Path, suffix: str, mask: np.ndarray) -> Path:
    for kind, array, ending in (("images", np.zeros((*mask.shape, 3)), suffix), ("annotations", mask, ".png")):
        (root / kind / "train").mkdir(parents=True)
        Image.fromarray(array.astype(np.uint8)).save(root / kind / "train" / f"one{ending}")
    return root


def test_hgsc_nest_reads_png_tiles(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2], [3, 2, 1]])
    root = write(tmp_path, ".png", mask)
    dataset = DATASETS.build(
        {"type": "HGSCNestDataset", "data_root": str(root), "data_prefix": TRAIN, "pipeline": LOAD}
    )
    assert len(dataset) == 1
    np.testing.assert_array_equal(dataset[0]["gt_seg_map"], mask)
    assert dataset.metainfo["classes"] == ("background", "connective", "inflammatory", "neoplastic")
    assert len({tuple(colour) for colour in dataset.metainfo["palette"]}) == 4


def test_camvid_void_is_ignored_everywhere(tmp_path: Path) -> None:
    root = write(tmp_path, ".jpg", np.arange(12).reshape(3, 4))
    dataset = DATASETS.build({"type": "CamVidDataset", "data_root": str(root), "data_prefix": TRAIN, "pipeline": LOAD})
    np.testing.assert_array_equal(dataset[0]["gt_seg_map"].ravel(), [*range(11), 255])


def test_camvid_subset_of_classes_keeps_their_colours(tmp_path: Path) -> None:
    root = write(tmp_path, ".jpg", np.arange(12).reshape(3, 4))
    config = {"type": "CamVidDataset", "data_root": str(root), "data_prefix": TRAIN, "pipeline": LOAD}
    dataset = DATASETS.build({**config, "metainfo": {"classes": ["car", "road"]}})
    expected = np.full(12, 255)
    expected[8], expected[3] = 0, 1
    np.testing.assert_array_equal(dataset[0]["gt_seg_map"].ravel(), expected)
    assert [tuple(colour) for colour in dataset.metainfo["palette"]] == [(64, 0, 128), (128, 64, 128)]


@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101)])
def test_camvid_itself(shared: Path, split: str, count: int) -> None:
    prefix = {"img_path": f"images/{split}", "seg_map_path": f"annotations/{split}"}
    root = str(shared / "data" / "camvid")
    dataset = DATASETS.build({"type": "CamVidDataset", "data_root": root, "data_prefix": prefix, "pipeline": LOAD})
    assert len(dataset) == count
    sample = dataset[0]
    assert sample["img"].shape == (360, 480, 3)
    assert sample["gt_seg_map"].shape == (360, 480)
    ids = set(np.unique(sample["gt_seg_map"]))
    assert ids <= {*range(11), 255}
    assert 255 in ids


def test_junk_and_lists_are_those_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    root = write(tmp_path, ".jpg", np.arange(12).reshape(3, 4))
    for name in ("._one.jpg", "@eaDir/one.jpg", "two.jpg", "site/three.JPG"):
        (root / "images/train" / name).parent.mkdir(exist_ok=True)
        (root / "images/train" / name).write_bytes((root / "images/train/one.jpg").read_bytes())
    fields = {"type": "CamVidDataset", "data_root": str(root), "data_prefix": TRAIN, "pipeline": []}
    dataset = DATASETS.build(fields)
    found = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [Path(info["img_path"]).name for info in found] == ["one.jpg", "three.JPG", "two.jpg"]
    assert found[1]["seg_map_path"] == str(root / "annotations/train/site/three.png")
    assert found[0]["label_map"] == {11: 255}
    (root / "list.txt").write_bytes("two\r\none\r\n".encode("utf-8-sig"))
    dataset = DATASETS.build(fields | {"ann_file": "list.txt"})
    assert [Path(dataset.get_data_info(i)["img_path"]).name for i in range(len(dataset))] == ["two.jpg", "one.jpg"]
    (root / "list.txt").write_text("two\ngone\n")
    with pytest.raises(FolderError, match=r"list\.txt:2: 'gone' is no image"):
        DATASETS.build(fields | {"ann_file": "list.txt"})
    unlabelled = DATASETS.build(fields | {"data_prefix": {"img_path": "images/train"}})
    assert "seg_map_path" not in unlabelled.get_data_info(0)
