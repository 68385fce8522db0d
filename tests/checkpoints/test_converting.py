"""Segmentors and encoders from one format to another, and what had no place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from internvl_seg import load_encoder
from internvl_seg.checkpoints import encoder_file
from internvl_seg.checkpoints.converting import FORMATS, convert_checkpoint
from internvl_seg.checkpoints.errors import (
    CheckpointError,
    KeyMismatchError,
    NonFiniteWeightsError,
    NotACheckpointError,
    UnreadableWeightsError,
)
from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.checkpoints.reference import WrongEncoderError
from internvl_seg.encoder.lora import is_lora

from ..conftest import Golden
from ..error_table import DocumentedError

HEAD = {"channels": 8, "num_classes": 5, "norm_cfg": {"type": "BN"}}


def segmentor(img_size: int = 70, **backbone: Any) -> nn.Module:
    """A UperNet with an auxiliary head on the golden encoder's architecture."""
    init_default_scope("mmseg")
    arch = {"embed_dim": 32, "depth": 4, "num_heads": 2, "img_size": 42}
    config = {
        "type": "EncoderDecoder",
        "backbone": {"type": "InternViT", "arch": arch, "img_size": img_size, "out_indices": (0, 1, 2, 3), **backbone},
        "neck": {"type": "FeaturePyramid", "embed_dim": 32},
        "decode_head": {"type": "UPerHead", "in_index": [0, 1, 2, 3], "in_channels": [32] * 4, **HEAD},
        "auxiliary_head": {"type": "FCNHead", "in_index": 2, "in_channels": 32, **HEAD},
        "test_cfg": {"mode": "whole"},
    }
    model: nn.Module = MODELS.build(config).eval()
    return model


