"""From what a user names (release, hub id, folder, file) to tensors and the configuration beside them."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from ..encoder.releases import find_release, get_release, list_encoders
from .config_json import read_config_json
from .errors import CheckpointNotFoundError, HubUnavailableError, MissingShardError, NotACheckpointError, list_names
from .reading import ShardedReader, TensorReader, open_file

INDEX_SUFFIX = ".index.json"
# In the order of preference, as transformers writes them.
WEIGHT_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)


@dataclass(frozen=True)
class Source:
    """An opened checkpoint.

    Attributes:
        where: File or repository, for messages.
        reader: Its tensors.
        config: The vision part of the ``config.json`` beside it, empty when there is none.
    """

    where: str
    reader: TensorReader
    config: dict[str, Any] = field(default_factory=dict)


def _open_local_file(path: Path) -> Source:
    def fetch(shard: str) -> Path:
        if not (path.parent / shard).is_file():
            raise MissingShardError(
                f"{path} names the shard {shard}, but {path.parent} does not hold it. Download it again."
            )
        return path.parent / shard

    reader = ShardedReader(path, fetch) if path.name.endswith(INDEX_SUFFIX) else open_file(path)
    return Source(str(path), reader, read_config_json(path.parent / "config.json"))


def _open_folder(folder: Path) -> Source:
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return _open_local_file(folder / name)
    raise NotACheckpointError(
        f"{folder} holds none of {', '.join(WEIGHT_FILES)}; it holds {list_names(os.listdir(folder)) or 'nothing'}. "
        "Name the checkpoint file itself."
    )


def _fetch(repo: str, name: str, cached_only: bool = False) -> Path:
    """Path of a hub repository's file in the local cache, downloaded if need be and allowed.

    Raises:
        EntryNotFoundError: The repository does not hold it.
        CheckpointNotFoundError: There is no such repository.
        HubUnavailableError: It is not in the cache and the hub cannot be asked.
    """
    try:
        return Path(huggingface_hub.hf_hub_download(repo, name, local_files_only=cached_only))
    except RepositoryNotFoundError as error:
        raise CheckpointNotFoundError(
            f"The hub ({ENDPOINT}) has no repository {repo!r}, or it is private and needs 'hf auth login'."
        ) from error
    except LocalEntryNotFoundError as error:  # Means that the hub could not be asked; its base class that it could.
        release = find_release(hub_id=repo)
        official = f", or {release.official_file} of OpenGVLab/InternVL," if release and release.official_file else ""
        why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else f"the hub ({ENDPOINT}) cannot be reached"
        raise HubUnavailableError(
            f"{name} of {repo} is not in the local cache and {why}. Connect, set HF_ENDPOINT to a mirror or HF_HOME "
            f"to a filled cache, or download {repo}{official} elsewhere and give its path."
        ) from error
    except EntryNotFoundError:
        raise
    except (HfHubHTTPError, OSError) as error:
        raise HubUnavailableError(f"Fetching {name} of {repo} from the hub ({ENDPOINT}) failed: {error}") from error


def _open_hub(repo: str) -> Source:
    def fetch_shard(shard: str) -> Path:
        try:
            return _fetch(repo, shard)
        except EntryNotFoundError as error:
            raise MissingShardError(
                f"The index of {repo} names the shard {shard}, but the hub does not hold it."
            ) from error

    found: dict[str, Path] = {}
    unavailable: HubUnavailableError | None = None
    for name in ("config.json", *WEIGHT_FILES):
        try:
            # The client tries for half a minute before it gives up; once is enough.
            found[name] = _fetch(repo, name, cached_only=unavailable is not None)
        except EntryNotFoundError:
            continue
        except HubUnavailableError as error:  # A later name may be in the cache.
            unavailable = unavailable or error
            continue
        if name in WEIGHT_FILES:
            path = found[name]
            reader = ShardedReader(path, fetch_shard) if name.endswith(INDEX_SUFFIX) else open_file(path)
            return Source(repo, reader, read_config_json(found.get("config.json")))
    raise unavailable or NotACheckpointError(f"The hub repository {repo} holds none of {', '.join(WEIGHT_FILES)}.")


def open_source(source: str | os.PathLike[str]) -> Source:
    """Open a checkpoint by release name, hub id, folder or file.

    The hub is asked through huggingface_hub, which honours ``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE``; of a
    sharded checkpoint only the shards that are read from are downloaded.

    Args:
        source: A name of ``list_encoders()``, ``owner/name`` on the hub, a folder as transformers writes it, or a
            ``.pth``, ``.bin``, ``.safetensors`` or ``*.index.json`` file. What exists on disk goes before the hub.

    Raises:
        CheckpointNotFoundError: It is none of these.
        CheckpointError: A subclass says what is wrong with the file, the folder or the hub.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return _open_local_file(path)
    if path.is_dir():
        return _open_folder(path)
    name = os.fspath(source)
    if name in list_encoders() and get_release(name).hub_id:
        return _open_hub(get_release(name).hub_id)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) and path.suffix not in (
        ".pth",
        ".pt",
        ".bin",
        ".safetensors",
        ".json",
    ):
        return _open_hub(name)
    raise CheckpointNotFoundError(
        f"There is no checkpoint {name!r}: it is no file or folder here, no hub id (owner/name) and no release "
        f"({', '.join(list_encoders())})."
    )
