"""What a config.json says beside the weights of a model of timm is read, or compared with it, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.create_act import get_act_layer
from timm.layers.pos_embed import resample_abs_pos_embed

from internvl_seg.checkpoints.errors import (
    CheckpointError,
    ShapeMismatchError,
    UnreadableWeightsError,
    WrongConfigError,
)
from internvl_seg.segmentation.timm_config import apply_timm_config
from internvl_seg.segmentation.timm_vit import TimmViT

from ..error_table import DocumentedError

ARCH = "test_vit"
MODEL = timm.create_model(ARCH, num_classes=0)
STATE = {name: tensor.detach() for name, tensor in MODEL.state_dict().items()}
ROWS, COLUMNS = MODEL.patch_embed.grid_size


def read(folder: Path, config: Any = None, state: Any = None, arch: str = ARCH) -> TimmViT:
    """A model of timm from a folder with weights."""
    save_file({name: t.contiguous() for name, t in (state or STATE).items()}, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return TimmViT(arch, init_cfg={"type": "Pretrained", "checkpoint": str(folder)})


def test_what_fits(tmp_path: Path) -> None:
    block = MODEL.blocks[0]
    config = {
        "architecture": ARCH,
        "num_classes": 1000,
        "num_features": MODEL.embed_dim,
        "hidden_act": "gelu",
        "head_dim": block.attn.head_dim,
        "layer_norm_eps": block.norm1.eps,
        "mlp_ratio": block.mlp.fc1.out_features / MODEL.embed_dim,
        "model_args": {"img_size": MODEL.patch_embed.img_size, "num_heads": block.attn.num_heads, "num_classes": 3},
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.25], "input_size": [3, 64, 64]},
    }
    backbone = read(tmp_path, config)
    assert all(torch.equal(tensor, STATE[name]) for name, tensor in backbone.model.state_dict().items())
    # Images come normalised by ImageNet's mean and deviation, and are changed to those of the weights.
    image = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    shown = ((torch.zeros(1, 3, 16, 16) * 1) * backbone._scale + backbone._shift)[0, :, 0, 0]
    torch.testing.assert_close(
        shown, (image.flatten() - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.5, 0.25])
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "test_vit2"}, r"architecture = 'test_vit2', but backbone\.arch = 'test_vit'"),
        ({"architecture": 3}, "architecture = 3"),
        ({"num_attention_heads": 1}, "num_attention_heads = 1, but timm's test_vit has 2"),
        ({"head_dim": 8}, "head_dim = 8"),
        ({"layer_norm_eps": 1e-2}, r"layer_norm_eps = 0\.01"),
        ({"hidden_act": "quick_gelu"}, "hidden_act = 'quick_gelu', but the model's blocks have GELU"),
        ({"act_layer": "nothing"}, "act_layer = 'nothing'"),
        ({"num_hidden_layers": 3}, "num_hidden_layers = 3"),
        ({"patch_size": 14}, "patch_size = 14"),
        ({"mlp_ratio": 1.5}, "mlp_ratio = "),
        ({"model_args": {"num_heads": 1}}, r"model_args\.num_heads = 1"),
        ({"model_args": {"act_layer": "quick_gelu"}}, r"model_args\.act_layer = 'quick_gelu'"),
        ({"model_args": {"pre_norm": True}}, r"model_args\.pre_norm = True, but timm's test_vit is built as it is"),
        ({"model_args": [1]}, "model_args = a list"),
        ({"pretrained_cfg": 3}, "pretrained_cfg = 3"),
        ({"pretrained_cfg": {"std": [0, 1, 1]}}, r"pretrained_cfg\.std = \[0, 1, 1\]"),
        ({"pretrained_cfg": {"mean": "imagenet"}}, r"pretrained_cfg\.mean = 'imagenet'"),
        ({"image_size": [16, 48]}, "1 x 3 patches, but pos_embed has"),
        ({"image_size": "large"}, "image_size = 'large'"),
    ],
    ids=repr,
)
def test_what_contradicts_the_model(config: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(WrongConfigError, match=message):
        read(tmp_path, config)


def test_an_activation_that_the_model_has() -> None:
    model = timm.create_model(ARCH, num_classes=0)
    model.blocks[0].mlp.act = get_act_layer("quick_gelu")()
    assert apply_timm_config(model, {"hidden_act": "quick_gelu"}, ARCH, "x") is None
    with pytest.raises(WrongConfigError, match="hidden_act = 'gelu'"):
        apply_timm_config(model, {"hidden_act": "gelu"}, ARCH, "x")


@pytest.mark.parametrize("key", ["image_size", "img_size", "input_size"])
def test_a_grid_that_is_no_square_is_told(key: str, tmp_path: Path) -> None:
    patch = MODEL.patch_embed.patch_size[0]
    grid = (ROWS // 2, 2 * COLUMNS)  # As many positions as the model's own.
    size = [grid[0] * patch, grid[1] * patch]
    config = {"pretrained_cfg": {"input_size": [3, *size]}} if key == "input_size" else {key: size}
    stored = torch.randn_like(MODEL.pos_embed)
    backbone = read(tmp_path, config, STATE | {"pos_embed": stored})
    wanted = resample_abs_pos_embed(stored, [ROWS, COLUMNS], list(grid), MODEL.num_prefix_tokens)
    assert torch.equal(backbone.model.pos_embed, wanted)
    assert not torch.equal(backbone.model.pos_embed, stored)


def test_messages(tmp_path: Path, documented_error: DocumentedError) -> None:
    cases: dict[str, Any] = {"another model": {"architecture": "test_vit2"}, "other heads": {"num_attention_heads": 1}}
    for i, (case, config) in enumerate(cases.items()):
        (tmp_path / str(i)).mkdir()
        with documented_error(f"config.json beside weights of timm tells {case}", WrongConfigError):
            read(tmp_path / str(i), config)
    odd = STATE | {"pos_embed": torch.zeros(1, MODEL.num_prefix_tokens + 15, MODEL.embed_dim)}
    with documented_error("weights of timm are of a grid that is not told", ShapeMismatchError):
        read(tmp_path, None, odd)
    with documented_error("weights of timm have adapters beside them", UnreadableWeightsError):
        read(tmp_path, None, STATE | {"blocks.0.mlp.fc1.lora_A.weight": torch.ones(2, MODEL.embed_dim)})


@pytest.mark.parametrize("shape", [(), (7, 3), (2, 5, MODEL.embed_dim), (1, 1, MODEL.embed_dim)])
def test_positions_of_another_shape(shape: Any, tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatchError, match=r"pos_embed is \("):
        read(tmp_path, None, STATE | {"pos_embed": torch.zeros(shape)})


@pytest.mark.parametrize("start", ["module.", "_orig_mod.", "model."])
def test_names_of_a_wrapped_model(start: str, tmp_path: Path) -> None:
    backbone = read(tmp_path, None, {start + name: tensor for name, tensor in STATE.items()})
    assert torch.equal(backbone.model.cls_token, STATE["cls_token"])
    with pytest.raises(CheckpointError, match="2 copies"):
        read(tmp_path, None, {f"{copy}.{n}": t.clone() for copy in ("teacher", "student") for n, t in STATE.items()})
