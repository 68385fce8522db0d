"""Adapters of a run that are merged whole, or refused."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from internvl_seg import load_encoder
from internvl_seg.checkpoints import errors
from internvl_seg.checkpoints.converting import convert_checkpoint
from internvl_seg.checkpoints.reference import embeddings_of, hash_encoder, write_reference
from internvl_seg.encoder.lora import add_lora, is_lora

from ..error_table import DocumentedError
from .encoders import random_encoder

A, B = (f"backbone.blocks.1.attn.qkv.lora_{letter}.default.weight" for letter in "AB")
ALPHA = "backbone.lora_alpha"


def adapt(folder: Path, alpha: float = 8) -> tuple[nn.Module, dict[str, Tensor]]:
    """An encoder with trained adapters, and what a run's checkpoint holds of it."""
    encoder = random_encoder()
    torch.save(encoder.state_dict(), folder / "encoder.pth")
    reference = write_reference(str(folder / "encoder.pth"), hash_encoder(encoder), embeddings_of(encoder))
    add_lora(encoder, 2, alpha, ("qkv", "fc2"))
    state = {"backbone.encoder_reference": reference, "decode_head.conv_seg.bias": torch.zeros(2)}
    for name, tensor in encoder.state_dict().items():
        if is_lora(name):
            state[f"backbone.{name}"] = nn.init.normal_(tensor, std=0.3) if tensor.ndim else tensor
    return encoder, state


@pytest.mark.parametrize("alpha", [8, 0.5, -3])
@torch.no_grad()
def test_any_strength(alpha: float, tmp_path: Path) -> None:
    adapted, state = adapt(tmp_path, alpha)
    torch.save({"state_dict": state}, tmp_path / "run.pth")
    convert_checkpoint(tmp_path / "run.pth", tmp_path / "merged.pth", to="official", num_heads=2)
    images = torch.randn(1, 3, 42, 42)
    torch.testing.assert_close(load_encoder(tmp_path / "merged.pth")(images), adapted(images), rtol=1e-4, atol=1e-4)


def without(*names: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Leaves names out of a state dict."""
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


def beside(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Puts a tensor into a state dict, or in the place of one."""
    return lambda state: state | {name: tensor}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda state: {name.replace(".default.", ".other."): tensor for name, tensor in state.items()},
            errors.KeyMismatchError,
            r"lacks .*default.* too many: .*other",
        ),
        (without(A), errors.KeyMismatchError, rf"lacks {A}; it has too many: none"),
        (without(B), errors.KeyMismatchError, rf"lacks {B}; it has too many: none"),
        (without(A, B), errors.KeyMismatchError, rf"lacks {A}, {B}"),
        (without(ALPHA), errors.KeyMismatchError, f"lacks {ALPHA}"),
        (beside(A.replace("1", "7"), torch.ones(2, 32)), errors.KeyMismatchError, r"too many: .*blocks\.7"),
        (beside(A.replace("qkv", "rel"), torch.ones(2, 32)), errors.KeyMismatchError, r"too many: .*attn\.rel"),
        (beside(A.replace("default", "other"), torch.ones(2, 32)), errors.KeyMismatchError, r"too many: .*other"),
        (
            beside(B.replace("lora_B", "lora_magnitude_vector"), torch.ones(96)),
            errors.KeyMismatchError,
            "too many: .*magnitude",
        ),
        (
            lambda state: {name: tensor for name, tensor in state.items() if "lora_A" not in name},
            errors.KeyMismatchError,
            "no lora_A",
        ),
        (
            lambda state: {name: tensor for name, tensor in state.items() if "_A." not in name and "_B." not in name},
            errors.KeyMismatchError,
            "no lora_A",
        ),
        (beside(A, torch.ones(4, 32)), errors.ShapeMismatchError, rf"{A} is \(4, 32\), expected \(2, 32\)"),
        (beside(B, torch.ones(96)), errors.ShapeMismatchError, rf"{B} is \(96,\), expected \(96, 2\)"),
        (
            lambda state: state | {name: torch.tensor(1.0) for name in state if "lora_A" in name},
            errors.ShapeMismatchError,
            r"is \(\), expected \(rank, in_features\)",
        ),
        (
            lambda state: state | {name: state[name][:0] for name in state if "lora_A" in name},
            errors.ShapeMismatchError,
            r"is \(0, \d+\), expected \(rank, in_features\)",
        ),
        (beside(ALPHA, torch.tensor([16, 16])), errors.UnreadableWeightsError, r"of shape \(2,\), expected one"),
        (beside(ALPHA, torch.tensor(True)), errors.UnreadableWeightsError, r"torch\.bool of shape \(\)"),
        (beside(ALPHA, torch.tensor(math.nan)), errors.NonFiniteWeightsError, "lora_alpha"),
        (beside(A, torch.full((2, 32), math.nan)), errors.NonFiniteWeightsError, rf"run\.pth: {A}: 64 of 64"),
        (beside(B, torch.full((96, 2), math.inf)), errors.NonFiniteWeightsError, rf"run\.pth: {B}: 192 of 192"),
        (beside(B, torch.full((96, 2), 1e38)), errors.NonFiniteWeightsError, "not finite in float32"),
        (beside(B, torch.ones(96, 2, dtype=torch.int8)), errors.UnreadableWeightsError, r"as torch\.int8"),
        (beside(A, torch.ones(2, 32, dtype=torch.complex64)), errors.UnreadableWeightsError, r"as torch\.complex64"),
    ],
)
def test_adapters_that_would_be_lost_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    error: type[errors.CheckpointError],
    message: str,
    tmp_path: Path,
) -> None:
    torch.save({"state_dict": change(adapt(tmp_path)[1])}, tmp_path / "run.pth")
    with pytest.raises(error, match=message):
        convert_checkpoint(tmp_path / "run.pth", tmp_path / "out.pth", num_heads=2)
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize(
    ("situation", "change", "error"),
    [
        ("adapters of a run have no strength", without(ALPHA), errors.KeyMismatchError),
        ("adapters of a run are not complete", without(B), errors.KeyMismatchError),
        ("adapters of a run have several ranks", beside(A, torch.ones(4, 32)), errors.ShapeMismatchError),
        ("adapters of a run have several strengths", beside(ALPHA, torch.ones(2)), errors.UnreadableWeightsError),
        ("adapters of a run are not finite", beside(A, torch.full((2, 32), math.nan)), errors.NonFiniteWeightsError),
        ("adapters overflow the encoder's dtype", beside(B, torch.full((96, 2), 1e38)), errors.NonFiniteWeightsError),
        (
            "adapters of a run have no lora_A",
            lambda state: {name: tensor for name, tensor in state.items() if "lora_A" not in name},
            errors.KeyMismatchError,
        ),
        (
            "adapters of a run have no rank",
            lambda state: state | {name: torch.tensor(1.0) for name in state if "lora_A" in name},
            errors.ShapeMismatchError,
        ),
    ],
)
def test_the_words(
    situation: str,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    error: type[errors.CheckpointError],
    tmp_path: Path,
    documented_error: DocumentedError,
) -> None:
    torch.save({"state_dict": change(adapt(tmp_path)[1])}, tmp_path / "run.pth")
    with documented_error(situation, error):
        convert_checkpoint(tmp_path / "run.pth", tmp_path / "out.pth", num_heads=2)
