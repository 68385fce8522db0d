"""What is exported is read back, bit for bit, by this package and by transformers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import InternVLVisionModel

from internvl_seg import InternViT, export_encoder, load_encoder
from internvl_seg.checkpoints.errors import DestinationError
from internvl_seg.encoder.lora import add_lora

from ..conftest import Golden
from ..error_table import DocumentedError

FORMATS = ("official", "hf_remote_code", "hf_native")
SHAPES = {
    "rms": {},
    "layer_norm": {"norm": "layer_norm", "qkv_bias": True, "qk_norm": False},
    "wide": {"img_size": (28, 70), "norm": "layer_norm", "qkv_bias": True, "qk_norm": False},
}


def encoder(**options: object) -> InternViT:
    made = InternViT(**{"img_size": 42, "embed_dim": 32, "depth": 3, "num_heads": 2} | options)
    for parameter in made.parameters():  # Norms and LayerScale have equal numbers otherwise.
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("shape", "to"),
    # Only config.json tells a grid that is no square.
    [(shape, to) for shape in SHAPES for to in FORMATS if (shape, to) != ("wide", "official")],
)
def test_every_format_is_read_back(shape: str, to: str, dtype: torch.dtype, tmp_path: Path) -> None:
    original = encoder(**SHAPES[shape]).to(dtype)
    export_encoder(original, tmp_path / "out.pth", to=to)
    found = load_encoder(tmp_path / "out.pth", **({"num_heads": 2} if to == "official" else {}))
    assert found.num_heads == 2
    assert found.grid_size == original.grid_size
    for name, value in original.state_dict().items():
        assert found.state_dict()[name].dtype == dtype
        assert torch.equal(found.state_dict()[name], value), name
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("shape", ["rms", "layer_norm"])
@torch.no_grad()
def test_transformers_reads_its_format(shape: str, tmp_path: Path) -> None:
    original = encoder(**SHAPES[shape])
    export_encoder(original, tmp_path / "hf", to="hf_native", max_shard_size="40KB")
    assert (tmp_path / "hf/model.safetensors.index.json").is_file()
    theirs, info = InternVLVisionModel.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    images = torch.randn(2, 3, *(side * 14 for side in original.grid_size))
    found = theirs.eval()(images).last_hidden_state
    torch.testing.assert_close(original(images), found, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(load_encoder(tmp_path / "hf")(images), original(images))


@pytest.mark.parametrize("name", ["hf_native_layernorm", "hf_remote_code_layernorm", "hf_remote_code_rms"])
def test_config_json_says_what_the_published_ones_say(
    name: str, golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    model = golden(name)
    to = name.rpartition("_")[0]
    kind = {"hf_native": "internvl_vision", "hf_remote_code": "intern_vit_6b"}[to]
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(model.config))
    torch.save(model.state, source / "pytorch_model.bin")
    export_encoder(load_encoder(source), tmp_path / "out", to=to)
    written = json.loads((tmp_path / "out/config.json").read_text())
    assert written["model_type"] == kind
    assert {key: written[key] for key in model.config} == model.config


def test_what_is_there_is_not_replaced(tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "out").mkdir()
    with documented_error("the place to export to is taken", DestinationError):
        export_encoder(encoder(), tmp_path / "out", to="hf_native")
    assert not list((tmp_path / "out").iterdir())


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="No space"):
        export_encoder(encoder(), tmp_path / "out", to="hf_native")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(documented_error: DocumentedError) -> None:
    with documented_error("an export names an unknown format", ValueError):
        export_encoder(encoder(), "out", to="onnx")
    adapted = encoder()
    add_lora(adapted, rank=2)
    with documented_error("an encoder with adapters is exported", ValueError):
        export_encoder(adapted, "out", to="official")
