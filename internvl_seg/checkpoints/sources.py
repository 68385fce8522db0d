"""From what a user names (release, hub id, folder, file) to tensors and the configuration beside them."""

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub.errors import EntryNotFoundError

from ..common.kinds import short
from ..encoder.releases import get_release, list_encoders
from .config_json import read_config_json
from .errors import (
    CheckpointNotFoundError,
    HubUnavailableError,
    MissingShardError,
    NotACheckpointError,
    list_names,
    printable,
)
from .folder_kinds import WEIGHT_FILES, check_no_adapters, check_one_set, find_in_folder
from .hub import HubSource
from .reading import TensorReader, open_file
from .shards import ShardedReader, is_inside

logger = logging.getLogger(__name__)

INDEX_SUFFIX = ".index.json"


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


def _open_local_file(path: Path, around: Path | None = None) -> Source:
    """Open a file; the ``config.json`` beside it counts, or else one in the folder around that."""
    folder = path.parent
    config = read_config_json(folder / "config.json") or read_config_json(around and around / "config.json")

    def fetch(shard: str) -> Path:
        found = folder / shard
        if not found.is_file():
            there = [name for name in os.listdir(folder) if name.endswith((".safetensors", ".bin"))]
            raise MissingShardError(
                f"{path} names the shard {printable(shard)}, but {folder} does not hold it (it holds "
                f"{list_names(there, 4) or 'no weights'}). Download it again."
            )
        root = folder.resolve()
        blobs = root.parents[1] / "blobs" if root.parent.name == "snapshots" and len(root.parents) > 1 else root
        if not found.resolve().is_relative_to(root) and not found.resolve().is_relative_to(blobs):
            raise NotACheckpointError(
                f"{path} names the shard {printable(shard)}, which is a link to {found.resolve()}, outside "
                "its folder. It was not opened; put a copy in its place if you trust it."
            )
        return found

    if not path.name.endswith(INDEX_SUFFIX):
        return Source(str(path), open_file(path), config)
    reader = ShardedReader(path, fetch)
    check_one_set(path, reader.shards)
    return Source(str(path), reader, config)


def _no_file(path: Path) -> str:
    what = f"a link to {path.readlink()}, which is not there" if path.is_symlink() else "no file"
    return (
        f"{path} is {what}. Weights of that name go before all others in {path.parent}, which are not read in their "
        "place: put them there, remove it, or name the file that is wanted."
    )


def _open_folder(folder: Path) -> Source:
    try:
        for name in WEIGHT_FILES:
            if (folder / name).is_file():
                check_no_adapters(folder, name)
                return _open_local_file(folder / name)
            if os.path.lexists(folder / name):  # What comes after it may be of an older model.
                raise CheckpointNotFoundError(_no_file(folder / name))
        return _open_local_file(found := find_in_folder(folder), folder if found.parent != folder else None)
    except OSError as error:
        raise NotACheckpointError(f"{folder} cannot be read: {error.strerror or error}.") from error


def _open_hub(hub: HubSource) -> Source:
    if hub.file is not None:
        if not is_inside(hub.file):
            raise CheckpointNotFoundError(
                f"{printable(hub.file)!r} is no file within {hub.repo}. Name one as '{hub.repo}:folder/weights.pth'."
            )
        return _open_hub_file(hub, hub.file)
    found: dict[str, Path] = {}
    unavailable: HubUnavailableError | None = None
    for name in ("config.json", *WEIGHT_FILES):
        try:
            # The client tries for half a minute before it gives up; once is enough.
            found[name] = hub.fetch(name, cached_only=unavailable is not None)
        except EntryNotFoundError:
            continue
        except HubUnavailableError as error:  # A later name may be in the cache.
            unavailable = unavailable or error
            continue
        if name in WEIGHT_FILES:
            return _open_fetched(hub, found[name], "", found.get("config.json"))
    where = f"{hub.repo}{f', in {hub.subfolder},' if hub.subfolder else ''}"
    raise unavailable or NotACheckpointError(
        f"The hub repository {where} holds none of {', '.join(WEIGHT_FILES)}. If the weights have another name there, "
        f"say which: '{hub.repo}:FILE'."
    )


def _open_hub_file(hub: HubSource, name: str) -> Source:
    """Open a file that is named; the ``config.json`` beside it counts."""
    try:
        path = hub.fetch(name)
    except EntryNotFoundError as error:
        raise CheckpointNotFoundError(f"The hub repository {hub.repo} holds no file {name!r}.") from error
    folder = name.rpartition("/")[0]
    beside = f"{folder}/" if folder else ""
    try:
        config = hub.fetch(f"{beside}config.json")
    except (EntryNotFoundError, HubUnavailableError):
        config = None
    return _open_fetched(hub, path, beside, config)


