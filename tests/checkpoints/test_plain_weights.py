"""Weights that are no plain numbers are called what they are."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from internvl_seg import export_encoder, load_encoder
from internvl_seg.checkpoints import errors
from internvl_seg.encoder.lora import add_lora

from ..error_table import DocumentedError
from .encoders import random_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in the remote-code format."""
    export_encoder(random_encoder("layer_norm"), tmp_path / "saved", to="hf_remote_code")
    return tmp_path / "saved"


def change(folder: Path, tensors: dict[str, Tensor], **config: object) -> None:
    """Put other tensors and settings into a folder."""
    save_file(tensors, folder / "model.safetensors")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | config))


def test_fp8_with_scales(folder: Path, documented_error: DocumentedError) -> None:
    state = load_file(folder / "model.safetensors")
    for name, tensor in list(state.items()):
        if "layers" in name and tensor.ndim == 2:
            state |= {name: tensor.to(torch.float8_e4m3fn), f"{name}_scale": torch.ones(1)}
    change(folder, state, quantization_config={"quant_method": "compressed-tensors"})
    with documented_error("an encoder is quantised, with scales", errors.UnreadableWeightsError):
        load_encoder(folder)


@pytest.mark.parametrize("beside", ["SCB", "weight.absmax", "weight.quant_state.bitsandbytes__nf4"])
def test_bitsandbytes(beside: str, folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    layer = "encoder.layers.0.mlp.fc1"
    state |= {f"{layer}.weight": torch.zeros(64, 1, dtype=torch.uint8), f"{layer}.{beside}": torch.ones(3)}
    change(folder, state)
    with pytest.raises(errors.UnreadableWeightsError, match="quantised"):
        load_encoder(folder)


def test_gptq_and_awq(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["encoder.layers.0.mlp.fc1.weight"]
    state["encoder.layers.0.mlp.fc1.qweight"] = torch.zeros(4, 64, dtype=torch.int32)
    change(folder, state)
    with pytest.raises(errors.UnreadableWeightsError, match="qweight"):
        load_encoder(folder)


def test_a_quantised_language_model_does_not_matter(folder: Path) -> None:
    state = {f"vision_model.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    change(folder, state | {"language_model.layers.0.qweight": torch.zeros(2, dtype=torch.int32)})
    assert load_encoder(folder).embed_dim == 32


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64, torch.bool])
def test_dtypes_that_no_weights_have(dtype: torch.dtype, tmp_path: Path) -> None:
    state = random_encoder().state_dict()
    state["blocks.1.mlp.fc1.weight"] = state["blocks.1.mlp.fc1.weight"].to(dtype)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(errors.UnreadableWeightsError, match=f"as {dtype}, expected one of"):
        load_encoder(tmp_path / "x.pth", num_heads=2)


def test_int8_without_scales(tmp_path: Path) -> None:
    torch.save({name: t.to(torch.int8) for name, t in random_encoder().state_dict().items()}, tmp_path / "x.pth")
    with pytest.raises(errors.UnreadableWeightsError, match="is quantised"):
        load_encoder(tmp_path / "x.pth", num_heads=2)


def test_empty_tensors_of_zero_3(tmp_path: Path, documented_error: DocumentedError) -> None:
    save_file({name: torch.empty(0) for name in random_encoder().state_dict()}, tmp_path / "empty.safetensors")
    with documented_error("tensors are empty, as of ZeRO-3", errors.UnreadableWeightsError):
        load_encoder(tmp_path / "empty.safetensors", num_heads=2)


def test_adapters_that_are_not_merged(folder: Path, documented_error: DocumentedError) -> None:
    state = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        found = re.fullmatch(r"(.*(?:qkv|attn\.proj|fc1|fc2))\.(weight|bias)", name)
        state["vision_model.base_model.model." + (f"{found[1]}.base_layer.{found[2]}" if found else name)] = tensor
        if found and found[2] == "weight":
            layer = f"vision_model.base_model.model.{found[1]}"
            state |= {f"{layer}.lora_A.default.weight": torch.ones(2, tensor.shape[1])}
            state |= {f"{layer}.lora_B.default.weight": torch.ones(len(tensor), 2)}
    change(folder, state)
    with documented_error("a chat model holds adapters that are not merged", errors.UnreadableWeightsError):
        load_encoder(folder)


def test_adapters_of_ones_own(tmp_path: Path) -> None:
    encoder = random_encoder()
    add_lora(encoder, 2)
    torch.save(encoder.state_dict(), tmp_path / "x.pth")
    with pytest.raises(errors.UnreadableWeightsError, match="adapters"):
        load_encoder(tmp_path / "x.pth", num_heads=2)


@pytest.mark.parametrize("number", ["999999999", "9" * 5000, "256"])
def test_a_block_with_an_endless_number(number: str, tmp_path: Path) -> None:
    state = random_encoder().state_dict() | {f"blocks.{number}.norm1.weight": torch.ones(32)}
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(errors.KeyMismatchError, match="block"):
        load_encoder(tmp_path / "x.pth", num_heads=2)


def test_a_digit_of_another_script_is_no_block(tmp_path: Path) -> None:
    torch.save(random_encoder().state_dict() | {"blocks.٣.norm1.weight": torch.ones(32)}, tmp_path / "x.pth")
    with pytest.raises(errors.KeyMismatchError, match="too many"):
        load_encoder(tmp_path / "x.pth", num_heads=2)
