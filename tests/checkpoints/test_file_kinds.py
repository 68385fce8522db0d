"""Files that are no checkpoint are called what they are, with what to do."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from internvl_seg import load_encoder
from internvl_seg.checkpoints import errors
from internvl_seg.checkpoints.file_kinds import check_kind
from internvl_seg.checkpoints.reading import open_file, read_pickle

from ..error_table import DocumentedError

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 608000000\n".encode()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"), io.BytesIO(b""))
    return buffer.getvalue()


def packed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/weights.pth", b"x")
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.ones(2))
    return buffer.getvalue()


class Script(torch.nn.Module):
    """Runs something when it is used."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Twice the input."""
        return x + x


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Script()), buffer)
    return buffer.getvalue()


KINDS = {
    "a Git LFS pointer": ("model.safetensors", POINTER, "Git LFS pointer"),
    "a page of a server": ("encoder.pth", b"\n<!DOCTYPE html><html><title>Log in</title>", r"a page \(HTML\)"),
    "an answer of a server": ("encoder.pth", b"<?xml version='1.0'?><Error>AccessDenied", r"a page \(XML\)"),
    "a tar archive": ("encoder.tar", tar(), "a tar archive"),
    "a zip archive": ("encoder.zip", packed(), r"a zip archive of model/weights\.pth"),
    "a file compressed with gzip": ("encoder.pth.gz", gzip.compress(b"x" * 99), "gzip"),
    "a 7z archive": ("encoder.7z", b"7z\xbc\xaf\x27\x1c" + b"\0" * 90, "7z"),
    "a TorchScript archive": ("encoder.pt", script(), "TorchScript"),
    "an .npz archive": ("encoder.npz", arrays(), "npz"),
    "a NumPy array": ("encoder.npy", b"\x93NUMPY\x01\x00", "NumPy array"),
    "an ONNX graph": ("encoder.onnx", b"\x08\x08\x12\x07pytorch\x1a\x05", "ONNX"),
    "a GGUF file": ("encoder.gguf", b"GGUF\x03\0\0\0" + b"\0" * 90, "GGUF"),
    "a Keras checkpoint": ("tf_model.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 90, "HDF5"),
    "a Flax checkpoint": ("flax_model.msgpack", b"\x83\xa6params", "Flax"),
    "JSON in place of weights": ("encoder.pth", b'{"error": "Invalid username"}', "is JSON"),
    "a part of a distributed checkpoint": ("__0_0.distcp", b"\x01" * 90, "distributed checkpoint"),
}


@pytest.mark.parametrize("case", KINDS)
def test_files_that_are_no_checkpoint(case: str, tmp_path: Path, documented_error: DocumentedError) -> None:
    name, content, told = KINDS[case]
    (tmp_path / name).write_bytes(content)
    with documented_error(f"{case} is taken for a checkpoint", errors.NotACheckpointError):
        load_encoder(tmp_path / name)
    with pytest.raises(errors.NotACheckpointError, match=told) as caught:
        read_pickle(tmp_path / name)
    assert "damaged" not in str(caught.value)


def test_an_empty_file(tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "x.pth").touch()
    with documented_error("a checkpoint is empty", errors.TruncatedCheckpointError):
        load_encoder(tmp_path / "x.pth")


@pytest.mark.parametrize("text", [POINTER, b"<html>Sign in</html>"])
def test_an_index_or_config_that_is_a_pointer_or_a_page(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(text)
    with pytest.raises(errors.NotACheckpointError, match=r"Git LFS pointer|HTML"):
        load_encoder(tmp_path)


def test_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "x.pth")
    torch.save({"x": torch.ones(2)}, tmp_path / "x.safetensors")
    assert (check_kind(tmp_path / "x.pth"), check_kind(tmp_path / "x.safetensors")) == ("safetensors", "torch")
    for name in ("x.pth", "x.safetensors"):
        assert torch.equal(open_file(tmp_path / name).read("x"), torch.ones(2))
    with pytest.raises(errors.NotACheckpointError, match=r"\.safetensors\), expected a file of torch\.save"):
        read_pickle(tmp_path / "x.pth")


def test_names_that_a_terminal_would_obey(tmp_path: Path) -> None:
    save_file({"\x1b[2Jweight": torch.ones(1), "n" * 5000: torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(errors.NotACheckpointError) as caught:
        load_encoder(tmp_path / "x.safetensors")
    assert "\\x1b[2Jweight" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "\ufeff{}", '{"weight_map": ' + "9" * 5000 + "}", "null", '"x"']
)
def test_json_that_is_no_index(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(errors.NotACheckpointError, match="weight_map"):
        load_encoder(tmp_path)


def test_json_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "b" * (17 << 20)}}))
    with pytest.raises(errors.NotACheckpointError, match="more than any needs"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("404: Not Found", "is a text, '404: Not Found', not the file itself"),
        ("Entry not found", "is a text, 'Entry not found', not the file itself"),
        ('{"error": "Repository not found"}', "is JSON, no checkpoint"),
    ],
)
def test_what_a_server_said_under_the_name_of_weights(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text(text)
    with pytest.raises(errors.NotACheckpointError, match=told):
        load_encoder(tmp_path / "model.safetensors")
