"""What torch.save wrote is read as PyTorch reads it, or not at all, and nothing of it is run."""

import argparse
import decimal
import functools
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from internvl_seg import CheckpointError
from internvl_seg.checkpoints import errors
from internvl_seg.checkpoints.in_place import find_places, reading_in_place
from internvl_seg.checkpoints.reading import PickleReader, open_file, read_pickle
from internvl_seg.checkpoints.stored import Stored

from ..error_table import DocumentedError


def views() -> dict[str, Tensor]:
    """Tensors that share memory, or do not hold what their bytes say."""
    base, line = torch.randn(6, 6), torch.arange(100.0)
    marked = nn.Parameter(torch.randn(3))
    marked.note = "kept"  # type: ignore[attr-defined]
    return {
        "whole": base, "turned": base.t(), "row": base[2], "column": base[:, 1], "part": base[1:3],
        "every_seventh": line[::7], "expanded": torch.ones(3).expand(4, 3), "scalar": torch.tensor(2.0),
        "empty": torch.empty(0, 4), "negative": torch._neg_view(torch.randn(5)),
        "conjugate": torch.randn(4, dtype=torch.complex64).conj(), "parameter": nn.Parameter(torch.randn(2)),
        "marked": marked, "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "integers": torch.arange(5), "float64": torch.randn(3).double(),
    }  # fmt: skip


def same(a: Tensor, b: Tensor) -> bool:
    a, b = a.detach().resolve_neg().resolve_conj(), b.detach().resolve_neg().resolve_conj()
    return a.dtype == b.dtype and torch.equal(a, b)


@pytest.mark.parametrize("new", [True, False])
def test_tensors_that_share_memory_are_those_of_pytorch(new: bool, tmp_path: Path) -> None:
    path = tmp_path / "views.pth"
    torch.save({"state_dict": views()}, path, _use_new_zipfile_serialization=new)
    wanted, reader = torch.load(path, weights_only=True)["state_dict"], open_file(path)
    assert reader.names == wanted.keys()
    for name, tensor in wanted.items():
        assert same(reader.read(name), tensor), name
        assert (reader.shape(name), reader.dtype(name)) == (tuple(tensor.shape), tensor.dtype)
    assert isinstance(reader.stored("part"), Stored)  # And in its place, not in memory.


@pytest.mark.parametrize("new", [True, False])
def test_state_dicts_of_shared_memory_are_loaded_in_place(new: bool, tmp_path: Path) -> None:
    path = tmp_path / "views.pth"
    torch.save({"state_dict": views()}, path, _use_new_zipfile_serialization=new)
    checkpoint = read_pickle(path)
    places = find_places(path, checkpoint)
    wanted = checkpoint["state_dict"]
    model = nn.ParameterDict(
        {name: nn.Parameter(torch.zeros(t.shape, dtype=t.dtype), requires_grad=False) for name, t in wanted.items()}
    )
    with reading_in_place(places):
        model.load_state_dict(wanted)
    for name, tensor in wanted.items():
        assert same(model[name], tensor), name


def test_what_was_changed_after_it_was_mapped_is_not_read_from_the_file(tmp_path: Path) -> None:
    path, model = tmp_path / "x.pth", nn.Linear(4, 4)
    torch.save({"state_dict": model.state_dict()}, path)
    checkpoint = read_pickle(path)
    places = find_places(path, checkpoint)
    checkpoint["state_dict"]["weight"].mul_(2)  # As a hook may.
    want = checkpoint["state_dict"]["weight"].clone()
    with reading_in_place(places):
        model.load_state_dict(checkpoint["state_dict"])
    assert torch.equal(model.weight, want)


