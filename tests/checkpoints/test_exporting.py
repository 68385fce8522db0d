"""What is exported is read back, bit for bit, by this package and by transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import InternVLVisionModel

from internvl_seg import export_encoder, load_encoder
from internvl_seg.checkpoints import exporting
from internvl_seg.checkpoints.errors import DestinationError, NonFiniteWeightsError
from internvl_seg.encoder.lora import add_lora

from ..conftest import Golden
from ..error_table import DocumentedError
from .encoders import random_encoder


@pytest.mark.parametrize("shape", ["rms", "layer_norm"])  # It computes on square grids only.
@torch.no_grad()
def test_transformers_reads_its_format(shape: str, tmp_path: Path) -> None:
    original = random_encoder(shape)
    export_encoder(original, tmp_path / "hf", to="hf_native", max_shard_size="40KB")
    assert (tmp_path / "hf/model.safetensors.index.json").is_file()
    theirs, info = InternVLVisionModel.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    for size in ((42, 42), (70, 56)):
        images = torch.randn(2, 3, *size)
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
        export_encoder(random_encoder(), tmp_path / "out", to="hf_native")
    assert not list((tmp_path / "out").iterdir())


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(DestinationError, match="No space"):
        export_encoder(random_encoder(), tmp_path / "out", to="hf_native")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("max_shard_size", ["40KB", "1GB"])
def test_weights_are_written_from_where_they_are(
    max_shard_size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = random_encoder("layer_norm"), {}

    def save_and_look(tensors: dict[str, torch.Tensor], *args: object, **options: object) -> None:
        written.update(tensors)
        save_file(tensors, *args, **options)

    monkeypatch.setattr(exporting, "save_file", save_and_look)
    export_encoder(original, tmp_path / "out", to="hf_native", max_shard_size=max_shard_size)
    own = {parameter.untyped_storage().data_ptr() for parameter in original.parameters()}
    assert {tensor.untyped_storage().data_ptr() for tensor in written.values()} == own
    files = {path.name for path in (tmp_path / "out").glob("model*.safetensors")}
    assert len(files) == (6 if max_shard_size == "40KB" else 1)


def test_wrong_arguments(documented_error: DocumentedError) -> None:
    with documented_error("an export names an unknown format", ValueError):
        export_encoder(random_encoder(), "out", to="onnx")
    with documented_error("a grid that is no square is exported as official", ValueError):
        export_encoder(random_encoder("wide"), "out", to="official")
    adapted = random_encoder()
    add_lora(adapted, rank=2)
    with documented_error("an encoder with adapters is exported", ValueError):
        export_encoder(adapted, "out", to="official")


@pytest.mark.parametrize("options", [{"quantization": "int8"}, {"blocks_in_memory": 2}], ids=str)
def test_an_encoder_without_all_weights(options: dict[str, Any], tmp_path: Path) -> None:
    export_encoder(random_encoder(), tmp_path / "encoder.pth", to="official")
    encoder = load_encoder(tmp_path / "encoder.pth", num_heads=2, **options)
    with pytest.raises(ValueError, match="so it cannot be written"):
        export_encoder(encoder, tmp_path / "again", to="hf_native")


@torch.no_grad()
@pytest.mark.parametrize("to", ["official", "hf_native", "hf_remote_code"])
def test_weights_that_are_not_finite(to: str, tmp_path: Path) -> None:
    encoder = random_encoder()
    encoder.blocks[1].mlp.fc1.weight[2, 3] = float("nan")
    with pytest.raises(NonFiniteWeightsError, match=r"The encoder: blocks\.1\.mlp\.fc1\.weight: 1 of .*at \(2, 3\)"):
        export_encoder(encoder, tmp_path / "encoder.pth", to=to)
    assert not list(tmp_path.iterdir())


def test_remote_code_is_named_where_it_is_not_written(tmp_path: Path) -> None:
    export_encoder(random_encoder(), tmp_path / "out", to="hf_remote_code")
    code = json.loads((tmp_path / "out/config.json").read_text())["auto_map"]
    assert code == {
        "AutoConfig": "OpenGVLab/InternViT-300M-448px--configuration_intern_vit.InternVisionConfig",
        "AutoModel": "OpenGVLab/InternViT-300M-448px--modeling_intern_vit.InternVisionModel",
    }


@pytest.mark.parametrize("name", ["out.pth", "out.safetensors", "out"])
def test_what_cannot_be_read_back_does_not_appear(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    def cut(size: int) -> None:
        """Let a disk keep less than it was given, without a word."""

        def flush(tensors: Any, path: Any, *rest: Any, **options: Any) -> None:
            write(tensors, path, *rest, **options)
            with Path(path).open("r+b") as file:
                file.truncate(size)

        write = save_file
        monkeypatch.setattr(exporting, "save_file", flush)

    def save(content: Any, path: Path) -> None:
        saved(content, path)
        with path.open("r+b") as file:
            file.truncate(5000)

    saved = torch.save
    cut(5000)
    monkeypatch.setattr(exporting.torch, "save", save)
    to = "official" if "." in name else "hf_native"
    with (
        documented_error(f"{to} that was written cannot be read back", DestinationError)
        if "." not in name
        else (pytest.raises(DestinationError, match="not written as it should be"))
    ):
        export_encoder(random_encoder(), tmp_path / name, to=to)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")

    monkeypatch.setattr(exporting.torch, "save", full)
    with documented_error("a checkpoint does not fit on the disk", DestinationError):
        export_encoder(random_encoder(), tmp_path / "out.pth", to="official")
    assert not list(tmp_path.iterdir())