@pytest.fixture
def official(golden: Callable[[str], Golden], tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """An official segmentor: the golden encoder and pyramid, and heads as MMSegmentation 0.x names them."""
    heads = {k: v for k, v in segmentor().state_dict().items() if "_head." in k}
    state = {f"backbone.{k}": v for k, v in golden("official_seg_rms_pyramid").state.items()} | heads
    path = tmp_path / "official.pth"
    torch.save({"meta": {"mmseg_version": "0.27.0"}, "state_dict": state, "optimizer": {}}, path)
    return path, state


@pytest.mark.parametrize("to", FORMATS)
def test_large_weights_that_are_not_finite(
    to: str, official: tuple[Path, dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_file, "_SMALL", 1000)  # They stay mapped, and are not looked through when opened.
    path, state = official
    name = "backbone.blocks.2.mlp.fc1.weight"
    state[name] = state[name].clone()
    state[name][4, 5] = float("inf")
    torch.save({"state_dict": state}, path)
    load_encoder(path, num_heads=2)
    with pytest.raises(NonFiniteWeightsError, match=r"official\.pth: blocks\.2\.mlp\.fc1\.weight: 1 of .*at \(4, 5\)"):
        convert_checkpoint(path, tmp_path / "new.pth", to=to, num_heads=2)
    assert list(tmp_path.iterdir()) == [path]


@torch.no_grad()
def test_an_official_segmentor_gives_the_same_maps(
    official: tuple[Path, dict[str, Tensor]], golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    path, state = official
    report = convert_checkpoint(path, tmp_path / "ours.pth", to="segmentor", num_heads=2)
    assert ("backbone.up1.*", "neck.up1.*", 6) in report.moved
    assert ("backbone.up2.*", "neck.up2.*", 2) in report.moved
    assert ("decode_head.*", "decode_head.*", sum(k.startswith("decode_head.") for k in state)) in report.moved
    assert sum(number for *_, number in report.moved) == len(state)
    assert report.left_out == (("meta", "not weights"), ("optimizer", "not weights"))

    expected = golden("official_seg_rms_pyramid")
    model = segmentor(expected.config["img_size"])
    model.load_state_dict(read_pickle(tmp_path / "ours.pth")["state_dict"], strict=True)
    for i, found in enumerate(model.neck(model.backbone(expected.image))):
        torch.testing.assert_close(found, expected.expected[str(i)], rtol=1e-5, atol=1e-5)

    convert_checkpoint(tmp_path / "ours.pth", tmp_path / "back.pth", to="official_segmentor", num_heads=2)
    back = read_pickle(tmp_path / "back.pth")["state_dict"]
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


@pytest.mark.parametrize("to", ["official", "hf_remote_code", "hf_native"])
def test_the_encoder_of_a_segmentor(to: str, official: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    path, state = official
    report = convert_checkpoint(path, tmp_path / "encoder.pth", to=to, num_heads=2)
    found = load_encoder(tmp_path / "encoder.pth", num_heads=2)
    for name, value in found.state_dict().items():
        assert torch.equal(value, state[f"backbone.{name}"]), name
    rest = [name for name in state if not name.startswith("backbone.") or name.startswith("backbone.up")]
    left = [why for what, why in report.left_out if what.endswith("tensors)")]
    auxiliary = sum(name.startswith("auxiliary_head.") for name in state)
    assert report.left_out[0] == (f"auxiliary_head.* ({auxiliary} tensors)", "not part of an encoder")
    assert sum(int(what.split("(")[1].split()[0]) for what, _ in report.left_out[: len(left)]) == len(rest)
    assert report.left_out[len(left) :] == (("meta", "not weights"), ("optimizer", "not weights"))
    assert sum(number for *_, number in report.moved) == len(found.state_dict()) + (2 * 4 if to == "hf_native" else 0)


def test_the_format_follows_from_source_and_destination(
    official: tuple[Path, dict[str, Tensor]], golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    convert_checkpoint(official[0], tmp_path / "ours.pth", num_heads=2)
    assert "neck.up1.0.weight" in read_pickle(tmp_path / "ours.pth")["state_dict"]
    torch.save({"module": golden("official_seg_rms").state}, tmp_path / "encoder.pth")
    convert_checkpoint(tmp_path / "encoder.pth", tmp_path / "hf", num_heads=2)
    assert json.loads((tmp_path / "hf/config.json").read_text())["model_type"] == "internvl_vision"
    convert_checkpoint(tmp_path / "hf", tmp_path / "back.pth")
    assert "blocks.0.attn.qkv.weight" in read_pickle(tmp_path / "back.pth")["module"]


def test_the_clip_projector_is_left_out_and_said_so(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    torch.save({"module": golden("official_cls_clip_projector").state}, tmp_path / "a.pth")
    report = convert_checkpoint(tmp_path / "a.pth", tmp_path / "b", to="hf_remote_code", num_heads=2)
    assert any(what.startswith("clip_projector.*") for what, _ in report.left_out)


def test_a_tensor_without_a_place_is_an_error(
    official: tuple[Path, dict[str, Tensor]], tmp_path: Path, documented_error: DocumentedError
) -> None:
    _, state = official
    torch.save({"state_dict": state | {"ema.weight": torch.zeros(1)}}, tmp_path / "segmentor.pth")
    with documented_error("a segmentor has parts of another kind", KeyMismatchError):
        convert_checkpoint(tmp_path / "segmentor.pth", tmp_path / "out.pth", to="segmentor", num_heads=2)
    torch.save({"state_dict": state | {"backbone.adapter.weight": torch.zeros(1)}}, tmp_path / "adapter.pth")
    with documented_error("a segmentor's encoder has more than an encoder", KeyMismatchError):
        convert_checkpoint(tmp_path / "adapter.pth", tmp_path / "out.pth", to="segmentor", num_heads=2)
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_head_that_is_not_finite(value: float, official: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    _, state = official
    bias = state["decode_head.conv_seg.bias"].clone()
    bias[1] = value
    torch.save({"state_dict": state | {"decode_head.conv_seg.bias": bias}}, tmp_path / "diverged.pth")
    with pytest.raises(NonFiniteWeightsError, match=r"diverged\.pth: decode_head\.conv_seg\.bias: 1 of 5 values"):
        convert_checkpoint(tmp_path / "diverged.pth", tmp_path / "out.pth", num_heads=2)
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("decode_head.conv_seg.weight", torch.int8),
        ("decode_head.conv_seg.weight", torch.bool),
        ("decode_head.conv_seg.bias", torch.complex64),
        ("decode_head.conv_seg.bias", torch.float8_e4m3fn),
        ("auxiliary_head.convs.0.bn.running_var", torch.int64),
        ("backbone.up1.0.weight", torch.uint8),
    ],
)
def test_a_head_that_is_no_plain_numbers(
    name: str, dtype: torch.dtype, official: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    _, state = official
    torch.save({"state_dict": state | {name: state[name].to(dtype)}}, tmp_path / "odd.pth")
    with pytest.raises(UnreadableWeightsError, match=f"{name} as {dtype}"):
        convert_checkpoint(tmp_path / "odd.pth", tmp_path / "out.pth", num_heads=2)
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize(
    ("situation", "bias", "error"),
    [
        ("the head of a segmentor is not finite", torch.full((5,), float("nan")), NonFiniteWeightsError),
        ("the head of a segmentor is quantised", torch.ones(5, dtype=torch.int8), UnreadableWeightsError),
        ("the head of a segmentor is complex", torch.ones(5, dtype=torch.complex64), UnreadableWeightsError),
        ("the head of a segmentor is empty, as of ZeRO-3", torch.ones(0), UnreadableWeightsError),
    ],
)
def test_what_is_said_of_a_head(
    situation: str,
    bias: Tensor,
    error: type[CheckpointError],
    official: tuple[Path, dict[str, Tensor]],
    tmp_path: Path,
    documented_error: DocumentedError,
) -> None:
    _, state = official
    torch.save({"state_dict": state | {"decode_head.conv_seg.bias": bias}}, tmp_path / "segmentor.pth")
    with documented_error(situation, error):
        convert_checkpoint(tmp_path / "segmentor.pth", tmp_path / "out.pth", num_heads=2)


@pytest.mark.parametrize("name", ["decode_head.conv_seg.lora_A.default.weight", "backbone.lora_alpha"])
def test_adapters_beside_a_whole_encoder_are_not_lost(
    name: str, official: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    _, state = official
    torch.save({"state_dict": state | {name: torch.ones(2, 8)}}, tmp_path / "adapted.pth")
    with pytest.raises(CheckpointError, match=r"adapted\.pth .*lora_"):
        convert_checkpoint(tmp_path / "adapted.pth", tmp_path / "out.pth", num_heads=2)


def test_a_pyramid_that_is_there_twice(
    official: tuple[Path, dict[str, Tensor]], tmp_path: Path, documented_error: DocumentedError
) -> None:
    _, state = official
    twice = {"neck.up1.0.weight": torch.zeros_like(state["backbone.up1.0.weight"])}
    torch.save({"state_dict": state | twice}, tmp_path / "twice.pth")
    with documented_error("a segmentor holds its pyramid under both names", KeyMismatchError):
        convert_checkpoint(tmp_path / "twice.pth", tmp_path / "out.pth", num_heads=2)


def test_two_references(tmp_path: Path, documented_error: DocumentedError) -> None:
    state = {f"{part}.encoder_reference": torch.zeros(2, dtype=torch.uint8) for part in ("backbone", "ema.backbone")}
    torch.save({"state_dict": state | {"decode_head.conv_seg.bias": torch.zeros(2)}}, tmp_path / "two.pth")
    with documented_error("a checkpoint of heads refers to two encoders", NotACheckpointError):
        convert_checkpoint(tmp_path / "two.pth", tmp_path / "out.pth")


def test_wrong_requests(golden: Callable[[str], Golden], tmp_path: Path, documented_error: DocumentedError) -> None:
    torch.save({"module": golden("official_seg_rms").state}, tmp_path / "encoder.pth")
    with documented_error("an encoder is to become a segmentor", NotACheckpointError):
        convert_checkpoint(tmp_path / "encoder.pth", tmp_path / "out.pth", to="segmentor")
    with documented_error("a conversion names an unknown format", ValueError):
        convert_checkpoint(tmp_path / "encoder.pth", tmp_path / "out.pth", to="onnx")


@pytest.fixture
def run(golden: Callable[[str], Golden], tmp_path: Path) -> Callable[..., tuple[nn.Module, Path]]:
    """A model on the frozen golden encoder, with adapters if asked for, and its checkpoint."""
    torch.save({"module": golden("official_seg_rms").state}, tmp_path / "encoder.pth")

    def make(**backbone: Any) -> tuple[nn.Module, Path]:
        init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "encoder.pth")}
        model = segmentor(frozen=True, init_cfg=init_cfg, **backbone)
        for name, parameter in model.named_parameters():
            if is_lora(name):
                nn.init.normal_(parameter, std=0.1)
        torch.save({"state_dict": model.state_dict(), "meta": {}}, tmp_path / "run.pth")
        return model, tmp_path / "run.pth"

    return make


@pytest.mark.parametrize("backbone", [{}, {"lora": {"rank": 2, "alpha": 8, "layers": ("qkv", "fc2")}}])
@torch.no_grad()
def test_heads_of_a_frozen_run_become_a_whole_segmentor(
    backbone: dict[str, Any], run: Callable[..., tuple[nn.Module, Path]], tmp_path: Path
) -> None:
    model, path = run(**backbone)
    convert_checkpoint(path, tmp_path / "whole.pth", to="segmentor", num_heads=2)
    whole = segmentor()
    whole.load_state_dict(read_pickle(tmp_path / "whole.pth")["state_dict"], strict=True)
    images = torch.randn(1, 3, 70, 70)
    for found, expected in zip(whole.neck(whole.backbone(images)), model.neck(model.backbone(images)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected = model(images)
    assert float((whole(images) - expected).abs().max() / expected.abs().max()) < 1e-5
    # And its encoder alone, for everything that takes encoders.
    convert_checkpoint(path, tmp_path / "hf", to="hf_native", num_heads=2)
    exported = load_encoder(tmp_path / "hf", img_size=70)
    (found,) = exported.forward_intermediates(images, [3])
    expected = model.backbone(images)[3]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_adapters_of_another_strength_are_refused(
    run: Callable[..., tuple[nn.Module, Path]], tmp_path: Path, documented_error: DocumentedError
) -> None:
    model, _ = run(lora={"rank": 2, "alpha": 8})
    state = model.state_dict()
    other, _ = run(lora={"rank": 2, "alpha": 4})
    with documented_error("adapters are loaded with another alpha", WrongEncoderError):
        other.load_state_dict(state)


def test_the_encoder_that_heads_refer_to(
    run: Callable[..., tuple[nn.Module, Path]], tmp_path: Path, documented_error: DocumentedError
) -> None:
    _, path = run()
    moved = (tmp_path / "encoder.pth").rename(tmp_path / "moved.pth")
    with documented_error("the encoder of a checkpoint of heads is gone", CheckpointError):
        convert_checkpoint(path, tmp_path / "out.pth", to="segmentor", num_heads=2)
    state = read_pickle(moved)
    state["module"]["blocks.0.norm1.weight"] = state["module"]["blocks.0.norm1.weight"] + 1
    torch.save(state, tmp_path / "other.pth")
    with documented_error("heads are converted with another encoder", WrongEncoderError):
        convert_checkpoint(path, tmp_path / "out.pth", to="segmentor", encoder=tmp_path / "other.pth", num_heads=2)
    convert_checkpoint(path, tmp_path / "out.pth", to="segmentor", encoder=moved, num_heads=2)
    assert (tmp_path / "out.pth").is_file()