def test_bytes_in_the_other_order(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(5.0)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as old, zipfile.ZipFile(tmp_path / "big.pth", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                data = np.frombuffer(data, "<f4").byteswap().tobytes()
            new.writestr(name, data)
    assert torch.equal(open_file(tmp_path / "big.pth").read("x"), torch.arange(5.0))
    assert torch.equal(read_pickle(tmp_path / "big.pth")["x"], torch.arange(5.0))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: torch.eye(3).to_sparse(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8), "quantised"),
        (lambda: torch.empty(3, device="meta"), "meta device"),
    ],
)
def test_tensors_that_are_no_plain_numbers(made: Callable[[], Tensor], told: str, tmp_path: Path) -> None:
    torch.save({"odd": made(), "plain": torch.ones(2)}, tmp_path / "odd.pth")
    reader = open_file(tmp_path / "odd.pth")
    assert torch.equal(reader.read("plain"), torch.ones(2))
    with pytest.raises(errors.UnreadableWeightsError, match=told):
        reader.read("odd")
    with pytest.raises(errors.UnreadableWeightsError, match=told):
        read_pickle(tmp_path / "odd.pth")


def foreign(name: str, patch: pytest.MonkeyPatch) -> Any:
    """A class of a package that is not installed, as long as the pickle is written."""
    module, _, leaf = name.rpartition(".")
    made = type(leaf, (dict,), {"__module__": module})
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        patch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(parts[end - 1]))
    setattr(sys.modules[module], leaf, made)
    return made


@pytest.mark.parametrize("new", [True, False])
def test_settings_of_trainers_are_passed_over(new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        node, space = foreign("yacs.config.CfgNode", context), argparse.Namespace(lr=1.0)
        config = node(MODEL=node(NAME="x"))
        config.__dict__["__immutable__"] = True
        content = {"model": {"w": torch.ones(2)}, "config": config, "args": space, "where": pathlib.Path("x")}
        torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=new)
    assert torch.equal(open_file(tmp_path / "c.pth").read("w"), torch.ones(2))
    assert torch.equal(read_pickle(tmp_path / "c.pth")["model"]["w"], torch.ones(2))
    assert "yacs" not in sys.modules


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def write(path: Path, pickled: bytes, new: bool) -> None:
    """A file of torch.save around a pickle."""
    if new:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", "3\n")
        return
    before = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    path.write_bytes(b"".join(before) + pickled + pickle.dumps([], 2))


