from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.folder import FolderError
from internvl_seg.data.samples import read_samples

IMAGE = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)]] * 2, np.uint8)


def dataset(root: Path, mask: np.ndarray) -> dict[str, object]:
    for kind, array in (("images", IMAGE), ("annotations", mask)):
        (root / kind / "test").mkdir(parents=True)
        Image.fromarray(array).save(root / kind / "test" / "a.png")
    (root / "classes.txt").write_text("x\ny\n")
    prefix = {"img_path": "images/test", "seg_map_path": "annotations/test"}
    return {"type": "FolderDataset", "data_root": str(root), "data_prefix": prefix}


def test_images_are_rgb_and_labels_as_stored(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)
    (sample,), meta = read_samples(dataset(tmp_path, mask))
    assert sample.name == "a"
    np.testing.assert_array_equal(sample.image, IMAGE)
    np.testing.assert_array_equal(sample.labels, mask)
    assert meta["classes"] == ["x", "y"]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (IMAGE, r"annotations/test/a\.png has 3 channels that differ"),
        (np.zeros((3, 3), np.uint8), r"mask of a under .* is \(3, 3\) and its image \(2, 3\)"),
        (np.array([[0, 1, 2], [0, 0, 0]], np.uint8), "holds id 2, but there are 2 classes: x, y"),
    ],
)
def test_mask_that_does_not_fit_is_named(tmp_path: Path, mask: np.ndarray, message: str) -> None:
    with pytest.raises(FolderError, match=message):
        read_samples(dataset(tmp_path, mask))