def _open_fetched(hub: HubSource, path: Path, beside: str, config: Path | None) -> Source:
    is_index = path.name.endswith(INDEX_SUFFIX)
    reader = ShardedReader(path, hub.fetch_shard(beside)) if is_index else open_file(path)
    return Source(str(hub), reader, read_config_json(config))


def open_source(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    subfolder: str | None = None,
) -> Source:
    """Open a checkpoint by release name, hub id, folder or file.

    The hub is asked through huggingface_hub, which honours ``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE``; of a
    sharded checkpoint only the shards that are read from are downloaded.

    Args:
        source: A name of ``list_encoders()``; on the hub ``owner/name``, also with a revision (``owner/name@v1.0``) or
            one file of it (``owner/name:folder/weights.pth``); a folder as transformers or DeepSpeed write it, or a
            ``.pth``, ``.bin``, ``.safetensors`` or ``*.index.json`` file. What exists on disk goes before the hub.
        revision: Of a hub repository: branch, tag or commit.
        token: For the hub; the stored one if None.
        cache_dir: Where files of the hub are kept; ``HF_HOME`` decides if None.
        subfolder: Of the repository or folder.

    Raises:
        CheckpointNotFoundError: It is none of these.
        CheckpointError: A subclass says what is wrong with the file, the folder or the hub.
        ValueError: There are two revisions.
    """
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(name, str):
        raise CheckpointNotFoundError(
            f"There is no checkpoint {short(name)}: expected a text or a path, found {type(name).__name__}."
        )
    if subfolder and not is_inside(subfolder):
        raise CheckpointNotFoundError(
            f"subfolder={short(subfolder)} is no folder within {printable(name)}. Name one that is."
        )
    path = find_local(name)
    if path is not None:
        if subfolder and path.is_file():
            logger.warning("%s is a file: subfolder=%r says nothing of it.", path, subfolder)
        if revision is not None:
            logger.warning("%s is here, not on the hub: revision=%r says nothing of it.", path, revision)
        return _open_local_file(path) if path.is_file() else _open_folder(_subfolder(path, subfolder))
    release = get_release(name).hub_id if name in list_encoders() else ""
    hub = HubSource.parse(release or name)
    # A file that is not here is not asked of the hub, unless it is said to be there.
    is_file = name.endswith(_SUFFIXES) and hub is not None and hub.file is None
    if hub is not None and not is_file:
        return _open_hub(hub.with_options(revision, token, cache_dir, subfolder))
    if scheme := re.match(r"(?!hf:|https://huggingface\.co/)(\w+)://", name):
        raise CheckpointNotFoundError(
            f"{printable(name)} is an address, and nothing is fetched from {scheme[1]}:// here. Download the file, and "
            "name it where it lies; of the Hugging Face hub name 'owner/name' or 'owner/name:file'."
        )
    parts = name.removeprefix("hf://").removeprefix("https://huggingface.co/").split("/")
    raise CheckpointNotFoundError(
        f"There is no checkpoint {name!r}: it is no file or folder here, no hub id (owner/name, owner/name@revision, "
        f"owner/name:file) and no release ({', '.join(list_encoders())})."
        + (_hint(parts) if len(parts) > 2 and all(parts) and name.endswith(_SUFFIXES) else "")
        + (
            f" The repository of that address is named {'/'.join(parts)!r}."
            if len(parts) == 2 and "://" in name
            else ""
        )
    )


_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".json")


def _hint(parts: list[str]) -> str:
    """How a path would be named if it were one in a hub repository."""
    repo, rest = "/".join(parts[:2]), parts[2:]
    revision = f"@{rest[1]}" if rest[0] in ("resolve", "blob") and len(rest) > 2 else ""
    file = "/".join(rest[2:] if revision else rest)
    return f" A file of a hub repository is named '{repo}{revision}:{file}', or fetched: hf download {repo} {file}"


def find_local(name: str) -> Path | None:
    """The file or folder of a name, if there is one."""
    if not name.strip():
        return None
    try:
        path = Path(name).expanduser()
        return path if path.is_file() or path.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # Too long, or the home of nobody.
        return None


def _subfolder(folder: Path, name: str | None) -> Path:
    if not name:
        return folder
    if not (folder / name).is_dir():
        raise CheckpointNotFoundError(f"{folder} has no subfolder {name!r}.")
    return folder / name
