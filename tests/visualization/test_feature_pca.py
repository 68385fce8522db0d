import numpy as np
import pytest
import torch

from internvl_seg.visualization.feature_pca import draw_feature_pca, feature_pca


def made_of(directions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A map (C, h, w) of directions (3, C) with weights (3, h, w)."""
    return torch.einsum("kc,khw->chw", directions, weights)


def correlation(a: np.ndarray, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.astype(float).ravel(), b.numpy().ravel())[0, 1])


def test_three_orthogonal_directions_are_the_three_colours() -> None:
    directions = torch.linalg.qr(torch.randn(8, 3, dtype=torch.float64)).Q.T
    # Uncorrelated, and less of each than of the one before.
    weights = torch.rand(3, 40, 50, dtype=torch.float64) * torch.tensor([9.0, 3.0, 1.0])[:, None, None]
    (colours,) = feature_pca([made_of(directions, weights) + 100])
    assert colours.shape == (40, 50, 3)
    assert colours.dtype == np.uint8
    for i in range(3):
        # The largest weight of a direction gives its sign.
        sign = directions[i][directions[i].abs().argmax()].sign().item()
        assert sign * correlation(colours[..., i], weights[i]) > 0.98
    # 2 % at either end of each.
    assert np.mean(colours == 0, axis=(0, 1)) == pytest.approx(0.02, abs=0.005)
    assert np.mean(colours == 255, axis=(0, 1)) == pytest.approx(0.02, abs=0.005)


def test_all_maps_share_their_components_and_keep_their_sizes() -> None:
    direction = torch.tensor([0.0, 0.0, 1.0])
    low, high = torch.rand(3, 5, 7) * 0.1, torch.rand(3, 2, 4) * 0.1
    dark, bright = feature_pca([low, high + 10 * direction[:, None, None]])
    assert dark.shape == (5, 7, 3)
    assert bright.shape == (2, 4, 3)
    assert dark[..., 0].max() < 10
    assert bright[..., 0].min() > 245


def test_negated_features_only_swap_the_ends() -> None:
    features = torch.randn(6, 9, 9)
    (colours,), (negated,) = feature_pca([features]), feature_pca([-features])
    assert np.abs(colours.astype(int) + negated - 255).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_what_does_not_vary_is_grey_and_not_noise(channels: int) -> None:
    rising = torch.arange(12.0).reshape(1, 3, 4).repeat(channels, 1, 1) / 3
    (colours,) = feature_pca([rising])
    assert colours[0, 0, 0] == 0
    assert colours[-1, -1, 0] == 255
    assert (colours[..., 1:] == 128).all()
    (flat,) = feature_pca([torch.full((channels, 2, 2), 0.1)])
    assert (flat == 128).all()


def test_brain_floats_are_taken() -> None:
    features = torch.randn(4, 6, 6).bfloat16()
    assert (feature_pca([features])[0] == feature_pca([features.double()])[0]).all()


def test_no_map() -> None:
    with pytest.raises(ValueError, match="at least one"):
        feature_pca([])


def test_the_figure_has_an_image_a_row_and_a_block_a_column() -> None:
    images = [np.full((30, 40, 3), 7, np.uint8), np.full((60, 40, 3), 9, np.uint8)]
    maps = {"block 2": [torch.randn(5, 3, 4), torch.randn(5, 6, 4)], "block 5": [torch.randn(8, 3, 4)] * 2}
    figure = draw_feature_pca(images, maps)
    shown = [axes.images[0] for axes in figure.axes]
    assert len(shown) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["image", "block 2", "block 5"]
    assert (shown[0].get_array() == 7).all()
    assert (shown[3].get_array() == 9).all()
    for picture, expected in zip((shown[1], shown[4]), feature_pca(maps["block 2"]), strict=True):
        assert (picture.get_array() == expected).all()
    # Maps cover their image.
    assert [picture.get_extent() for picture in shown] == [[0, 40, 30, 0]] * 3 + [[0, 40, 60, 0]] * 3


def test_a_block_needs_a_map_of_every_image() -> None:
    with pytest.raises(ValueError, match="block 3 has 1 feature maps, but there are 2 images"):
        draw_feature_pca([np.zeros((2, 2, 3), np.uint8)] * 2, {"block 3": [torch.zeros(3, 1, 1)]})
    with pytest.raises(ValueError, match="no image"):
        draw_feature_pca([], {})
