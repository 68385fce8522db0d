import io

import numpy as np
import pytest
from PIL import Image

from internvl_seg.visualization.overlay import draw_labelled, draw_overlay, draw_panel

PALETTE = [(255, 255, 255), (255, 0, 0), (0, 0, 255)]


@pytest.fixture
def image() -> np.ndarray:
    return np.full((4, 6, 3), 100, np.uint8)


def test_colours_are_mixed_and_ignored_pixels_untouched(image: np.ndarray) -> None:
    labels = np.full((4, 6), 255)
    labels[0], labels[1] = 1, 2
    out = draw_overlay(image, labels, PALETTE, opacity=0.4)
    assert out.dtype == np.uint8
    assert (out[0] == [162, 60, 60]).all()
    assert (out[1] == [60, 60, 162]).all()
    assert (out[2:] == 100).all()
    assert (image == 100).all()


@pytest.mark.parametrize(("opacity", "colour"), [(0, (100, 100, 100)), (1, (255, 0, 0))])
def test_opacity_ends(image: np.ndarray, opacity: float, colour: tuple[int, int, int]) -> None:
    assert (draw_overlay(image, np.ones((4, 6), int), PALETTE, opacity) == colour).all()


def test_wrong_arguments_are_named(image: np.ndarray) -> None:
    labels = np.zeros((4, 6), int)
    with pytest.raises(ValueError, match=r"\(4, 6\) and the labels are \(6, 4\)"):
        draw_overlay(image, labels.T, PALETTE)
    with pytest.raises(ValueError, match=r"opacity=1\.5"):
        draw_overlay(image, labels, PALETTE, 1.5)
    with pytest.raises(ValueError, match="id 3, but the palette has 3"):
        draw_overlay(image, labels + 3, PALETTE)


def test_panel_shows_truth_and_prediction_but_no_background() -> None:
    image = np.full((50, 50, 3), 100, np.uint8)
    truth, prediction = np.zeros((50, 50), int), np.full((50, 50), 2)
    truth[:25] = 1
    figure = draw_panel(image, truth, prediction, ["background", "red", "blue"], PALETTE, "a tile")
    assert [axes.get_title() for axes in figure.axes] == ["image", "ground truth", "prediction"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["red", "blue"]
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert (shown[0] == 100).all()
    assert (shown[1][:25] == [201, 35, 35]).all()
    assert (shown[1][25:] == 100).all()
    assert (shown[2] == [35, 35, 201]).all()
    file = io.BytesIO()
    figure.savefig(file)
    assert Image.open(file).size[0] > 500


def test_a_labelled_image_has_a_legend_of_what_occurs_the_most_first() -> None:
    image, labels = np.full((60, 400, 3), 100, np.uint8), np.ones((60, 400), np.uint8)
    labels[:, :100], labels[:, 300:] = 2, 0
    shares = {"background": 0.25, "red": 0.5, "blue": 0.25, "green": 0.0}
    figure = draw_labelled(image, labels, list(shares), [*PALETTE, (0, 255, 0)], shares)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["red 50.0 %", "background 25.0 %", "blue 25.0 %"]
    file = io.BytesIO()
    figure.savefig(file)
    drawn = np.asarray(Image.open(file).convert("RGB")).astype(int)
    # A pixel of the image to a pixel of the picture, and the legend below.
    assert drawn.shape[1] == 400
    assert 60 < drawn.shape[0] < 120
    assert (abs(drawn[5:55, 10:90] - [50, 50, 178]) < 3).all()
    assert (abs(drawn[5:55, 110:290] - [178, 50, 50]) < 3).all()
    assert (abs(drawn[5:55, 310:390] - 100) < 3).all()  # The background as it is.
    assert (drawn[62:] == 255).all(-1).any()


def test_a_large_image_is_drawn_smaller() -> None:
    labels = np.zeros((50, 300), np.uint8)
    labels[:, 150:] = 1
    shares = {"white": 0.5, "red": 0.5}
    figure = draw_labelled(np.zeros((50, 300, 3), np.uint8), labels, list(shares), PALETTE, shares, max_side=90)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape[:2] == (15, 90)
    assert (shown[:, :45] == 128).all()
    assert (shown[:, 45:] == [128, 0, 0]).all()


def test_a_tiny_image_still_gets_a_legend_that_fits() -> None:
    shares = {f"a class with a long name {i}": 0.1 for i in range(10)}
    figure = draw_labelled(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), int), list(shares), PALETTE * 4, shares)
    file = io.BytesIO()
    figure.savefig(file)
    box = figure.legends[0].get_window_extent()
    width, height = Image.open(file).size
    assert box.x0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
