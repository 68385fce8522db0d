"""Weights of timm's models out of files."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from internvl_seg.checkpoints.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    KeyMismatchError,
    ShapeMismatchError,
    UnreadableWeightsError,
)

from ..error_table import DocumentedError
from .test_timm_vit import DINOV3, TINY, build, save


def test_weights_of_another_image_size_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "vit.safetensors", img_size=384)
    backbone = build(init_cfg={"type": "Pretrained", "checkpoint": str(path)})
    torch.manual_seed(1)
    wanted = timm.create_model(TINY, num_classes=0, img_size=384)
    assert_close(backbone.model.blocks[3].mlp.fc1.weight, wanted.blocks[3].mlp.fc1.weight)
    assert backbone.model.pos_embed.shape[1] == 1 + 14 * 14


def test_a_file_that_is_not_there(tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="folder is empty"):
        build("test_vit", init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "folder")})
    with documented_error("a backbone of timm whose file is not there", CheckpointNotFoundError):
        build("test_vit", init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "nothing.pth")})


def test_a_folder_with_weights(tmp_path: Path) -> None:
    save(tmp_path / "model.safetensors", arch="test_vit")
    backbone = build("test_vit", init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path)})
    torch.manual_seed(1)
    wanted = timm.create_model("test_vit", num_classes=0)
    assert torch.equal(backbone.model.cls_token, wanted.cls_token)


@pytest.fixture(scope="module")
def official_dinov3() -> dict[str, torch.Tensor]:
    """Weights in the names of the official DINOv3, without its biases of queries, keys and values."""
    state, names = {"mask_token": torch.zeros(1, 384)}, (("gamma_1", "ls1.gamma"), ("gamma_2", "ls2.gamma"))
    for name, tensor in timm.create_model(DINOV3, num_classes=0).state_dict().items():
        for old, new in (*names, ("reg_token", "storage_tokens")):
            name = name.replace(old, new)
        state[name] = tensor
    return state | {"rope_embed.periods": torch.ones(16), "local_cls_norm.weight": torch.ones(384)}


@pytest.mark.parametrize("biases", ["none", "zero", "masked"])
def test_what_timm_leaves_out_for_good_reason(
    biases: str, official_dinov3: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    state = dict(official_dinov3)
    if biases != "none":
        state |= {f"blocks.{i}.attn.qkv.bias": torch.zeros(1152) for i in range(12)}
    if biases == "masked":
        state |= {f"blocks.{i}.attn.qkv.bias_mask": torch.full((1152,), torch.nan) for i in range(12)}
    torch.save(state, tmp_path / "dinov3.pth")
    backbone = build(DINOV3, init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "dinov3.pth")})
    assert torch.equal(backbone.model.blocks[3].gamma_2, state["blocks.3.ls2.gamma"])
    assert type(backbone.model.cls_token) is torch.nn.Parameter


def test_what_timm_would_leave_out_in_silence(
    official_dinov3: dict[str, torch.Tensor],
    tmp_path: Path,
    documented_error: DocumentedError,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = official_dinov3 | {f"blocks.{i}.attn.qkv.bias": torch.ones(1152) for i in range(12)}
    torch.save(state, tmp_path / "dinov3.pth")
    init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "dinov3.pth")}
    with documented_error("weights that timm would leave out", KeyMismatchError):
        build(DINOV3, init_cfg=init_cfg)
    assert not capsys.readouterr().out
    backbone = build(f"{DINOV3}_qkvb", init_cfg=init_cfg)
    assert torch.equal(backbone.model.blocks[11].attn.v_bias, torch.ones(384))


def test_weights_of_another_model(tmp_path: Path) -> None:
    path = save(tmp_path / "vit.safetensors", arch="vit_small_patch14_reg4_dinov2")
    with pytest.raises(ShapeMismatchError, match=r"vit\.safetensors does not fit timm's model"):
        build(init_cfg={"type": "Pretrained", "checkpoint": str(path)})


def test_weights_that_lack_a_block(tmp_path: Path) -> None:
    state = timm.create_model(TINY, num_classes=0).state_dict()
    path = tmp_path / "vit.safetensors"
    save_file({name: tensor for name, tensor in state.items() if not name.startswith("blocks.11.")}, path)
    with pytest.raises(KeyMismatchError, match=r"It lacks 12: blocks\.11"):
        build(init_cfg={"type": "Pretrained", "checkpoint": str(path)})


@pytest.mark.parametrize("arch", ["test_vit", DINOV3])
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_weights_of_dtypes_that_no_weights_have(arch: str, dtype: torch.dtype, tmp_path: Path) -> None:
    state = timm.create_model(arch, num_classes=0).state_dict()
    state["blocks.1.mlp.fc1.weight"] = state["blocks.1.mlp.fc1.weight"].to(dtype)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UnreadableWeightsError, match=rf"w.pth (is quantised|holds).*fc1\.weight as {dtype}"):
        build(arch, init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "w.pth")})
