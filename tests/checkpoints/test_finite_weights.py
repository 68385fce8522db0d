"""NaN, infinity and what overflows is told when weights are read."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from mmengine.registry import MODELS
from torch import nn

from internvl_seg import InternViT, load_encoder
from internvl_seg.checkpoints import encoder_file
from internvl_seg.checkpoints.errors import KeyMismatchError, NonFiniteWeightsError, ShapeMismatchError
from internvl_seg.checkpoints.loading import read_weights
from internvl_seg.checkpoints.whole_model import load_whole

from ..error_table import DocumentedError
from .encoders import random_encoder


def save(path: Path, name: str, value: float) -> Path:
    """An encoder with one odd weight."""
    state = {key: tensor.clone() for key, tensor in random_encoder("rms").state_dict().items()}
    state[name].view(-1)[5] = value
    torch.save({"module": state}, path)
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name", ["cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.1.norm2.weight", "blocks.0.mlp.fc1.weight"]
)
def test_small_weights_always(name: str, value: float, tmp_path: Path) -> None:
    path = save(tmp_path / "encoder.pth", name, value)
    with pytest.raises(NonFiniteWeightsError, match=rf"encoder\.pth: {name}: 1 of [\d,]+ values are NaN or infinite"):
        load_encoder(path, num_heads=2)


@pytest.mark.parametrize(
    "options",
    [{"mmap": False}, {"dtype": torch.bfloat16}, {"quantization": "int8"}, {"blocks_in_memory": 3}],
    ids=str,
)
def test_large_ones_where_they_are_read(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "blocks.0.mlp.fc1.weight"
    monkeypatch.setattr(encoder_file, "_SMALL", 1000)
    path = save(tmp_path / "encoder.pth", name, float("nan"))
    with pytest.raises(NonFiniteWeightsError, match=name):
        load_encoder(path, num_heads=2, **options)
    with pytest.raises(NonFiniteWeightsError, match=name):
        read_weights(random_encoder("rms"), path)
    load_encoder(path, num_heads=2)  # Where they stay mapped nothing reads them here.


def test_blocks_that_are_streamed_when_they_come(tmp_path: Path) -> None:
    path = save(tmp_path / "encoder.pth", "blocks.2.mlp.fc1.weight", float("nan"))
    encoder = load_encoder(path, num_heads=2, blocks_in_memory=1)
    for _ in range(2):
        with pytest.raises(NonFiniteWeightsError, match=r"blocks\.2\.mlp\.fc1\.weight"):
            encoder(torch.zeros(1, 3, 28, 28))


@pytest.mark.parametrize("name", ["blocks.1.attn.proj.weight", "blocks.1.norm1.weight", "pos_embed"])
def test_what_overflows(name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "encoder.pth", name, 1e5)
    with pytest.raises(NonFiniteWeightsError, match=rf"{name}: values up to 1e\+05 overflow float16.*bfloat16"):
        load_encoder(path, num_heads=2, dtype=torch.float16)
    assert load_encoder(path, num_heads=2, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_messages(tmp_path: Path, documented_error: DocumentedError) -> None:
    with documented_error("weights are NaN", NonFiniteWeightsError):
        load_encoder(save(tmp_path / "encoder.pth", "blocks.1.norm2.weight", float("nan")), num_heads=2)
    with documented_error("weights overflow float16", NonFiniteWeightsError):
        load_encoder(save(tmp_path / "encoder.pth", "blocks.1.norm2.weight", 1e5), num_heads=2, dtype=torch.float16)


@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_whole_models(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    load_whole(model, {"state_dict": dict(state)}, {}, "iter_2.pth", "config.py")
    state[name].view(-1)[1] = float("nan")
    with pytest.raises(NonFiniteWeightsError, match=rf"iter_2\.pth: {name}: 1 of"):
        load_whole(model, {"state_dict": state}, {}, "iter_2.pth", "config.py")


@pytest.mark.parametrize(
    ("value", "dtype", "message"), [(float("nan"), "float32", "NaN"), (1e5, "float16", "bfloat16")]
)
def test_models_of_timm(value: float, dtype: str, message: str, tmp_path: Path) -> None:
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    state["blocks.0.mlp.fc1.weight"][1, 2] = value
    torch.save(state, tmp_path / "vit.pth")
    config = {"type": "TimmViT", "arch": "test_vit", "dtype": dtype}
    with pytest.raises(NonFiniteWeightsError, match=rf"vit\.pth: .*fc1\.weight.*{message}"):
        MODELS.build(config | {"init_cfg": {"type": "Pretrained", "checkpoint": str(tmp_path / "vit.pth")}})


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("patch_embed.proj.weight", (32, 3, 14, 16), "14 x 16 pixels"),
        ("patch_embed.proj.weight", (32, 588), "expected"),
        ("patch_embed.proj.weight", (5,), "expected"),
        ("pos_embed", (10, 32), "expected"),
        ("pos_embed", (2, 10, 32), "expected"),
        ("pos_embed", (1, 1, 32), "expected"),
        ("blocks.0.mlp.fc1.weight", (5,), "expected"),
        ("blocks.0.mlp.fc1.weight", (), "expected"),
        ("cls_token", (32,), "expected"),
    ],
)
def test_shapes_that_no_encoder_has(name: str, shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    state = random_encoder("rms").state_dict() | {name: torch.zeros(shape)}
    torch.save({"module": state}, tmp_path / "encoder.pth")
    with pytest.raises(ShapeMismatchError, match=message):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_the_number_of_a_block_is_no_depth(tmp_path: Path) -> None:
    state = random_encoder("rms").state_dict() | {"blocks.99999999.norm1.weight": torch.ones(32)}
    torch.save({"module": state}, tmp_path / "encoder.pth")
    with pytest.raises(KeyMismatchError, match="has a block 99999999, but only 4 of them"):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


@pytest.mark.parametrize("hidden", [int(1408 * 48 / 11), 43, 131])
def test_any_width_of_the_mlp(hidden: int, tmp_path: Path) -> None:
    encoder = InternViT(img_size=14, embed_dim=12, depth=1, num_heads=2, mlp_ratio=hidden / 12)
    assert encoder.blocks[0].mlp.fc1.out_features == hidden
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    assert load_encoder(tmp_path / "encoder.pth", num_heads=2).blocks[0].mlp.fc2.in_features == hidden
