"""Loading through huggingface_hub's own client from a server with the hub's routes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from internvl_seg import CheckpointError, load_encoder
from internvl_seg.checkpoints import errors

from ..conftest import Golden
from ..error_table import DocumentedError
from .conftest import save_sharded
from .hub import Hub, load_in_a_process

Online = tuple[list[dict[str, Any]], list[str], Path]
SOURCES: list[Any] = [
    "tiny_release",  # A release name: OpenGVLab/tiny, one file.
    "OpenGVLab/tiny",
    "OpenGVLab/sharded",
    "OpenGVLab/chat",
    "OpenGVLab/broken",
    "OpenGVLab/empty",
    "OpenGVLab/nothing-of-that-name",
]
# What is named beside a repository, and what may not be had.
NAMED: list[Any] = [
    "OpenGVLab/tiny@v1",
    ["OpenGVLab/tiny", {"revision": "v1"}],
    "OpenGVLab/files:weights/encoder.safetensors",
    ["OpenGVLab/files", {"subfolder": "model"}],
    ["OpenGVLab/gated", {"token": "good", "cache_dir": "CACHE"}],
    "OpenGVLab/gated",
    ["OpenGVLab/forbidden", {"token": "bad"}],
    "OpenGVLab/tiny@v2",
    "OpenGVLab/files:weights/other.pth",
    "OpenGVLab/outside",
]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory, golden: Callable[[str], Golden]) -> Path:
    """A model in one file, in shards, inside a chat model, with a shard missing, and a repository without weights."""
    root = tmp_path_factory.mktemp("hub")
    model = golden("hf_remote_code_rms")
    for name in ("tiny", "sharded", "chat", "broken", "empty"):
        (root / "OpenGVLab" / name).mkdir(parents=True)
        config: dict[str, Any] = model.config
        if name == "chat":
            config = {"vision_config": model.config}
        (root / "OpenGVLab" / name / "config.json").write_text(json.dumps(config))
    save_file(model.state, root / "OpenGVLab" / "tiny" / "model.safetensors")
    save_sharded(root / "OpenGVLab" / "sharded", model.state)
    save_sharded(root / "OpenGVLab" / "broken", model.state)
    (root / "OpenGVLab" / "broken" / "model-00002-of-00003.safetensors").unlink()
    index = save_sharded(root / "OpenGVLab" / "chat", {f"vision_model.{k}": v for k, v in model.state.items()})
    weights = json.loads(index.read_text())
    weights["weight_map"]["language_model.embed.weight"] = "model-of-the-language.safetensors"
    index.write_text(json.dumps(weights))
    (index.parent / "model-of-the-language.safetensors").write_bytes(b"\0" * 1000)
    owner, doubled = root / "OpenGVLab", {name: 2 * tensor for name, tensor in model.state.items()}
    for folder in ("tiny/v1", "files/weights", "files/model", "gated", "forbidden", "outside"):
        (owner / folder).mkdir(parents=True)
        (owner / folder / "config.json").write_text(json.dumps(model.config))
    save_file(doubled, owner / "tiny/v1/model.safetensors")
    save_file(doubled, owner / "files/weights/encoder.safetensors")
    save_file(doubled, owner / "files/model/model.safetensors")
    save_file(doubled, owner / "gated/model.safetensors")
    outside = {"weight_map": dict.fromkeys(model.state, "../../tiny/resolve/main/model.safetensors")}
    (owner / "outside/model.safetensors.index.json").write_text(json.dumps(outside))
    return root


@pytest.fixture(scope="module")
def online(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Online:
    """Answers for all sources with the server up, what it was asked, and the cache."""
    cache = tmp_path_factory.mktemp("cache")
    with Hub(repositories) as hub:
        answers = load_in_a_process(SOURCES, cache, hub.address)
    return answers, hub.requests, cache


@pytest.fixture(scope="module")
def named(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """Answers for what is named, and the cache that one of them was given."""
    cache = tmp_path_factory.mktemp("another")
    sources = json.loads(json.dumps(NAMED).replace("CACHE", str(cache)))
    with Hub(repositories) as hub:
        return load_in_a_process(sources, tmp_path_factory.mktemp("cache"), hub.address), cache


def expect(answer: dict[str, Any], kind: type[CheckpointError]) -> None:
    assert answer.get("error") == kind.__name__, answer
    raise kind(answer["message"])


@torch.no_grad()
def test_the_hub_gives_what_the_files_give(online: Online, repositories: Path) -> None:
    want = load_encoder(repositories / "OpenGVLab" / "tiny").forward_features(torch.ones(1, 3, 42, 42)).double().sum()
    for source, answer in list(zip(SOURCES, online[0], strict=True))[:4]:
        assert answer.get("sum") == pytest.approx(want.item()), (source, answer)


def test_shards_of_the_language_model_are_not_downloaded(online: Online) -> None:
    asked = [request for request in online[1] if "/OpenGVLab/chat/" in request]
    assert any("model-00003-of-00003" in request for request in asked)
    assert not any("model-of-the-language" in request for request in asked)


def test_what_the_hub_lacks(online: Online, documented_error: DocumentedError) -> None:
    answers = dict(zip(SOURCES, online[0], strict=True))
    with documented_error("the hub lacks a shard", errors.MissingShardError):
        expect(answers["OpenGVLab/broken"], errors.MissingShardError)
    with documented_error("a hub repository holds no weights", errors.NotACheckpointError):
        expect(answers["OpenGVLab/empty"], errors.NotACheckpointError)
    with documented_error("the hub has no such repository", errors.CheckpointNotFoundError):
        expect(answers["OpenGVLab/nothing-of-that-name"], errors.CheckpointNotFoundError)


@torch.no_grad()
def test_revisions_files_and_subfolders(named: tuple[list[dict[str, Any]], Path], repositories: Path) -> None:
    folder = repositories / "OpenGVLab/tiny/v1"
    want = load_encoder(folder).forward_features(torch.ones(1, 3, 42, 42)).double().sum()
    for source, answer in zip(NAMED[:5], named[0], strict=False):
        assert answer.get("sum") == pytest.approx(want.item()), (source, answer)
    assert list(named[1].glob("models--OpenGVLab--gated/blobs/*"))


def test_what_may_not_be_had(named: tuple[list[dict[str, Any]], Path], documented_error: DocumentedError) -> None:
    gated, forbidden, revision, file, outside = named[0][5:]
    with documented_error("the hub says that a repository is gated", errors.HubAccessError):
        expect(gated, errors.HubAccessError)
    with documented_error("the hub refuses a repository", errors.HubAccessError):
        expect(forbidden, errors.HubAccessError)
    with documented_error("the hub has no such revision", errors.CheckpointNotFoundError):
        expect(revision, errors.CheckpointNotFoundError)
    with documented_error("the hub has no such file", errors.CheckpointNotFoundError):
        expect(file, errors.CheckpointNotFoundError)
    with pytest.raises(errors.NotACheckpointError, match="expected a file in its own folder"):
        expect(outside, errors.NotACheckpointError)


def test_two_revisions() -> None:
    with pytest.raises(ValueError, match="revision='v2' contradicts"):
        load_encoder("owner/name@v1", revision="v2")


@pytest.mark.parametrize(
    "name",
    [
        "OpenGVLab/InternVL/intern_vit_6b_224px.pth",
        "hf://OpenGVLab/InternVL/intern_vit_6b_224px.pth",
        "https://huggingface.co/OpenGVLab/InternVL/resolve/main/intern_vit_6b_224px.pth",
    ],
)
def test_a_file_that_may_be_on_the_hub(name: str) -> None:
    with pytest.raises(errors.CheckpointNotFoundError, match=r"OpenGVLab/InternVL(@main)?:intern_vit_6b_224px\.pth"):
        load_encoder(name)


def test_a_filled_cache_needs_no_hub(online: Online, tmp_path: Path, documented_error: DocumentedError) -> None:
    cache = shutil.copytree(online[2], tmp_path / "cache", symlinks=True)
    answers = load_in_a_process(
        [*SOURCES[:4], "OpenGVLab/InternViT-6B-224px"], cache, "http://127.0.0.1:9", offline=True
    )
    assert [answer.get("sum") for answer in answers[:4]] == [answer["sum"] for answer in online[0][:4]]
    with documented_error("HF_HUB_OFFLINE is set and the cache lacks the model", errors.HubUnavailableError):
        expect(answers[4], errors.HubUnavailableError)


def test_a_hub_that_cannot_be_reached(tmp_path: Path, documented_error: DocumentedError) -> None:
    (answer,) = load_in_a_process(["internvit_300m_448px_v2_5"], tmp_path, "http://127.0.0.1:9")
    with documented_error("the hub cannot be reached", errors.HubUnavailableError):
        expect(answer, errors.HubUnavailableError)
