import statistics

import pytest

from internvl_seg.probing.head_spec import HeadResult, HeadSpec, Subset
from internvl_seg.probing.summary import mean_and_std
from internvl_seg.visualization.few_shot_figure import draw_few_shot


def result(score: float, subset: Subset | None, block: int = 3, lr: float = 1e-3) -> HeadResult:
    return HeadResult(HeadSpec("vit", "linear", (block,), "adamw", lr, 0.0, True, 0, subset), score, [])


def test_means_and_deviations_by_amount() -> None:
    shares = [result(score, Subset(0.1, None, seed)) for seed, score in enumerate([10.0, 12.0, 17.0])]
    worse = [result(score - 9, Subset(0.1, None, seed), lr=1.0) for seed, score in enumerate([10.0, 12.0, 17.0])]
    counts = [result(score, Subset(None, 5, seed)) for seed, score in enumerate([20.0, 24.0])]
    never = [result(99.0, None, block=7)]
    figure = draw_few_shot(mean_and_std([*shares, *worse, *counts, result(50.0, None), *never]), "top-1")
    share, count = figure.axes
    assert share.get_xlabel() == "share of the training images"
    assert count.get_xlabel() == "training images per class"
    assert [label.get_text() for label in share.get_xticklabels()] == ["10 %", "all"]
    assert [label.get_text() for label in count.get_xticklabels()] == ["5", "all"]
    assert share.lines[0].get_xydata().tolist() == [[0, 13.0], [1, 50.0]]
    assert count.lines[0].get_xydata().tolist() == [[0, 22.0], [1, 50.0]]
    (bars,) = share.collections
    assert bars.get_segments()[0][:, 1] == pytest.approx(
        [13 - statistics.stdev([10, 12, 17]), 13 + statistics.stdev([10, 12, 17])]
    )
    # A head that was trained on all images alone is no line.
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["linear, AdamW, block 3"]


def test_of_many_lines_the_best_are_drawn() -> None:
    results = [result(float(i + j), Subset(0.5, None, j), block=i) for i in range(9) for j in (0, 1)]
    figure = draw_few_shot(mean_and_std(results), "mIoU")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [f"linear, AdamW, block {i}" for i in range(8, 1, -1)]
    assert figure.get_suptitle() == "the best 7 of 9 combinations of encoder, head and blocks"
    # Bars at one place would hide one another.
    places = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() in "osD^vP*"]
    assert len(set(places)) == 7


def test_without_few_shot_heads_there_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no few-shot head"):
        draw_few_shot(mean_and_std([result(1.0, None)]), "mIoU")
