"""What is said of the sizes of images is what MMSegmentation's transforms give."""

from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from internvl_seg.data.preflight.scale import Scaling

SIZES = [(375, 500), (500, 375), (512, 512), (30, 50), (1080, 1920), (800, 100)]
# Nothing in them is random.
FIXED: list[list[dict[str, Any]]] = [
    [{"type": "Resize", "scale": (640, 480)}],
    [{"type": "Resize", "scale": (640, 480), "keep_ratio": True}],
    [{"type": "Resize", "scale_factor": 1.5}],
    [{"type": "Resize", "scale_factor": (0.5, 2.0)}],
    [{"type": "ResizeShortestEdge", "scale": 504, "max_size": 100_000}],
    [{"type": "ResizeShortestEdge", "scale": (504, 2016), "max_size": 2016}],
    [{"type": "ResizeShortestEdge", "scale": 504, "max_size": 600}],
    [{"type": "ResizeShortestEdge", "scale": 252, "max_size": 9999}, {"type": "ResizeToMultiple", "size_divisor": 14}],
    [{"type": "RandomResize", "scale": (2016, 504), "ratio_range": (1.0, 1.0), "keep_ratio": True}],
    [{"type": "RandomResize", "scale": (200, 300), "ratio_range": (1.0, 1.0)}],
    [{"type": "RandomChoiceResize", "scales": [(640, 480)]}],
    [{"type": "RandomChoiceResize", "scales": [(640, 480)], "resize_type": "Resize"}],
    [{"type": "RandomChoiceResize", "scales": [(640, 480)], "keep_ratio": True}],
    [{"type": "RandomChoiceResize", "scales": [768], "resize_type": "ResizeShortestEdge", "max_size": 4096}],
]
# Random ones, and the outermost sizes that a 375 x 500 image gets.
RANDOM: list[tuple[dict[str, Any], tuple[int, int], tuple[int, int]]] = [
    (
        {"type": "RandomResize", "scale": (2016, 504), "ratio_range": (0.5, 2.0), "keep_ratio": True},
        (252, 336),
        (1008, 1344),
    ),
    ({"type": "RandomResize", "scale": [(400, 300), (800, 700)]}, (300, 400), (700, 800)),
    (
        {
            "type": "RandomChoiceResize",
            "scales": [256, 512, 768],
            "resize_type": "ResizeShortestEdge",
            "max_size": 1366,
        },
        (256, 341),
        (768, 1024),
    ),
    (
        {"type": "RandomChoiceResize", "scales": [(400, 300), (1000, 750), (800, 600)], "resize_type": "Resize"},
        (300, 400),
        (750, 1000),
    ),
    ({"type": "RandomApply", "transforms": [{"type": "Resize", "scale": (50, 40)}], "prob": 0.5}, (40, 50), (375, 500)),
    (
        {"type": "RandomChoice", "transforms": [[{"type": "Resize", "scale": (s, s)}] for s in (100, 900)]},
        (100, 100),
        (900, 900),
    ),
]


def through(steps: list[dict[str, Any]], size: tuple[int, int]) -> tuple[int, int]:
    """The size that comes out of the transforms themselves."""
    results: Any = {"img": np.zeros((*size, 3), np.uint8), "img_shape": size, "seg_fields": []}
    for step in steps:
        results = TRANSFORMS.build(dict(step))(results)
    return results["img"].shape[:2]


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


@pytest.mark.parametrize("steps", FIXED, ids=str)
def test_sizes_are_those_of_the_transforms(steps: list[dict[str, Any]]) -> None:
    scaling = Scaling([{"type": "LoadImageFromFile"}, *steps, {"type": "RandomFlip", "prob": 0.5}])
    for size in SIZES:
        assert scaling.reachable(size) == scaling.typical(size) == [through(steps, size)]


