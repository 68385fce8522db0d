"""A patch embedding of RGB is made to fit other bands by one rule, which is exact for RGB and for grey."""

from pathlib import Path

import pytest
import torch

from internvl_seg import create_encoder, load_encoder
from internvl_seg.checkpoints.errors import ShapeMismatchError
from internvl_seg.encoder import InternViT
from internvl_seg.encoder.position import widen_patch_embed

TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2, "norm": "layer_norm", "qkv_bias": True, "qk_norm": False}


@pytest.fixture
def rgb(tmp_path: Path) -> tuple[InternViT, Path]:
    torch.manual_seed(0)
    encoder = InternViT(img_size=28, **TINY).eval()
    torch.save(encoder.state_dict(), tmp_path / "rgb.pth")
    return encoder, tmp_path / "rgb.pth"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("in_chans", [4, 5, 10])
@torch.no_grad()
def test_bands_after_the_third_change_no_bit(rgb: tuple[InternViT, Path], in_chans: int, dtype: torch.dtype) -> None:
    own = load_encoder(rgb[1], dtype=dtype, num_heads=2)
    wide = load_encoder(rgb[1], dtype=dtype, num_heads=2, in_chans=in_chans)
    assert wide.patch_embed.proj.weight.shape == (32, in_chans, 14, 14)
    images = torch.randn(2, in_chans, 42, 56) * 30
    assert torch.equal(wide(images), own(images[:, :3]))
    mean = load_encoder(rgb[1], dtype=dtype, num_heads=2, in_chans=in_chans, extra_bands="mean")
    assert not torch.equal(mean(images), own(images[:, :3]))
    images[:, 3:] = 0
    assert torch.equal(mean(images), own(images[:, :3]))


@pytest.mark.parametrize("in_chans", [1, 2])
@torch.no_grad()
def test_fewer_bands_are_grey(rgb: tuple[InternViT, Path], in_chans: int) -> None:
    grey = torch.randn(2, 1, 42, 56)
    found = load_encoder(rgb[1], num_heads=2, in_chans=in_chans)(grey.expand(-1, in_chans, -1, -1))
    torch.testing.assert_close(found, rgb[0](grey.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-5)


def test_the_mean_is_that_of_the_kernels() -> None:
    weight = torch.randn(4, 3, 14, 14)
    wide = widen_patch_embed(weight, 5, "mean")
    assert torch.equal(wide[:, :3], weight)
    torch.testing.assert_close(wide[:, 3:], weight.mean(1, keepdim=True).expand(-1, 2, -1, -1))
    assert widen_patch_embed(weight, 3) is weight
    for of_others, in_chans in ((1, 4), (4, 5), (4, 3), (2, 1)):
        with pytest.raises(ValueError, match=f"of {of_others} bands cannot be made one of {in_chans}: only one of RGB"):
            widen_patch_embed(torch.randn(4, of_others, 14, 14), in_chans)


@torch.no_grad()
def test_weights_of_more_bands_are_read_as_they_are(rgb: tuple[InternViT, Path], tmp_path: Path) -> None:
    wide = load_encoder(rgb[1], num_heads=2, in_chans=4, extra_bands="mean")
    torch.save(wide.state_dict(), tmp_path / "wide.pth")
    again = load_encoder(tmp_path / "wide.pth", num_heads=2)
    assert again.in_chans == 4
    assert torch.equal(again.patch_embed.proj.weight, wide.patch_embed.proj.weight)
    with pytest.raises(ShapeMismatchError, match=r"is of 4 bands, but in_chans = 3. Set in_chans=4"):
        load_encoder(tmp_path / "wide.pth", num_heads=2, in_chans=3)
    blocks = load_encoder(rgb[1], num_heads=2, in_chans=4, blocks_in_memory=1)
    quantized = load_encoder(rgb[1], num_heads=2, in_chans=4, quantization="int8")
    images = torch.randn(1, 4, 28, 28)
    assert torch.equal(blocks(images), rgb[0](images[:, :3]))
    assert torch.equal(quantized(images), load_encoder(rgb[1], num_heads=2, quantization="int8")(images[:, :3]))


def test_other_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="extra_bands='other' is not known; choose one of zero, mean"):
        InternViT(extra_bands="other", **TINY)
    encoder = create_encoder("internvit_300m_448px", in_chans=4, device="meta")
    with pytest.raises(ValueError, match="images have 3 channels, but this encoder takes in_chans=4"):
        encoder(torch.zeros(1, 3, 448, 448, device="meta"))