HOSTILE = {
    "system": pickle.dumps({"a": Call(__import__("os").system, "touch ran")}, 2),
    "eval": pickle.dumps({"a": Call(eval, "open('ran', 'w')")}, 2),
    "getattr": pickle.dumps({"a": Call(getattr, dict, "clear")}, 2),
    "load": pickle.dumps({"a": Call(torch.storage._load_from_bytes, b"x")}, 2),
    "inst": b"\x80\x02(S'touch ran'\nios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\nU\x09touch rano.",
    "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch ran\x85R.",
    "within": pickle.dumps({"model": {"w": [Call(exec, "open('ran', 'w')")]}}, 2),
    "mentioned": b"\x80\x02}U\x01acos\nsystem\ns.",
    "then_cut": b"\x80\x02cos\nsystem\n",
}
BOMBS = {
    "nested": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "slow_key": b"\x80\x02}U\x01x\x85" + b"2\x86" * 60 + b"K\x01s.",
    "alike_keys": pickle.dumps({i * (2**61 - 1): 1 for i in range(5000)}, 2),
    "steps": b"\x80\x02" + b"N0" * 600_000 + b"N.",
    "far_memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "bytearray": pickle.dumps({"a": Call(bytearray, 2**40)}, 2),
    "codec": pickle.dumps({"a": Call(__import__("_codecs").encode, "a" * 100_000, "punycode")}, 2),
    "tensor": pickle.dumps({"a": Call(torch.Tensor, 2**40)}, 2),
    "objects": pickle.dumps({"a": Call(np.ndarray, (2**33,), "O")}, 2),
    "array": pickle.dumps({"a": Call(np._core.multiarray._reconstruct, np.ndarray, (2**40,), b"b")}, 2),
    "extension": b"\x80\x02\x82\x01.",
    "no_end": b"\x80\x02}",
    "nothing": b"",
    "items_for_none": b"\x80\x02N(K\x01K\x02u.",
    "never_put": b"\x80\x02h\x07.",
    "text": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
}  # fmt: skip


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_pickle_is_run(name: str, new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.pth", HOSTILE[name], new)
    for read in (open_file, read_pickle):
        with pytest.raises(errors.UnsafePickleError, match="asks to run"):
            read(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_early(name: str, new: bool, tmp_path: Path) -> None:
    write(tmp_path / "x.pth", BOMBS[name], new)
    with pytest.raises(CheckpointError):
        open_file(tmp_path / "x.pth")


def test_unknown_objects_are_told_from_hostile_ones(
    tmp_path: Path, documented_error: DocumentedError, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        torch.save(
            {"model": {"w": torch.ones(1)}, "log": foreign("trainer.logs.Log", context)()}, tmp_path / "unknown.pth"
        )
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with documented_error("a pickle holds an object of unknown code", errors.UnsafePickleError):
        open_file(tmp_path / "unknown.pth")
    with documented_error("a pickle holds a whole module", errors.UnsafePickleError):
        open_file(tmp_path / "module.pth")


DATA: dict[str, Any] = {
    "a text of NumPy": np.str_("a"),
    "an array of texts": np.array(["a", "bc"]),
    "a date": np.datetime64("2024-01-01"),
    "a structure": np.zeros(2, dtype=[("a", "i4")]),
    "an array of objects": np.array(["a", None], dtype=object),
    "a frozenset": frozenset([1]),
    "a slice and a range": [slice(1), range(3), ...],
    "a decimal": decimal.Decimal("1.2"),
}


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("name", DATA)
def test_values_beside_weights_are_passed_over(name: str, new: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {"w": torch.ones(2)}, "x": DATA[name]}, path, _use_new_zipfile_serialization=new)
    assert torch.equal(open_file(path).read("w"), torch.ones(2))
    with pytest.raises(errors.UnreadableWeightsError, match="beside its tensors, which PyTorch does not read without"):
        read_pickle(path)


def test_an_empty_array_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "x": np.zeros((0, 3))}, tmp_path / "x.pth")
    assert open_file(tmp_path / "x.pth").names == {"w"}
    assert read_pickle(tmp_path / "x.pth")["x"].shape == (0, 3)
    write(tmp_path / "x.pth", pickle.dumps({"x": Call(bytes, 2**40)}, 2), True)
    with pytest.raises(CheckpointError):
        read_pickle(tmp_path / "x.pth")


def test_settings_with_code_beside_weights_are_no_whole_module(tmp_path: Path) -> None:
    settings = {"optimizer": functools.partial(torch.optim.AdamW, lr=0.1), "loss": nn.CrossEntropyLoss()}
    torch.save({"state_dict": {"w": torch.ones(2)}, "hyper_parameters": settings}, tmp_path / "x.pth")
    with pytest.raises(errors.UnsafePickleError, match=r"asks for functools\.partial, which is neither") as error:
        open_file(tmp_path / "x.pth")
    assert "whole module" not in str(error.value)


def test_a_pickle_that_is_none_of_pytorch(tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"w": [1.0]}))
    with documented_error("a pickle is not of torch.save", errors.NotACheckpointError):
        open_file(tmp_path / "x.pth")


def test_records_that_were_compressed(tmp_path: Path, documented_error: DocumentedError) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": "x" * 50_000_000}, 2))
    with documented_error("a .pth file was packed again", errors.NotACheckpointError):
        open_file(tmp_path / "x.pth")


