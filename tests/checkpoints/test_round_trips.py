"""From every format to every format: not a bit is another, and names are those of the published files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file
from torch import Tensor

from internvl_seg import InternViT, export_encoder, load_encoder
from internvl_seg.checkpoints.chat_model import insert_encoder
from internvl_seg.checkpoints.errors import ShapeMismatchError
from internvl_seg.checkpoints.exporting import ENCODER_FORMATS, rename_tensors
from internvl_seg.checkpoints.formats import HF_NATIVE, HF_REMOTE_CODE, Format
from internvl_seg.checkpoints.reading import read_pickle

from ..conftest import Golden
from .conftest import save_sharded
from .encoders import SHAPES, random_encoder

OTHERS = {"decode_head.conv_seg.weight": torch.ones(5, 32, 1, 1), "auxiliary_head.conv_seg.bias": torch.ones(5)}


def official_pth(encoder: InternViT, path: Path) -> Path:
    torch.save({"module": encoder.state_dict() | {"clip_projector.norm.weight": torch.ones(3)}}, path)
    return path


def official_safetensors(encoder: InternViT, path: Path) -> Path:
    save_file(encoder.state_dict(), path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def official_classifier(encoder: InternViT, path: Path) -> Path:
    head = {"norm.weight": torch.ones(64), "norm.running_var": torch.ones(64), "head.weight": torch.ones(5, 64)}
    torch.save({"model": encoder.state_dict() | head, "epoch": 9}, path)
    return path


def official_segmentor(encoder: InternViT, path: Path) -> Path:
    state = {f"backbone.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({"state_dict": state | {"backbone.up1.0.weight": torch.ones(3)} | OTHERS, "optimizer": {}}, path)
    return path


def segmentor(encoder: InternViT, path: Path) -> Path:
    """As this package trains one, with the encoder tuned."""
    init_default_scope("mmseg")
    arch = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": tuple(14 * side for side in encoder.grid_size)}
    arch |= {
        key: value
        for key, value in SHAPES["layer_norm"].items()
        if not hasattr(encoder.blocks[0].attn.q_norm, "weight")
    }
    head = {"type": "LinearHead", "in_channels": 32, "num_classes": 5}
    backbone = {"type": "InternViT", "arch": arch}
    model = MODELS.build({"type": "EncoderDecoder", "backbone": backbone, "decode_head": head})
    model.backbone.to(encoder.dtype).load_state_dict(encoder.state_dict())
    torch.save({"state_dict": model.state_dict(), "message_hub": {}}, path)
    return path


def folder(to: str, prefix: str = "") -> Callable[[InternViT, Path], Path]:
    """A function that writes a Hugging Face folder: of an encoder or, with a prefix, of a whole chat model."""

    def write(encoder: InternViT, path: Path) -> Path:
        export_encoder(encoder, path, to=to)
        config = json.loads((path / "config.json").read_text())
        if prefix:
            config = {"vision_config": config, "llm_config": {"hidden_size": 16, "num_attention_heads": 4}}
            (path / "config.json").write_text(json.dumps(config))
            (path / "model.safetensors").unlink()
            state = {prefix + name: value for name, value in rename_tensors(encoder, ENCODER_FORMATS[to]).items()}
            save_sharded(path, state | {"language_model.lm_head.weight": torch.ones(7, 16)})
        return path

    return write


CHAT_MODELS = {
    "chat model (remote code)": folder("hf_remote_code", "vision_model."),
    "chat model (native, hub)": folder("hf_native", "vision_tower."),
    "chat model (native)": folder("hf_native", "model.vision_tower."),
}
FOLDERS = {"hf_remote_code": folder("hf_remote_code"), "hf_native": folder("hf_native"), **CHAT_MODELS}
FILES = {
    "official .pth": official_pth,
    "official .safetensors": official_safetensors,
    "official classifier": official_classifier,
    "official segmentor": official_segmentor,
    "segmentor": segmentor,
}


def assert_same(found: InternViT, original: InternViT) -> None:
    assert found.num_heads == original.num_heads
    assert found.grid_size == original.grid_size
    expected = original.state_dict()
    assert found.state_dict().keys() == expected.keys()
    for name, value in found.state_dict().items():
        assert value.dtype == original.dtype
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("source", [*FILES, *FOLDERS])
def test_every_format_becomes_every_format(source: str, shape: str, dtype: torch.dtype, tmp_path: Path) -> None:
    original = random_encoder(shape).to(dtype)
    path = (FILES | FOLDERS)[source](original, tmp_path / "source.pth")
    heads = {} if source in FOLDERS else {"num_heads": 2}
    if source in FILES and shape == "wide":  # Only config.json tells a grid that is no square.
        with pytest.raises(ShapeMismatchError, match="no square"):
            load_encoder(path, **heads)
        return
    encoder = load_encoder(path, **heads)
    assert_same(encoder, original)
    for to in ENCODER_FORMATS:
        if (to, shape) == ("official", "wide"):
            with pytest.raises(ValueError, match="read as a square"):
                export_encoder(encoder, tmp_path / to, to=to)
            continue
        export_encoder(encoder, tmp_path / to, to=to)
        assert_same(load_encoder(tmp_path / to, **({"num_heads": 2} if to == "official" else {})), original)
    for name, write in CHAT_MODELS.items():
        insert_encoder(encoder, write(random_encoder(shape).to(dtype), tmp_path / f"old {name}"), tmp_path / name)
        assert_same(load_encoder(tmp_path / name), original)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("hf_remote_code_rms", HF_REMOTE_CODE),
        ("hf_remote_code_layernorm", HF_REMOTE_CODE),
        ("hf_native_layernorm", HF_NATIVE),
    ],
)
def test_published_folders_come_back_name_by_name(
    name: str, to: Format, hf_folder: Callable[..., Path], golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    (key,) = [key for key, known in ENCODER_FORMATS.items() if known is to]
    # By way of another format.
    export_encoder(load_encoder(hf_folder(name)), tmp_path / "official.pth", to="official")
    export_encoder(load_encoder(tmp_path / "official.pth", num_heads=2), tmp_path / "back", to=key)
    assert_equal(load_file(tmp_path / "back/model.safetensors"), golden(name).state)


@pytest.mark.parametrize("name", ["official_seg_rms", "official_cls_concat", "official_cls_clip_projector"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_official_files_come_back_name_by_name(
    name: str, suffix: str, official_file: Callable[..., Path], golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    export_encoder(load_encoder(official_file(name), num_heads=2), tmp_path / "hf", to="hf_native")
    export_encoder(load_encoder(tmp_path / "hf"), tmp_path / f"back{suffix}", to="official")
    back = tmp_path / f"back{suffix}"
    found = load_file(back) if suffix == ".safetensors" else read_pickle(back)["module"]
    assert_equal(found, golden(name).encoder_state())


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
