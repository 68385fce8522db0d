"""Run lengths of every kind, there and back, and what is none."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.run_lengths import (
    box_mask,
    coco_mask,
    decode_counts,
    mask_of_pairs,
    mask_of_runs,
    whole_numbers,
)

from .making import GOLDEN

RUNS = json.loads((GOLDEN / "coco.json").read_text())["runs"]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def runs_of(flat: NDArray[np.bool_], first: bool) -> list[int]:
    """Lengths of runs, of which the first, possibly empty, is of pixels that are ``first``."""
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return lengths if flat[0] == first else [0, *lengths]


def compressed(runs: list[int]) -> str:
    """COCO's text, as ``rleToString`` of maskApi.c makes it."""
    text = ""
    for place, run in enumerate(runs):
        left = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            part, left = left & 31, left >> 5
            more = left != (-1 if part & 16 else 0)
            text += chr((part | 32 if more else part) + 48)
    return text


@pytest.mark.parametrize("case", RUNS)
def test_counts_are_those_of_pycocotools(case: dict[str, Any]) -> None:
    size = (case["size"][0], case["size"][1])
    assert decode_counts(case["counts"], "a case").tolist() == case["runs"]
    plain = coco_mask({"size": case["size"], "counts": case["runs"]}, size, "a case")
    np.testing.assert_array_equal(coco_mask(case, size, "a case"), plain)


@given(MASKS)
def test_coco_there_and_back(mask: NDArray[np.bool_]) -> None:
    runs = runs_of(mask.ravel("F"), False)
    for counts in (runs, compressed(runs), compressed(runs).encode()):
        stored = {"size": list(mask.shape), "counts": counts}
        np.testing.assert_array_equal(coco_mask(stored, mask.shape, "a mask"), mask)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1))
def test_any_counts_there_and_back(counts: list[int]) -> None:
    assert decode_counts(compressed(counts), "a text").tolist() == counts


@given(MASKS, st.booleans(), st.integers(0, 4), st.integers(0, 4))
def test_runs_in_a_box_there_and_back(mask: NDArray[np.bool_], first: bool, top: int, left: int) -> None:
    height, width = mask.shape
    runs = whole_numbers(", ".join(map(str, runs_of(mask.ravel(), first))), "a mask")
    box, size = (top, left, height, width), (top + height + 1, left + width)
    patch = box_mask(runs, box, size, "a mask", first=first)
    assert (patch.top, patch.left) == (top, left)
    np.testing.assert_array_equal(patch.mask, mask)


@given(MASKS)
def test_kaggle_there_and_back(mask: NDArray[np.bool_]) -> None:
    flat = np.concatenate(([False], mask.ravel("F"), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    text = " ".join(map(str, edges.tolist()))
    np.testing.assert_array_equal(mask_of_pairs(text, mask.shape, "a row"), mask)


def test_kaggle_counts_down_the_columns_from_one() -> None:
    assert mask_of_pairs("1 2 6 1", (3, 2), "a row").tolist() == [[True, False], [True, False], [False, True]]
    assert not mask_of_pairs(" nan ", (3, 2), "a row").any()
    assert mask_of_pairs("1 3 2 3", (3, 2), "a row").sum() == 4  # Runs may overlap.


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"size": [10**9, 10**9], "counts": [10**18]}, r"size \[1000000000, 1000000000\].*4 rows and 5 columns"),
        ({"size": [5, 4], "counts": [20]}, "Export with the pictures that were labelled"),
        ({"size": [4, 5], "counts": [3, 4]}, "are 7 pixels, but 4 x 5 are 20"),
        ({"size": [4, 5], "counts": [25, -5]}, "hold -5: none is negative"),
        ({"size": [4, 5], "counts": [2**62, 2**62, 2**62, 2**62, 20]}, "pixels, but 4 x 5 are 20"),
        ({"size": [4, 5], "counts": [10, 10.5]}, "whole numbers were expected"),
        ({"size": [4, 5], "counts": [10, float("nan")]}, "whole numbers were expected"),
        ({"size": [4, 5], "counts": [[10], [10]]}, "whole numbers were expected"),
        ({"size": [4, 5], "counts": [10**30]}, "whole numbers were expected"),
        ({"size": [4, 5], "counts": None}, "whole numbers were expected"),
        ({"size": [4, 5], "counts": [True, True]}, "whole numbers were expected"),
        ({"size": [4, 5], "counts": "d0\n"}, r"hold '\\n', which COCO's text never has"),
        ({"size": [4, 5], "counts": "PPPPPPPPPPPPPPPPPPPPPPP0"}, "ends? within a number"),
        ({"size": [4, 5], "counts": "P"}, "ends? within a number"),
        ({"size": [4, 5], "counts": ""}, "are 0 pixels"),
        ({"counts": [20]}, "size None"),
        ([20], "size None"),
    ],
)
def test_what_is_no_mask_of_coco(stored: Any, words: str) -> None:
    with pytest.raises(SourceError, match=f"annotation 7 of a.json.*{words}|{words}.*annotation 7") as caught:
        coco_mask(stored, (4, 5), "annotation 7 of a.json")
    assert "annotation 7 of a.json" in str(caught.value)


@pytest.mark.parametrize("box", [(0, 0, 10**9, 10**9), (-1, 0, 2, 2), (3, 0, 2, 2), (0, 4, 2, 2)])
def test_a_box_beyond_the_picture(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(SourceError, match=r"shape 2 of a\.xml is at row"):
        box_mask(np.array([box[2] * box[3]]), box, (4, 5), "shape 2 of a.xml")


@pytest.mark.parametrize(
    "text", ["0 2", "1 21", "21 1", "3", "1 -2", "1 99999999999999999999", "1 9223372036854775807"]
)
def test_what_is_no_row_of_kaggle(text: str) -> None:
    with pytest.raises(SourceError, match=r"line 3 of train\.csv"):
        mask_of_pairs(text, (4, 5), "line 3 of train.csv")


def test_runs_that_begin_inside() -> None:
    assert mask_of_runs(np.array([1, 3]), (2, 2), "a mask", first=True).tolist() == [[True, False], [False, False]]
