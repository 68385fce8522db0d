import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from internvl_seg.visualization.class_figures import draw_confusion, draw_per_class, plain, row_shares


def drawn(figure: Figure) -> Figure:
    """The figure after its layout was made."""
    figure.savefig(io.BytesIO())
    return figure


def tick_names(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_bars_go_from_the_best_class_to_the_worst() -> None:
    columns = {"a": [10.0, None, 90.0, 50.0], "b": [20.0, None, None, 40.0]}
    figure = drawn(draw_per_class(["sky", "absent", "road", "tree"], columns))
    axes = figure.axes[0]
    assert tick_names(figure) == ["road", "tree", "sky"]
    first, second = axes.containers
    assert [bar.get_width() for bar in first] == [90, 50, 10]
    assert [bar.get_width() for bar in second][1:] == [40, 20]
    assert texts(figure) == ["90.0", "50.0", "10.0", "–", "40.0", "20.0"]
    assert axes.get_title() == "1 without a label and a prediction"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    # The best is at the top.
    heights = [bar.get_window_extent().y0 for bar in first]
    assert heights == sorted(heights, reverse=True)


def test_of_many_classes_the_ends_are_drawn() -> None:
    scores = np.random.default_rng(0).permutation(150).astype(float) / 2
    figure = drawn(draw_per_class([f"class {i}" for i in range(150)], {"a": scores.tolist()}))
    order = [f"class {i}" for i in np.argsort(-scores)]
    assert tick_names(figure) == order[:25] + order[-25:]
    assert figure.axes[0].get_title() == "the 25 best and the 25 worst of 150 classes"
    # Names do not run into one another.
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))


def test_sixty_classes_are_all_drawn() -> None:
    assert len(tick_names(draw_per_class([str(i) for i in range(60)], {"a": [1.0] * 60}))) == 60


def test_a_score_for_every_class() -> None:
    with pytest.raises(ValueError, match=r"2 classes, but .*\{'a': 1\}"):
        draw_per_class(["x", "y"], {"a": [1.0]})
    with pytest.raises(ValueError, match="2 classes"):
        draw_per_class(["x", "y"], {})


def test_confusion_is_in_percent_of_the_true_class() -> None:
    counts = np.array([[30, 10, 0], [1, 999, 0], [0, 0, 0]])
    assert row_shares(counts)[:2] == pytest.approx(np.array([[75, 25, 0], [0.1, 99.9, 0]]))
    assert np.isnan(row_shares(counts)[2]).all()
    figure = drawn(draw_confusion(counts, ["a", "b", "c"]))
    shown = figure.axes[0].images[0].get_array()
    assert shown.data[:2] == pytest.approx(row_shares(counts)[:2])
    assert np.ma.getmaskarray(shown)[2].all()
    assert texts(figure) == ["75", "25", "", "<1", "100", "", "", "", ""]
    assert [figure.axes[0].texts[i].get_color() for i in (0, 1)] == ["w", "k"]
    assert tick_names(figure) == ["a", "b", "c"]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "true")


@pytest.mark.parametrize(("count", "numbers", "names"), [(20, True, True), (21, False, True), (61, False, False)])
def test_many_classes_have_no_numbers_and_then_no_names(count: int, numbers: bool, names: bool) -> None:
    figure = draw_confusion(np.eye(count, dtype=int), [f"class {i}" for i in range(count)])
    assert bool(texts(figure)) == numbers
    assert ("class 1" in tick_names(figure)) == names


def test_the_matrix_has_the_size_of_the_classes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\), but there are 3 classes"):
        draw_confusion(np.eye(2, dtype=int), ["a", "b", "c"])


def test_names_are_no_formulas_and_not_too_long() -> None:
    assert plain("a$b$") == r"a\$b\$"
    assert plain("abcdef", 5) == "abcd…"
    figure = drawn(draw_per_class(["$\\broken$", "x" * 100], {"$\\frac$": [2.0, 1.0]}))
    assert tick_names(figure) == ["\\$\\broken\\$", "x" * 31 + "…"]
