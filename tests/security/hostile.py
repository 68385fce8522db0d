"""Checkpoints that make a folder if anything in them is run."""

import copyreg
import functools
import importlib
import io
import logging
import operator
import os
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn


class Call:
    """What pickles as a call of a function; so does the function, where that is a call, too.

    Args:
        function: What is called.
        *args: With what.
    """

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._function, self._args = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._function, self._args

    def __call__(self) -> None:
        """Only so that pickle takes it for a function."""


def payloads(ran: Path, folder: Path) -> dict[str, Any]:
    """Objects by what is to be run when they are unpickled.

    Args:
        ran: The folder that all of them make.
        folder: For files that some of them need.
    """
    made = str(ran)
    os_module = Call(importlib.import_module, "os")
    repository = folder / "repository"
    repository.mkdir(exist_ok=True)
    (repository / "hubconf.py").write_text(f"import os\ndef model():\n    os.mkdir({made!r})\n")
    torch.save(Call(os.mkdir, made), folder / "inner.pth")
    np.save(folder / "inner.npy", np.array([Call(os.mkdir, made)], dtype=object))
    buffer = HistoryBuffer([1.0], [1])
    buffer.extra = Call(os.mkdir, made)
    builtins_of_a_class = Call(
        operator.getitem,
        Call(getattr, Call(getattr, HistoryBuffer, "__init__"), "__globals__"),
        "__builtins__",
    )
    return {
        "os.mkdir": Call(os.mkdir, made),
        "os.system": Call(os.system, f"mkdir '{made}'"),
        "subprocess.check_call": Call(subprocess.check_call, ["mkdir", made]),
        "builtins.eval": Call(eval, f"__import__('os').mkdir({made!r})"),
        "builtins.exec": Call(exec, f"import os\nos.mkdir({made!r})"),
        "builtins.map": Call(list, Call(map, os.mkdir, [made])),
        "functools.partial": Call(functools.partial(os.mkdir, made)),
        "operator.methodcaller": Call(operator.methodcaller("mkdir", made), os_module),
        "builtins.getattr of a module": Call(Call(getattr, os_module, "mkdir"), made),
        "builtins.getattr of a class that is allowed": Call(
            Call(operator.getitem, builtins_of_a_class, "exec"), f"import os\nos.mkdir({made!r})"
        ),
        "copyreg._reconstructor": Call(copyreg._reconstructor, logging.FileHandler, logging.FileHandler, made),
        "torch.hub.load": Call(functools.partial(torch.hub.load, str(repository), "model", source="local")),
        "torch.load": Call(functools.partial(torch.load, str(folder / "inner.pth"), weights_only=False)),
        "numpy.load": Call(functools.partial(np.load, str(folder / "inner.npy"), allow_pickle=True)),
        "an array of objects": np.array([Call(os.mkdir, made)], dtype=object),
        "a field of a logged scalar": buffer,
    }


def raw_pickles(ran: Path) -> dict[str, bytes]:
    """Pickles that no pickler writes."""
    made = str(ran).encode()
    text = struct.pack("<I", len(made)) + made

    def short(name: bytes) -> bytes:
        return b"\x8c" + bytes([len(name)]) + name

    return {
        "GLOBAL and REDUCE": b"cos\nmkdir\n(X" + text + b"tR.",
        "INST": b"(X" + text + b"ios\nmkdir\n.",
        "OBJ": b"(cos\nmkdir\nX" + text + b"o.",
        "a dotted name": b"\x80\x04" + short(b"os") + short(b"path.os.mkdir") + b"\x93(X" + text + b"tR.",
        "in a persistent id": b"\x80\x02(X\x07\x00\x00\x00storagecos\nmkdir\n(X" + text + b"tRtQ.",
        "before the weights": b"\x80\x02cos\nmkdir\n(X" + text + b"tR0}.",
    }


def positions(payload: Any, weights: dict[str, Tensor]) -> dict[str, Any]:
    """Checkpoints with a payload at different places, beside weights that fit."""
    return {
        "the whole file": payload,
        "among the weights": {"state_dict": {**weights, "decode_head.scale": payload}, "meta": {}},
        "instead of a weight": {"module": dict.fromkeys(weights, payload)},
        "in the optimizer": {"state_dict": weights, "optimizer": {"state": {0: {"step": payload}}}},
        "in the schedulers": {"state_dict": weights, "param_schedulers": [[{"last_step": payload}]]},
        "in the logged scalars": {"state_dict": weights, "message_hub": {"log_scalars": {"train/loss": payload}}},
        "in the facts about the run": {"state_dict": weights, "meta": {"dataset_meta": {"classes": [payload]}}},
        "as a key": {"state_dict": weights, "meta": {("a", payload): 1}},
    }


def write_hostile(folder: Path, ran: Path, weights: dict[str, Tensor]) -> dict[str, Path]:
    """Write them all.

    Args:
        folder: Where.
        ran: What they make if they are run.
        weights: What else is in them.

    Returns:
        Files by what is in them; of each all that is run is refused.
    """
    folder.mkdir()
    files: dict[str, Path] = {}

    def save(what: str, content: Any, legacy: bool = False) -> None:
        what += ", legacy" if legacy else ""
        files[what] = folder / f"{len(files)}.pth"
        torch.save(content, files[what], _use_new_zipfile_serialization=not legacy)

    objects = payloads(ran, folder)
    for legacy in (False, True):
        for name, payload in objects.items():
            save(name, {"state_dict": {**weights, "x": payload}, "meta": {}}, legacy)
        for place, content in positions(objects["os.mkdir"], weights).items():
            save(f"os.mkdir {place}", content, legacy)
    for name, content in raw_pickles(ran).items():
        files[name] = folder / f"{len(files)}.pth"
        files[name].write_bytes(content)
        files[f"{name}, zip"] = folder / f"{len(files)}.pth"
        _put_pickle(content, files[f"{name}, zip"])
    files["a tar archive, as torch.save wrote long ago"] = folder / "tar.pth"
    with tarfile.open(folder / "tar.pth", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = raw_pickles(ran)["GLOBAL and REDUCE"]
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    files["TorchScript"] = folder / "script.pth"
    torch.jit.script(_Scripted(str(ran))).save(str(folder / "script.pth"))
    return files


def _put_pickle(content: bytes, path: Path) -> None:
    """A zip file of PyTorch's whose pickle is another one."""
    whole = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info, content if info.filename.endswith("data.pkl") else old.read(info))


class _Scripted(nn.Module):
    """Writes a file whenever it is loaded as TorchScript."""

    def __init__(self, ran: str) -> None:
        super().__init__()
        self.path = ran

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state
        torch.save([1], self.path)

    def forward(self, x: Tensor) -> Tensor:
        return x


def config_text(ran: Path) -> str:
    """A config that makes the folder if it is run as Python."""
    return f"import os\nmodel = dict(type='EncoderDecoder', made=os.mkdir({str(ran)!r}))\n"
