"""The fields of ``test_cfg`` are checked."""

from typing import Any

import pytest

from internvl_seg.segmentation.inference import Inference

SLIDE = {"mode": "slide", "crop_size": (8, 8), "stride": (4, 4)}


@pytest.mark.parametrize(
    ("test_cfg", "message"),
    [
        ({"mode": "slid"}, "test_cfg.mode='slid' is not known; choose 'whole' or 'slide'"),
        ({"mode": "slide", "stride": (1, 1)}, "mode='slide' needs crop_size"),
        (SLIDE | {"stride": (9, 4)}, r"stride=\(9, 4\) must be from 1 to crop_size=\(8, 8\)"),
        (SLIDE | {"stride": (4, 0)}, r"stride=\(4, 0\) must be from 1"),
        (
            {"window_bacth": 2},
            "test_cfg.window_bacth is not known; the fields are mode, crop_size, stride, window_batch",
        ),
        ({"window_batch": 0}, "test_cfg.window_batch=0 must be at least 1, or None"),
        ({"max_memory": -1}, "test_cfg.max_memory=-1 must be at least 1, or None"),
    ],
)
def test_what_is_wrong_is_named(test_cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Inference.read(test_cfg)


def test_without_fields_the_image_is_taken_whole() -> None:
    assert Inference.read(None) == Inference.read({}) == Inference(mode="whole")
    assert [side.starts for side in Inference().cut((30, 50))] == [[0], [0]]
    assert [side.starts for side in Inference.read(SLIDE).cut((10, 8))] == [[0, 2], [0]]