@pytest.mark.parametrize(("step", "smallest", "largest"), RANDOM, ids=str)
def test_random_sizes_are_within_what_is_said(
    step: dict[str, Any], smallest: tuple[int, int], largest: tuple[int, int]
) -> None:
    scaling = Scaling([step, {"type": "RandomCrop", "crop_size": (32, 64)}])
    reachable = scaling.reachable((375, 500))
    assert (reachable[0], reachable[-1], scaling.crop) == (smallest, largest, (32, 64))
    np.random.seed(0)
    for _ in range(40):
        height, width = through([step], (375, 500))
        assert smallest[0] <= height <= largest[0]
        assert smallest[1] <= width <= largest[1]
    assert all(smallest <= size <= largest for size in scaling.typical((375, 500)))


def test_a_shortest_edge_of_1024_makes_1024_x_1366() -> None:
    step = {"type": "RandomChoiceResize", "scales": [512, 1024], "resize_type": "ResizeShortestEdge", "max_size": 9999}
    assert Scaling([step]).reachable((384, 512))[-1] == (1024, 1365)


def test_what_is_drawn_here_is_drawn_again_by_training() -> None:
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    Scaling([RANDOM[0][0]]).reachable((375, 500))
    assert np.random.rand() == expected


def test_a_crop_inside_another_step_is_looked_at() -> None:
    """As in configs/_base_/datasets/folder_tiles_504x504.py."""
    branches = [
        [{"type": "RandomCrop", "crop_size": (672, 672)}, {"type": "Resize", "scale_factor": 0.75, "keep_ratio": True}],
        [{"type": "RandomCrop", "crop_size": (378, 400)}],
    ]
    scaling = Scaling([{"type": "RandomChoice", "transforms": branches}])
    assert scaling.nearest_crop((256, 300)) == ((256, 300), (378, 400))
    assert scaling.nearest_crop((378, 400)) == ((378, 400), (378, 400))
    assert scaling.reachable((400, 400)) == [(300, 300), (400, 400)]
    assert Scaling([{"type": "Resize", "scale": (9, 9)}]).nearest_crop((20, 20)) is None


def test_the_way_that_fills_most_of_a_crop_counts() -> None:
    step = {"type": "RandomResize", "scale": (100, 50), "ratio_range": (0.5, 2.0), "keep_ratio": True}
    scaling = Scaling([step, {"type": "RandomCrop", "crop_size": (90, 120)}])
    assert scaling.nearest_crop((30, 50)) == ((100, 167), (90, 120))


def test_padding_fills_a_crop_but_scales_nothing() -> None:
    pad = {"type": "Pad", "size": (96, 64)}
    crop = {"type": "RandomCrop", "crop_size": (64, 96), "cat_max_ratio": 0.75}
    scaling = Scaling([pad, crop])
    assert scaling.nearest_crop((30, 50)) == ((64, 96), (64, 96))
    assert scaling.typical((30, 50)) == [(30, 50)]
    assert Scaling([pad, {"type": "Resize", "scale": (192, 128)}]).typical((30, 50)) == [(60, 100)]


@pytest.mark.parametrize(
    "step", [{"type": "RandomCrop", "crop_size": (40, 50)}, {"type": "CenterCrop", "crop_size": (50, 40)}]
)
def test_what_is_scaled_after_a_crop_is_scaled(step: dict[str, Any]) -> None:
    scaling = Scaling([step, {"type": "Resize", "scale": (10, 8)}])
    assert scaling.crop == (40, 50)
    assert scaling.typical((200, 100)) == [(40, 20)]
    assert through([step], (200, 100)) == (40, 50)
    assert scaling.nearest_crop((30, 100)) == ((30, 100), (40, 50))


def test_a_step_of_a_package_that_is_not_there_says_nothing() -> None:
    albu = {"type": "Albu", "transforms": [{"type": "Resize", "height": 20, "width": 20}]}
    assert Scaling([albu]).reachable((40, 40)) in ([(20, 20)], [(40, 40)])
