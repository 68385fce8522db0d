"""Tensors are read right into their places."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from internvl_seg.checkpoints.errors import TruncatedCheckpointError
from internvl_seg.checkpoints.reading import open_file
from internvl_seg.checkpoints.stored import InMemory, Stored

from ..error_table import DocumentedError

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.float8_e4m3fn,
)


def tensors() -> dict[str, Tensor]:
    made = {str(dtype): (torch.randn(5, 3, 2) * 9).to(dtype) for dtype in DTYPES}
    return made | {"scalar": torch.tensor(3.5), "empty": torch.empty(0, 4), "part": torch.arange(40.0).view(8, 5)[2:6]}


@pytest.fixture(params=["file.pth", "file.safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / request.param
    if found.suffix == ".pth":
        torch.save({"module": tensors(), "iter": 3}, found)
    else:
        save_file(tensors(), found)
    return found


def test_every_tensor_is_what_was_written(path: Path) -> None:
    torch.manual_seed(0)
    path.unlink()
    written = tensors()
    torch.save(written, path) if path.suffix == ".pth" else save_file(written, path)
    reader = open_file(path)
    assert reader.names == set(written)
    for name, tensor in written.items():
        stored = reader.stored(name)
        assert isinstance(stored, Stored)  # Not in memory.
        assert (reader.shape(name), stored.dtype, stored.nbytes) == (tuple(tensor.shape), tensor.dtype, tensor.nbytes)
        assert torch.equal(reader.read(name).float(), tensor.float())


def test_rows_and_other_dtypes_and_layouts(path: Path) -> None:
    reader = open_file(path)
    stored = reader.stored("torch.float32")
    whole = reader.read("torch.float32")
    assert torch.equal(stored.rows(1, 4).read(), whole[1:4])
    assert stored.rows(2, 2).read().shape == (0, 3, 2)
    narrow = torch.empty(5, 3, 2, dtype=torch.bfloat16)
    stored.read_into(narrow)
    assert torch.equal(narrow, whole.bfloat16())
    turned = torch.empty(2, 3, 5).permute(2, 1, 0)
    stored.read_into(turned)
    assert torch.equal(turned, whole)
    turned = torch.empty(2, 3, 5, dtype=torch.float64).permute(2, 1, 0)
    stored.read_into(turned)
    assert torch.equal(turned, whole.double())


def test_large_tensors_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("internvl_seg.checkpoints.stored._CHUNK", 1000)
    want = torch.randn(123, 7)
    save_file({"x": want}, tmp_path / "x.safetensors")
    stored = open_file(tmp_path / "x.safetensors").stored("x")
    assert torch.equal(stored.read(), want)
    narrow = torch.empty(123, 7, dtype=torch.float16)
    stored.read_into(narrow)
    assert torch.equal(narrow, want.half())


def test_views_and_old_files_are_read_all_the_same(tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    torch.save({"turned": base.T, "whole": base}, tmp_path / "views.pth")
    reader = open_file(tmp_path / "views.pth")
    assert isinstance(reader.stored("turned"), InMemory)
    assert torch.equal(reader.read("turned"), base.T)
    assert torch.equal(reader.read("whole"), base)
    torch.save({"x": base}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    stored = open_file(tmp_path / "old.pth").stored("x")
    into = torch.empty(2, 6, dtype=torch.float16)
    stored.rows(1, 3).read_into(into)
    assert torch.equal(into, base[1:3].half())
    assert (stored.shape, stored.dtype, stored.nbytes) == ((4, 6), torch.float32, 96)


def test_what_is_mapped_is_the_same_and_its_own(path: Path) -> None:
    reader = open_file(path)
    for name in reader.names:
        mapped = reader.stored(name).map()
        assert mapped.shape == reader.shape(name)
        assert torch.equal(mapped.float(), reader.read(name).float())
    mapped = reader.stored("torch.bfloat16").map()
    before = path.read_bytes()
    mapped.fill_(7)
    assert path.read_bytes() == before
    path.unlink()  # And a new file under the old name.
    path.write_bytes(b"another")
    assert torch.equal(mapped, torch.full_like(mapped, 7))


@pytest.mark.parametrize("how", ["read", "map"])
def test_a_file_that_changes_in_use(how: str, tmp_path: Path, documented_error: DocumentedError) -> None:
    save_file({"x": torch.randn(500, 100)}, tmp_path / "x.safetensors")
    stored = open_file(tmp_path / "x.safetensors").stored("x")
    with (tmp_path / "x.safetensors").open("r+b") as file:
        file.truncate(1000)
    with documented_error("a checkpoint that becomes shorter while it is read", TruncatedCheckpointError):
        getattr(stored, how)()
