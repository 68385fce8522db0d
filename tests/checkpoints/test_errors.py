"""Each thing that can be wrong with a checkpoint is an error of its own class, and says what to do."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from internvl_seg import load_classifier, load_encoder
from internvl_seg.checkpoints import errors

from ..conftest import Golden
from ..error_table import DocumentedError

Write = Callable[..., Path]


class Payload:
    """A pickle that would make a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.target),)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_a_missing_parameter(
    tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = golden("official_seg_rms").state
    del state["blocks.1.mlp.fc1.bias"], state["blocks.3.ls2.gamma"]
    torch.save(state, tmp_path / "encoder.pth")
    with documented_error("parameters are missing", errors.KeyMismatchError):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_a_missing_block(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    state = {k: v for k, v in golden("official_seg_rms").state.items() if not k.startswith("blocks.1.")}
    torch.save(state, tmp_path / "encoder.pth")
    with pytest.raises(errors.KeyMismatchError, match=r"lacks 13: blocks\.1\.attn.*blocks\.1\.norm2\.weight"):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_a_parameter_too_many(
    tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = golden("official_seg_rms").state | {"blocks.1.attn.rel_pos": torch.ones(1), "registers": torch.ones(1)}
    torch.save(state, tmp_path / "encoder.pth")
    with documented_error("parameters are too many", errors.KeyMismatchError):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_a_wrong_shape(tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError) -> None:
    state = golden("official_seg_rms").state
    state["blocks.2.attn.proj.weight"] = torch.zeros(32, 31)
    torch.save(state, tmp_path / "encoder.pth")
    with documented_error("a tensor has the wrong shape", errors.ShapeMismatchError):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_an_override_that_contradicts_the_file(official_file: Write, documented_error: DocumentedError) -> None:
    with documented_error("an argument contradicts the file", errors.KeyMismatchError):
        load_encoder(official_file(), num_heads=2, qkv_bias=True)


def test_more_blocks_than_the_file_has(official_file: Write, documented_error: DocumentedError) -> None:
    with documented_error("more blocks are asked for than the file has", errors.UnknownArchitectureError):
        load_encoder(official_file(), num_heads=2, depth=6)


def test_heads_that_nobody_tells(official_file: Write, documented_error: DocumentedError) -> None:
    with documented_error("the number of heads cannot be told", errors.UnknownArchitectureError):
        load_encoder(official_file())


def test_a_position_grid_that_is_no_square(
    tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = golden("official_seg_rms").state
    state["pos_embed"] = torch.zeros(1, 13, 32)
    torch.save(state, tmp_path / "encoder.pth")
    with documented_error("the position grid is no square", errors.ShapeMismatchError):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_a_truncated_safetensors_file(hf_folder: Write, documented_error: DocumentedError) -> None:
    path = hf_folder("hf_remote_code_rms") / "model.safetensors"
    cut(path, 30_000)
    with documented_error("a .safetensors file is cut short", errors.TruncatedCheckpointError):
        load_encoder(path)


@pytest.mark.parametrize("size", [0, 5, 8, 200])
def test_a_safetensors_file_cut_within_its_header(size: int, hf_folder: Write) -> None:
    path = hf_folder("hf_remote_code_rms") / "model.safetensors"
    cut(path, size)
    with pytest.raises(errors.TruncatedCheckpointError):
        load_encoder(path)


def test_a_truncated_shard(hf_folder: Write, documented_error: DocumentedError) -> None:
    folder = hf_folder("hf_remote_code_rms", sharded=True)
    cut(folder / "model-00002-of-00003.safetensors", 20_000)
    with documented_error("a shard is cut short", errors.TruncatedCheckpointError):
        load_encoder(folder)


def test_a_truncated_pth(official_file: Write, documented_error: DocumentedError) -> None:
    path = official_file()
    cut(path, 50_000)
    with documented_error("a .pth file is cut short", errors.TruncatedCheckpointError):
        load_encoder(path, num_heads=2)


@pytest.mark.parametrize("size", [0, 3, 200, 50_000])
def test_a_truncated_legacy_pth(size: int, tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    path = tmp_path / "old.pth"
    torch.save({"module": golden("official_seg_rms").state}, path, _use_new_zipfile_serialization=False)
    cut(path, size)
    with pytest.raises(errors.TruncatedCheckpointError):
        load_encoder(path, num_heads=2)


def test_a_missing_shard(hf_folder: Write, documented_error: DocumentedError) -> None:
    folder = hf_folder("hf_remote_code_rms", sharded=True)
    (folder / "model-00003-of-00003.safetensors").unlink()
    with documented_error("a shard is missing", errors.MissingShardError):
        load_encoder(folder)


def test_an_index_that_lies(hf_folder: Write, documented_error: DocumentedError) -> None:
    folder = hf_folder("hf_remote_code_rms", sharded=True)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["embeddings.class_embedding"] = "model-00003-of-00003.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with documented_error("a shard lacks a tensor that the index names", errors.MissingShardError):
        load_encoder(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metadata": {}}'])
def test_an_index_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(errors.NotACheckpointError, match="weight_map"):
        load_encoder(tmp_path)


def test_a_config_that_is_not_json(hf_folder: Write, documented_error: DocumentedError) -> None:
    folder = hf_folder("hf_remote_code_rms")
    (folder / "config.json").write_text("{'hidden_size': 32}")
    with documented_error("config.json is not JSON", errors.NotACheckpointError):
        load_encoder(folder)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_in_it(legacy: bool, tmp_path: Path, documented_error: DocumentedError) -> None:
    path, target = tmp_path / "evil.pth", tmp_path / "made-by-the-pickle"
    torch.save({"module": Payload(target)}, path, _use_new_zipfile_serialization=not legacy)
    with documented_error("a pickle holds code", errors.UnsafePickleError):
        load_encoder(path)
    assert not target.exists()


def test_a_file_that_is_no_checkpoint(tmp_path: Path, documented_error: DocumentedError) -> None:
    path = tmp_path / "notes.pth"
    path.write_text("learning rate 4e-5\n")
    with documented_error("a file is no checkpoint", errors.NotACheckpointError):
        load_encoder(path)


def test_a_file_that_is_no_safetensors(tmp_path: Path, documented_error: DocumentedError) -> None:
    path = tmp_path / "page.safetensors"
    path.write_text("<!doctype html><title>Not found</title>")
    with documented_error("a .safetensors file is something else", errors.NotACheckpointError):
        load_encoder(path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, 7])
def test_a_pickle_without_tensors(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(errors.NotACheckpointError, match="no tensors by name"):
        load_encoder(tmp_path / "other.pth")


def test_another_model(tmp_path: Path, documented_error: DocumentedError) -> None:
    save_file(
        {"conv1.weight": torch.zeros(8, 3, 7, 7), "fc.weight": torch.zeros(5, 8)}, tmp_path / "resnet.safetensors"
    )
    with documented_error("the file holds another model", errors.NotACheckpointError):
        load_encoder(tmp_path / "resnet.safetensors")


def test_two_encoders_in_one_file(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    state = golden("official_seg_rms").state
    both = {f"student.{k}": v for k, v in state.items()} | {f"teacher.{k}": v for k, v in state.items()}
    torch.save(both, tmp_path / "both.pth")
    with pytest.raises(errors.NotACheckpointError, match=r"2 encoders, at 'student\.', 'teacher\.'"):
        load_encoder(tmp_path / "both.pth")


def test_half_an_encoder(tmp_path: Path) -> None:
    save_file({"patch_embed.proj.weight": torch.zeros(8, 3, 14, 14)}, tmp_path / "half.safetensors")
    with pytest.raises(errors.KeyMismatchError, match="lacks blocks"):
        load_encoder(tmp_path / "half.safetensors")


def test_a_name_that_is_nothing(documented_error: DocumentedError) -> None:
    with documented_error("there is no such checkpoint", errors.CheckpointNotFoundError):
        load_encoder("internvit_6b_225px")


@pytest.mark.parametrize("name", ["checkpoints/encoder.pth", "./folder/model", "a/b/c"])
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(name: str) -> None:
    with pytest.raises(errors.CheckpointNotFoundError):
        load_encoder(name)


def test_an_empty_folder(tmp_path: Path, documented_error: DocumentedError) -> None:
    with documented_error("a folder holds no checkpoint", errors.NotACheckpointError):
        load_encoder(tmp_path)


def test_a_head_without_encoder(tmp_path: Path, documented_error: DocumentedError) -> None:
    torch.save({"norm.weight": torch.ones(4), "head.weight": torch.ones(2, 4)}, tmp_path / "head.pth")
    with documented_error("a classification head comes without encoder", errors.NotACheckpointError):
        load_classifier(tmp_path / "head.pth")


def test_an_encoder_without_head(official_file: Write, documented_error: DocumentedError) -> None:
    with documented_error("an encoder comes without classification head", errors.NotACheckpointError):
        load_classifier(official_file(), num_heads=2)


def test_a_head_of_another_width(
    tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = golden("official_cls_concat").state | {"head.weight": torch.zeros(10, 50)}
    torch.save(state, tmp_path / "classifier.pth")
    with documented_error("a head does not fit the encoder", errors.ShapeMismatchError):
        load_classifier(tmp_path / "classifier.pth", num_heads=2)


def test_a_head_that_lacks_its_norm(
    tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = {k: v for k, v in golden("official_cls_concat").state.items() if not k.startswith("norm.running")}
    torch.save(state, tmp_path / "classifier.pth")
    with documented_error("a head lacks parameters", errors.KeyMismatchError):
        load_classifier(tmp_path / "classifier.pth", num_heads=2)
