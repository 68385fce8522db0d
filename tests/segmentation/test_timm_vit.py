"""timm's ViTs as backbones."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmseg.models import build_segmentor
from safetensors.torch import save_file
from torch.testing import assert_close

from internvl_seg.checkpoints.reference import REFERENCE, WrongEncoderError
from internvl_seg.segmentation import TimmViT

from ..error_table import DocumentedError

TINY, DINOV3 = "vit_tiny_patch16_224", "vit_small_patch16_dinov3"
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def build(arch: str = TINY, **options: Any) -> TimmViT:
    torch.manual_seed(0)
    return MODELS.build({"type": "TimmViT", "arch": arch, **options})


def save(path: Path, seed: int = 1, arch: str = TINY, **options: Any) -> Path:
    torch.manual_seed(seed)
    save_file(timm.create_model(arch, num_classes=0, **options).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("arch", "height", "width", "norm"),
    [
        (TINY, 32, 64, False),
        ("timm/vit_small_patch14_reg4_dinov2", 28, 42, True),
        ("vit_base_patch16_siglip_224", 32, 32, False),
        ("vit_small_patch16_dinov3", 48, 32, True),
    ],
)
def test_maps_are_timms(arch: str, height: int, width: int, norm: bool) -> None:
    backbone = build(arch, out_indices=(3, -1, 0), norm=norm)
    pixels = torch.rand(2, 3, height, width)
    found = backbone((pixels - MEAN) / STD)
    torch.manual_seed(0)
    model = timm.create_model(arch.removeprefix("timm/"), num_classes=0, dynamic_img_size=True).eval()
    own = [torch.tensor(model.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std")]
    with torch.no_grad():
        wanted = model.forward_intermediates((pixels - own[0]) / own[1], norm=norm, intermediates_only=True)
    for index, one in zip((3, -1, 0), found, strict=True):
        assert one.dtype == torch.float32
        assert_close(one, wanted[index], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("output_fmt", ["NCHW", "NLC"])
def test_the_cls_token_or_the_mean_stands_before_the_patches(output_fmt: str) -> None:
    with_cls = build("vit_small_patch14_reg4_dinov2")
    images = torch.randn(2, 3, 28, 42)
    ((patches, cls),) = with_cls.forward_intermediates(images, [1], output_fmt, return_prefix_tokens=True)
    ((_, tokens),) = with_cls.model.forward_intermediates(
        images, [1], return_prefix_tokens=True, intermediates_only=True, stop_early=True
    )
    assert_close(cls, tokens[:, :1])
    assert patches.shape == ((2, 384, 2, 3) if output_fmt == "NCHW" else (2, 6, 384))
    without = build("vit_base_patch16_siglip_224")
    ((patches, mean),) = without.forward_intermediates(images, [0], output_fmt, return_prefix_tokens=True)
    assert_close(mean[:, 0], patches.mean((2, 3) if output_fmt == "NCHW" else 1))


@pytest.mark.parametrize(("size", "whole"), [((378, 504), (384, 512)), ((7, 100), (16, 96)), ((25, 23), (32, 16))])
def test_other_sizes_are_resized_to_the_nearest(size: tuple[int, int], whole: tuple[int, int]) -> None:
    backbone = build(out_indices=(0,))
    images = torch.randn(1, 3, *size)
    resized = F.interpolate(images, whole, mode="bilinear", antialias=True)
    (found,) = backbone(images)
    assert found.shape[-2:] == (whole[0] // 16, whole[1] // 16)
    assert_close(found, backbone(resized)[0])


def test_it_is_frozen() -> None:
    backbone = build(dtype="bfloat16").train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.bfloat16}
    assert backbone(torch.randn(1, 3, 32, 32, requires_grad=True))[0].grad_fn is None


def test_checkpoints_refer_to_it(tmp_path: Path, documented_error: DocumentedError, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    files = [save(Path(f"vit_{i}.safetensors"), seed=i) for i in (1, 2)]
    first, second = (build(init_cfg={"type": "Pretrained", "checkpoint": file.name}) for file in files)
    state = first.state_dict()
    assert list(state) == [REFERENCE]
    first.load_state_dict(dict(state))
    with documented_error("a checkpoint on another encoder of timm", WrongEncoderError):
        second.load_state_dict(dict(state))
    assert len(build().state_dict()) > 100


def test_a_segmentor_trains_and_predicts() -> None:
    segmentor = build_segmentor(
        {
            "type": "StreamingEncoderDecoder",
            "backbone": {"type": "TimmViT", "arch": TINY, "out_indices": (1,)},
            "decode_head": {"type": "LinearHead", "in_channels": 192, "num_classes": 3},
            "test_cfg": {"mode": "whole"},
        }
    )
    assert not [name for name, p in segmentor.named_parameters() if p.requires_grad and name.startswith("backbone")]
    segmentor.train()(torch.randn(2, 3, 30, 50), mode="tensor").sum().backward()
    (found,) = segmentor.eval().predict(torch.randn(1, 3, 30, 50))
    assert found.pred_sem_seg.data.shape == (1, 30, 50)


def test_a_name_that_timm_does_not_know(documented_error: DocumentedError) -> None:
    with documented_error("a backbone that timm does not have", ValueError):
        build("vit_tiny_patch16_225")


def test_a_model_that_is_no_vit(documented_error: DocumentedError) -> None:
    with documented_error("a backbone of timm that is no ViT", ValueError):
        build("swin_tiny_patch4_window7_224")


@pytest.mark.parametrize("arch", ["vit_small_r26_s32_224", "vit_base_mci_224"])
def test_a_hybrid_is_no_plain_vit(arch: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="is no plain ViT"):
        build(arch)


@pytest.mark.parametrize("arch", ["test_vit", DINOV3])
def test_random_weights_are_those_of_their_seed(arch: str) -> None:
    found = []
    for seed, before in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(before)
        found.append(MODELS.build({"type": "TimmViT", "arch": arch, "seed": seed}).model.blocks[1].mlp.fc1.weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("arch", ["test_vit", DINOV3])
def test_threads_may_share_it(arch: str) -> None:
    backbone = build(arch, out_indices=(1,))
    images = [torch.randn(1, 3, 32 + 16 * (i % 2), 48) for i in range(4)]
    wanted = [backbone(image)[0] for image in images]
    with ThreadPoolExecutor(8) as pool:
        for i, (found,) in enumerate(pool.map(lambda i: backbone(images[i % 4]), range(24))):
            assert torch.equal(found, wanted[i % 4])


@pytest.mark.parametrize("options", [{"dtype": "int8"}, {"frozen": False}, {"init_cfg": {"type": "Constant"}}])
def test_wrong_fields(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        build(**options)


@pytest.mark.parametrize("indices", [[], [12], [-13]])
def test_blocks_that_are_not_there(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=r"use -12 to 11|indices is empty"):
        build(out_indices=indices)


@pytest.mark.parametrize("arch", [TINY, "test_vit"])
def test_bands_after_the_third_change_no_bit_of_weights_of_rgb(arch: str, tmp_path: Path, caplog: Any) -> None:
    path = save(tmp_path / "rgb.safetensors", arch=arch)
    init = {"type": "Pretrained", "checkpoint": str(path)}
    images = torch.randn(1, 5, 32, 48)
    (wanted,) = build(arch, init_cfg=init)(images[:, :3])
    wide = build(arch, init_cfg=init, in_chans=5)
    assert torch.equal(wide(images)[0], wanted)
    assert "Band 4 to 5 of the images is not read" in caplog.text
    caplog.clear()
    mean = build(arch, init_cfg=init, in_chans=5, extra_bands="mean")
    assert not torch.equal(mean(images)[0], wanted)
    assert not caplog.text
    save_file(mean.model.state_dict(), tmp_path / "wide.safetensors")
    again = build(arch, init_cfg={**init, "checkpoint": str(tmp_path / "wide.safetensors")}, in_chans=5)
    assert torch.equal(again(images)[0], mean(images)[0])
    assert build(arch, in_chans=1)(images[:, :1])[0].shape == wanted.shape
    random = build(arch, in_chans=5)
    assert not torch.equal(random(images)[0], random(images.flip(0) * torch.tensor([1, 1, 1, 0, 0]).view(5, 1, 1))[0])
