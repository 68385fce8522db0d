import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from internvl_seg.probing.head_spec import HeadResult, HeadSpec
from internvl_seg.visualization.class_figures import COLOURS
from internvl_seg.visualization.probe_figures import (
    draw_score_over_blocks,
    draw_score_over_lr,
    name_blocks,
    name_kind,
    name_with_word,
)


def result(score: float, blocks: Sequence[int], lr: float = 1e-3, **fields: Any) -> HeadResult:
    given = {"encoder": "vit", "kind": "linear", "solver": "adamw", "weight_decay": 0.0, "batch_norm": True, "seed": 0}
    return HeadResult(HeadSpec(**given | {"blocks": tuple(blocks), "lr": lr} | fields), score, [])


def points(axes: Axes) -> list[list[list[float]]]:
    """Of every line that is not a mere mark."""
    return [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) and line.get_linestyle() != ":"]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def overlaps(axes: Axes) -> bool:
    """Whether names below the axes, which may be turned by 35°, run into one another."""
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    if any(label.get_rotation() for label in labels):
        turned = [label for label in labels if label.get_rotation()]
        ends = [label.get_window_extent().x1 for label in turned]
        # At this angle lines of 8 points need 14 points from one to the next.
        apart = 8 / 0.57 * axes.figure.dpi / 72
        return any(right - left < apart for left, right in pairwise(ends))
    boxes = [label.get_window_extent() for label in labels]
    return any(left.x1 > right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize(
    ("blocks", "name"),
    [((7,), "7"), ((2, 5, 8), "2, 5, 8"), (range(12), "0–11"), ((0, 1, 4, 5, 6, 9), "0, 1, 4–6, 9")],
)
def test_blocks_have_short_names(blocks: Sequence[int], name: str) -> None:
    assert name_blocks(blocks) == name
    assert name_with_word(blocks) == f"block{'s' if len(blocks) > 1 else ''} {name}"


def test_kinds_have_names() -> None:
    assert name_kind(result(0, [0]).spec) == "linear, AdamW"
    assert name_kind(result(0, [0], kind="attention_pooling", solver="sgd").spec) == "attention pooling, SGD"
    assert name_kind(result(0, [0], kind="knn", solver="closed_form").spec) == "k-NN"
    assert name_kind(result(0, [0], solver="lbfgs").spec) == "linear, L-BFGS"


def test_of_one_encoder_there_is_a_line_per_learning_rate_and_the_best() -> None:
    results = [result(10, [0]), result(30, [1]), result(20, [2]), result(35, [0, 2])]
    results += [result(15, [0], 1e-2), result(25, [1], 1e-2), result(12, [0, 2], 1e-2)]
    results += [result(9, [0], seed=1), result(14, [0], 1e-2, weight_decay=0.1)]
    figure = draw_score_over_blocks(results, "mIoU")
    (axes,) = figure.axes
    assert points(axes) == [
        *([[0, 15], [1, 30], [2, 20]], [[4, 35]]),
        *([[0, 10], [1, 30], [2, 20]], [[4, 35]]),
        *([[0, 15], [1, 25]], [[4, 12]]),
    ]
    assert legend(figure) == ["best", "lr 0.001", "lr 0.01"]
    assert axes.get_title() == "linear, AdamW: best 35.0 at blocks 0, 2"
    assert axes.get_ylabel() == "mIoU in %"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2", "0, 2"]


def test_encoders_have_colours_and_kinds_axes() -> None:
    results = [
        *(result(10 + i, [i], encoder=encoder) for encoder in ("a", "b") for i in range(3)),
        result(40, [0, 1, 2, 3], kind="upernet", encoder="b"),
        result(5, [1], 0.0, kind="knn", solver="closed_form", encoder="a"),
    ]
    figure = draw_score_over_blocks(results, "top-1")
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == ["linear, AdamW", "UperNet, AdamW", "k-NN"]
    assert legend(figure) == ["a", "b"]
    linear, upernet, knn = figure.axes
    assert {to_hex(line.get_color()).upper() for line in linear.lines} == set(COLOURS[:2])
    assert {to_hex(line.get_color()).upper() for line in upernet.lines} == {COLOURS[1]}
    assert {to_hex(line.get_color()).upper() for line in knn.lines} == {COLOURS[0]}
    assert linear.get_ylim() == knn.get_ylim()


def test_names_of_many_blocks_and_sets_do_not_overlap() -> None:
    sets = [(5, 11, 17, 23), range(24), (2, 5, 8, 11), range(12), (0, 47)]
    blocks = [*([i] for i in range(48)), *sets]
    results = [result(50, b, kind=kind) for b in blocks for kind in ("linear", "mlp")]
    figure = draw_score_over_blocks(results, "mIoU")
    figure.savefig(io.BytesIO())
    assert len(figure.axes) == 2
    assert not any(overlaps(axes) for axes in figure.axes)
    assert figure.axes[0].xaxis.label.get_window_extent().y1 <= min(
        label.get_window_extent().y0 for label in figure.axes[0].get_xticklabels()
    )


def test_over_the_learning_rate_there_is_a_line_per_block_in_the_colour_of_its_depth() -> None:
    results = [result(10 * i + lr, [i], lr) for i in (0, 1, 2) for lr in (0.1, 0.01)]
    results += [result(50, [0, 2], 0.1), result(60, [0, 2], 0.1, seed=1), result(55, [0, 2], 0.01)]
    results += [result(70, [1], 0.0, kind="ridge", solver="closed_form"), result(80, [1], 0.5, kind="mlp")]
    figure = draw_score_over_lr(results, "mIoU")
    axes, bar = figure.axes  # Ridge has no learning rate, and the MLP a single one.
    assert axes.get_xscale() == "log"
    assert points(axes) == [
        *([[0.01, 10 * i + 0.01], [0.1, 10 * i + 0.1]] for i in (0, 1, 2)),
        [[0.01, 55], [0.1, 60]],
    ]
    greens = [line.get_color()[1] for line in axes.lines[:3]]
    assert greens == sorted(greens)
    assert to_hex(axes.lines[0].get_color()) == to_hex(matplotlib.colormaps["viridis"](0.0))
    assert bar.get_ylabel() == "block"
    assert legend(figure) == ["blocks 0, 2"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1"]


def test_single_learning_rates_are_drawn_if_there_are_no_others() -> None:
    figure = draw_score_over_lr([result(10, [3]), result(20, [3], encoder="b")], "mIoU")
    assert [points(axes) for axes in figure.axes] == [[[[1e-3, 10]]], [[[1e-3, 20]]]]
    assert [axes.get_title() for axes in figure.axes] == ["vit: linear, AdamW", "b: linear, AdamW"]
    assert legend(figure) == ["block 3"]


def test_without_heads_there_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no head to draw"):
        draw_score_over_blocks([], "mIoU")
    with pytest.raises(ValueError, match="no head to draw"):
        draw_score_over_lr([result(1, [0], 0.0)], "mIoU")
