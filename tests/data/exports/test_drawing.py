"""Shapes on a map: their order, what overlaps, and the renderers of the tools."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from internvl_seg.data.exports.drawing import (
    Patch,
    Shape,
    draw,
    labels_of,
    opencv_ellipse,
    opencv_polygon,
    pillow_box,
    pillow_circle,
    pillow_ellipse,
    pillow_line,
    pillow_polygon,
    points_of,
    trim,
)
from internvl_seg.data.exports.export import IGNORED, UNLABELLED, SourceError, Window

SIZE = (24, 31)
OUTLINES = [
    np.random.default_rng(seed).uniform(-0.4, 1.4, (3 + seed % 5, 2)) * (SIZE[1], SIZE[0]) for seed in range(12)
]


def whole(patch: Patch) -> NDArray[np.bool_]:
    return draw(SIZE, [Shape(1, lambda size: patch)]).ids == 1


def box(top: int, left: int, height: int, width: int, value: int) -> Shape:
    return Shape(value, lambda size: Patch(top, left, np.ones((height, width), np.bool_)))


def test_the_last_is_on_top_and_overlaps_are_counted_once() -> None:
    ids, overlapped = draw((4, 4), [box(0, 0, 2, 4, 0), box(1, 0, 3, 2, 1), box(1, 0, 1, 1, 0), box(0, 0, 1, 4, 0)])
    assert ids.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 254, 254], [1, 1, 254, 254]]
    assert overlapped == 2


def test_what_is_ignored_is_no_class_that_overlaps() -> None:
    ids, overlapped = draw((2, 2), [box(0, 0, 2, 2, 3), box(0, 0, 1, 2, IGNORED), box(0, 0, 1, 1, UNLABELLED)])
    assert ids.tolist() == [[254, 255], [3, 3]]
    assert overlapped == 0


@pytest.mark.parametrize(("top", "left"), [(-2, -2), (-9, 0), (3, 3), (9, 9), (0, -9)])
def test_patches_are_cut_off_at_the_border(top: int, left: int) -> None:
    ids = draw((4, 4), [box(top, left, 3, 3, 0)], base=7).ids
    expected = np.full((40, 40), 7)
    expected[top + 18 : top + 21, left + 18 : left + 21] = 0
    assert ids.tolist() == expected[18:22, 18:22].tolist()


@pytest.mark.parametrize("outline", OUTLINES)
def test_polygons_of_pillow_are_those_on_a_whole_picture(outline: NDArray[np.float64]) -> None:
    theirs = Image.new("L", (SIZE[1], SIZE[0]))
    ImageDraw.Draw(theirs).polygon([tuple(point) for point in outline.tolist()], outline=1, fill=1)
    np.testing.assert_array_equal(whole(pillow_polygon(outline, SIZE)), np.asarray(theirs) > 0)


@pytest.mark.parametrize("outline", OUTLINES)
def test_polygons_of_opencv_are_those_on_a_whole_picture(outline: NDArray[np.float64]) -> None:
    theirs = np.zeros(SIZE, np.uint8)
    hole = (outline + outline.mean(0)) / 2
    cv2.fillPoly(theirs, [outline.astype(np.int32)], (1,))
    cv2.fillPoly(theirs, [hole.astype(np.int32)], (0,))
    np.testing.assert_array_equal(whole(opencv_polygon(outline, SIZE, [hole])), theirs > 0)


@pytest.mark.parametrize("outline", OUTLINES)
def test_other_shapes_of_labelme(outline: NDArray[np.float64]) -> None:
    """``shape_to_mask`` of https://github.com/wkentaro/labelme, labelme/utils/shape.py."""
    (x, y), (a, b) = outline[:2].tolist()
    radius = ((x - a) ** 2 + (y - b) ** 2) ** 0.5

    def paint(kind: str) -> NDArray[np.bool_]:
        picture = Image.new("L", (SIZE[1], SIZE[0]))
        on = ImageDraw.Draw(picture)
        corners = (min(x, a), min(y, b), max(x, a), max(y, b))
        if kind == "line":
            on.line([tuple(point) for point in outline.tolist()], fill=1, width=5)
        elif kind == "box":
            on.rectangle(corners, outline=1, fill=1)
        elif kind == "circle":
            on.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
        else:
            on.ellipse(corners, outline=1, fill=1)
        return np.asarray(picture) > 0

    np.testing.assert_array_equal(whole(pillow_line(outline, 5, SIZE)), paint("line"))
    np.testing.assert_array_equal(whole(pillow_box(outline[:2], SIZE)), paint("box"))
    np.testing.assert_array_equal(whole(pillow_circle((x, y), (a, b), SIZE)), paint("circle"))
    np.testing.assert_array_equal(whole(pillow_ellipse(outline[:2], SIZE)), paint("ellipse"))


@pytest.mark.parametrize(
    ("x", "y", "wide", "high", "angle"), [(10.5, 9.5, 6, 3, 30), (0, 0, 9, 9, 0), (-5, 4, 9, 2, 90)]
)
def test_ellipses_of_cvat(x: float, y: float, wide: float, high: float, angle: float) -> None:
    theirs = np.zeros(SIZE, np.uint8)
    cv2.ellipse(theirs, (round(x), round(y)), (round(wide), round(high)), angle, 0, 360, (1,), thickness=-1)
    np.testing.assert_array_equal(whole(opencv_ellipse((x, y), (wide, high), angle, SIZE)), theirs > 0)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [[1, 2], [3]],
        [1, float("nan")],
        [1, 2e6],
        [1, float("inf")],
        ["a", "b"],
        [None, 1],
        [[[1, 2]]],
        {},
        "x",
    ],
)
def test_what_are_no_points(values: object) -> None:
    with pytest.raises(SourceError, match=r"The points of annotation 7 of a\.json"):
        points_of(values, "annotation 7 of a.json")


def test_what_is_empty_around_an_object_is_cut_off() -> None:
    mask = np.zeros((9, 8), np.bool_)
    mask[2:5, 3:7] = True
    assert [trim(mask).top, trim(mask).left, trim(mask).mask.shape] == [2, 3, (3, 4)]
    assert trim(mask[5:]).mask.size == 0


def test_points_as_a_list_or_as_pairs() -> None:
    assert points_of([1, 2, 3, 4], "x").tolist() == points_of([[1, 2], [3, 4]], "x").tolist() == [[1, 2], [3, 4]]
    assert points_of([], "x").shape == (0, 2)


def test_labels_of_a_picture_of_another_size() -> None:
    labels = labels_of([box(0, 0, 1, 1, 0)], "a.jpg of a.json", (10**9, 5))
    with pytest.raises(
        SourceError, match=r"a\.jpg of a\.json was labelled with 1000000000 rows and 5 columns, .* has 4"
    ):
        labels((4, 5), Window(0, 0, 4, 5))
