"""What every test shares: the seed, the threads, the golden files and the folder that only developers have."""

import gc
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import settings
from mmengine.registry import DefaultScope
from safetensors import safe_open
from torch import Tensor

from .error_table import documented_error, pytest_addoption, pytest_configure, pytest_sessionfinish  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "data" / "golden"

# The same examples every time, so that a red run means a change; the first call of a kernel may be slow.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=15)
settings.load_profile("repeatable")


class Golden(NamedTuple):
    """A small random model in an official format, and what the official code answers."""

    config: dict[str, Any]
    state: dict[str, Tensor]
    image: Tensor
    expected: dict[str, Tensor]

    def encoder_state(self) -> dict[str, Tensor]:
        """The tensors under an encoder's names, without heads, pooling and pyramid."""
        names = ("pos_embed", "cls_token", "patch_embed.", "blocks.")
        return {name: tensor for name, tensor in self.state.items() if name.startswith(names)}


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collection: MMEngine's data sets ask for one each, of half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    # Tests in several processes would wait for each other's threads.
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the preflight keeps of files that it read is kept for one test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@contextmanager
def _keeping_scopes() -> Iterator[None]:
    """Take back what is done to MMEngine's default scope, on which registries look names up."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


# So that no test leans on the scope that another one, or another file, has left.
@pytest.fixture(autouse=True, scope="module")
def _scopes_of_a_file() -> Iterator[None]:
    with _keeping_scopes():
        yield


@pytest.fixture(autouse=True)
def _scopes_of_a_test(_scopes_of_a_file: None) -> Iterator[None]:
    with _keeping_scopes():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data and weights that may not be published, beside the checkout; tests that need them are skipped without."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip("needs the folder 'shared' beside the checkout, which is not part of the project")
    return path


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """Read ``tests/data/golden/<name>.safetensors``; every call gives fresh tensors."""

    def read(name: str) -> Golden:
        with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
            config = json.loads(file.metadata()["config"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict

        def under(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

        return Golden(config, under("state."), tensors["input.image"], under("expected."))

    return read


@pytest.fixture(scope="session")
def manifests() -> dict[str, Any]:
    """Names and shapes of every parameter of three released files."""
    return dict(json.loads((GOLDEN / "released_checkpoint_manifests.json").read_text()))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk in memory")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # A file on it may still be mapped.
