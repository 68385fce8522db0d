"""How MMEngine reads checkpoints here: as data, whichever of its functions reads them.

MMEngine falls back to unpickling anything, and runs the config text that it finds in a checkpoint: its
``Runner.resume`` does, and its inferencers do. What it reads through here holds no code, and config texts of plain
values only.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mmengine.registry.root as root
import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.registry import Registry
from mmengine.runner.checkpoint import CheckpointLoader

from ..checkpoints.config_text import ConfigTextError, parse_config_text
from ..checkpoints.reading import read_pickle

# Keys of a config by which MMEngine reads other files or imports modules when it runs the text.
_REACHING_OUT = ("_base_", "custom_imports")
# Keys whose text MMEngine takes for the name of what it is to call.
_NAMING = ("type", "constructor", "collate_fn", "worker_init_fn")
# Packages whose modules it may look names up in.
_SCOPES = ("mmengine", "mmcv", "mmseg", "mmpretrain", "internvl_seg")
_REGISTRIES = [value for value in vars(root).values() if isinstance(value, Registry)]


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a local checkpoint for MMEngine without running code in it.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: A subclass says what is wrong with it.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {filename!r}.")
    return _with_plain_texts(read_pickle(path, map_location or "cpu"))


def _read(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    """Stands in for the function with which MMEngine reads files of other schemes, and files in memory."""
    if isinstance(file, (str, os.PathLike)):
        return load_from_local(os.fspath(file), map_location)
    with tempfile.NamedTemporaryFile(suffix=".pth") as copy:  # Its bytes stay while tensors are mapped from them.
        shutil.copyfileobj(file, copy)
        copy.flush()
        return load_from_local(copy.name, map_location)


def _download(url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True) -> Any:
    """Stands in for ``torch.hub.load_state_dict_from_url``, which unpickles anything; the cache is the same."""
    folder = Path(model_dir or os.path.join(torch.hub.get_dir(), "checkpoints"))
    path = folder / Path(urlparse(url).path).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, os.fspath(path), progress=progress)
    return load_from_local(os.fspath(path), map_location)


mmengine_checkpoint._safe_torch_load = _read
mmengine_checkpoint.load_url = _download


def _with_plain_texts(checkpoint: Any) -> Any:
    """A checkpoint whose config texts hold plain values alone, so that who runs them runs nothing."""
    if isinstance(checkpoint, dict):
        hub = checkpoint.get("message_hub")
        for place in checkpoint.get("meta"), hub.get("runtime_info") if isinstance(hub, dict) else None:
            if isinstance(place, dict):
                place.update({key: _plain_text(place[key]) for key in ("cfg", "config") if key in place})
    return checkpoint


def _plain_text(text: Any) -> str:
    try:
        values = parse_config_text(text)
    except ConfigTextError:
        return ""
    values = {key: _registered(value) for key, value in values.items() if key not in _REACHING_OUT}
    if values.get("default_scope") not in _SCOPES:
        values.pop("default_scope", None)
    lines = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    # In plain values two such brackets stand in strings only, where MMEngine puts text of their choice in their place.
    return lines.replace("{{", r"{\x7b")


def _registered(value: Any, key: Any = None) -> Any:
    """Plain values, in which a type that is not registered is called so: MMEngine would import and call anything."""
    if isinstance(value, dict):
        return {
            k: _registered(v, k) for k, v in value.items() if k != "_scope_" or (isinstance(v, str) and v in _SCOPES)
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_registered(item, key) for item in value)
    if key in _NAMING and isinstance(value, str) and not _is_registered(value):
        return f"{value} (not registered)"
    return value


def _is_registered(name: str) -> bool:
    """Whether a name is one that a registry has, or the whole path of one in a package that fills them."""
    package, _, last = name.rpartition(".")
    known = not package or package.split(".")[0] in (*_SCOPES, "torch")
    return known and any(_has(registry, last) for registry in _REGISTRIES)


def _has(registry: Registry, name: str) -> bool:
    return name in registry.module_dict or any(_has(child, name) for child in registry.children.values())
