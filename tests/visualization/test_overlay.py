import io

import numpy as np
import pytest
from PIL import Image

from internvl_seg.visualization.overlay import draw_overlay, draw_panel

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
