"""Images with what they were taken for."""

import numpy as np
import pytest

from internvl_seg.visualization.classified import draw_classified


@pytest.mark.parametrize("count", [1, 4, 5])
def test_every_image_is_drawn_with_its_classes(count: int) -> None:
    images = [np.full((20 + i, 30, 3), 9, np.uint8) for i in range(count)]
    predicted = ["cat", *["x" * 60] * (count - 1)]
    figure = draw_classified(images, ["cat"] * count, predicted)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_array().shape for axes in drawn] == [image.shape for image in images]
    titles = [axes.get_title() for axes in drawn]
    assert titles[0] == "cat\n✓"
    assert all(title.startswith("cat\n✗ xxx") and len(title) < 40 for title in titles[1:])