def test_a_tensor_that_repeats_a_number_without_end(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(1).expand(1 << 20, 1 << 10), "y": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(errors.NotACheckpointError, match="of which 8 are there"):
        open_file(tmp_path / "x.pth")
    large = {f"y{i}": torch.ones(1 << 22) for i in range(17)}
    torch.save({"x": torch.ones(1).expand(1 << 23, 1 << 2), **large}, tmp_path / "x.pth")
    reader = open_file(tmp_path / "x.pth")
    with pytest.raises(errors.TruncatedCheckpointError, match="repeats 4 bytes"):
        reader.shape("x")
    assert torch.equal(reader.read("y0"), large["y0"])


def test_tensors_that_repeat_few_numbers_together(tmp_path: Path) -> None:
    one, row = torch.ones(1), torch.ones(1 << 20)
    for tensors in {
        "each from one number": {str(i): torch.ones(1).expand(1 << 20) for i in range(20)},
        "all from one number": {str(i): one.expand(1 << 20) for i in range(20)},
        "one tensor by many names": {str(i): row for i in range(20)},
    }.values():
        torch.save({"model": tensors}, tmp_path / "x.pth")
        with pytest.raises(errors.NotACheckpointError, match="tensors of 83,886,080 bytes together, of which"):
            open_file(tmp_path / "x.pth")
        read_pickle(tmp_path / "x.pth")  # Of which PyTorch makes views.
        torch.save({"model": dict(list(tensors.items())[:15]), "other": tensors}, tmp_path / "x.pth")
        assert len(open_file(tmp_path / "x.pth").names) == 15
    tied = {f"{i}{j}": tensor for i, tensor in enumerate(torch.ones(9, 1 << 20).unbind()) for j in "abc"}
    torch.save(tied, tmp_path / "x.pth")
    assert len(open_file(tmp_path / "x.pth").names) == 27


def test_a_tensor_that_is_larger_than_its_storage(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(64)}, tmp_path / "x.pth")
    content = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(content.replace(b"K@\x85", b"K\x41\x85"))  # Its size, 64, is 65 now.
    with pytest.raises(errors.TruncatedCheckpointError, match="larger than its storage"):
        open_file(tmp_path / "x.pth").shape("x")
    (tmp_path / "x.pth").write_bytes(content.replace(b"K@tq", b"K\x41tq"))  # And its storage's.
    with pytest.raises(errors.TruncatedCheckpointError, match="not of the size"):
        open_file(tmp_path / "x.pth")


def test_an_old_file_that_is_cut_in_its_list_of_storages_is_damaged(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"x": torch.ones(3)}, buffer, _use_new_zipfile_serialization=False)
    content = buffer.getvalue()
    end = len(content) - 3 * 4 - 8  # The list, its end included, stands before the storage's size and its numbers.
    for size in (end - 1, end, end + 4, len(content) - 1):
        (tmp_path / "x.pth").write_bytes(content[:size])
        for read in (open_file, read_pickle):
            with pytest.raises(errors.TruncatedCheckpointError):
                read(tmp_path / "x.pth")


def test_an_old_file_that_announces_more_than_it_has(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    content = bytearray((tmp_path / "x.pth").read_bytes())
    content[-20:-12] = struct.pack("<q", 2**61)
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(errors.TruncatedCheckpointError, match="not as it was announced"):
        PickleReader(tmp_path / "x.pth")


def test_weights_under_the_keys_of_trainers(
    tmp_path: Path, documented_error: DocumentedError, caplog: pytest.LogCaptureFixture
) -> None:
    weights = {"w": torch.ones(2)}
    for content in ({"teacher": weights}, {"model_ema": {"module": weights}}, {"teacher": weights, "optimizer": {}}):
        torch.save(content, tmp_path / "x.pth")
        assert open_file(tmp_path / "x.pth").names == {"w"}
    torch.save({"model": weights, "model_ema": {"w": torch.zeros(2)}}, tmp_path / "x.pth")
    assert torch.equal(open_file(tmp_path / "x.pth").read("w"), weights["w"])
    assert "model_ema" in caplog.text
    torch.save({"student": {"w": torch.zeros(2)}, "teacher": weights}, tmp_path / "x.pth")
    with documented_error("a checkpoint holds two models", errors.NotACheckpointError):
        open_file(tmp_path / "x.pth")
    torch.save({"network": weights}, tmp_path / "x.pth")
    with pytest.raises(errors.NotACheckpointError, match=r"under 'network'.*torch\.save"):
        open_file(tmp_path / "x.pth")
    torch.save(torch.optim.AdamW([torch.ones(2)]).state_dict(), tmp_path / "x.pth")
    with documented_error("a checkpoint holds an optimizer alone", errors.UnreadableWeightsError):
        open_file(tmp_path / "x.pth")
