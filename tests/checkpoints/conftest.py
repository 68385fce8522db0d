"""Writing a golden model to disk in the ways in which models are published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ..conftest import Golden

MODEL_TYPE = {"hf_remote_code": "intern_vit_6b", "hf_native": "internvl_vision"}


def assert_close(got: Tensor, want: Tensor) -> None:
    """Within 1e-5, absolute plus relative."""
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def save_sharded(folder: Path, state: dict[str, Tensor], shards: int = 3) -> Path:
    """Write a state dict as safetensors shards with their index."""
    names = sorted(state)
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: state[name].contiguous() for name in names[i::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


@pytest.fixture
def hf_folder(tmp_path: Path, golden: Callable[[str], Golden]) -> Callable[..., Path]:
    """A function from a golden model's name to a folder as transformers writes it."""

    def write(name: str, prefix: str = "", extra: dict[str, Tensor] | None = None, sharded: bool = False) -> Path:
        model = golden(name)
        config: dict[str, Any] = dict(model.config, model_type=MODEL_TYPE[name.rsplit("_", 1)[0]])
        if prefix:
            config = {"model_type": "internvl_chat", "vision_config": config, "llm_config": {"hidden_size": 32}}
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        state = {prefix + key: value for key, value in model.state.items()} | (extra or {})
        if sharded:
            save_sharded(folder, state)
        else:
            save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return write


@pytest.fixture
def official_file(tmp_path: Path, golden: Callable[[str], Golden]) -> Callable[..., Path]:
    """A function from a golden model's name to an official ``.pth``."""

    def write(name: str = "official_seg_rms", container: str | None = "module", prefix: str = "") -> Path:
        state = {prefix + key: value for key, value in golden(name).state.items()}
        path = tmp_path / f"{name}.pth"
        torch.save({container: state} if container else state, path)
        return path

    return write
