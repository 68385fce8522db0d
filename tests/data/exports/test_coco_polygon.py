"""Polygons as pycocotools draws them."""

import json

import numpy as np
import pytest

from internvl_seg.data.exports import coco_polygon as module
from internvl_seg.data.exports.coco_polygon import coco_polygon
from internvl_seg.data.exports.drawing import Shape, draw, points_of
from internvl_seg.data.exports.run_lengths import coco_mask

from .making import GOLDEN

CASES = json.loads((GOLDEN / "coco.json").read_text())["polygons"]


@pytest.mark.parametrize("points_at_a_time", [1 << 20, 7])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_polygons_are_those_of_pycocotools(case: int, points_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POINTS", points_at_a_time)
    size = (CASES[case]["size"][0], CASES[case]["size"][1])
    parts = [points_of(part, "a part") for part in CASES[case]["parts"]]
    ours = draw(size, [Shape(1, lambda of: coco_polygon(parts, of))]).ids == 1
    theirs = coco_mask(CASES[case], size, "the golden case")
    np.testing.assert_array_equal(ours, theirs)


def test_a_polygon_beside_the_picture_is_nothing() -> None:
    beside = np.array([[-30.0, -30.0], [-10.0, -30.0], [-10.0, -10.0]])
    assert not coco_polygon([beside], (8, 8)).mask.any()
    assert not coco_polygon([beside + 100], (8, 8)).mask.any()


def test_an_outline_across_a_million_pixels_takes_no_memory() -> None:
    far = np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]])
    assert coco_polygon([far], (4, 5)).mask.all()
