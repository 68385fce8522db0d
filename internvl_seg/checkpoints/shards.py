"""Weights in several files, by the index that lists them; none of them may be outside the index' folder."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .errors import MissingShardError, NotACheckpointError, printable
from .json_files import read_json
from .reading import TensorReader, open_file
from .stored import InMemory, Stored


def is_inside(name: Any) -> bool:
    """Whether a name is that of a file or folder within another folder, on every system."""
    parts = re.split(r"[/\\]", name) if isinstance(name, str) and len(name) < 1000 else [".."]
    # Absolute names of every system begin with an empty part or a drive.
    return (
        ".." not in parts
        and bool(parts[0])
        and bool(parts[-1].strip(". "))
        and "\0" not in name
        and ":" not in parts[0]
    )


def check_inside(name: Any, index: Path | str) -> str:
    """Check that a file that an index names is within the index' folder.

    Raises:
        NotACheckpointError: It is not, or no name of a file.
    """
    if not is_inside(name):
        told = printable(name) if isinstance(name, str) else type(name).__name__
        raise NotACheckpointError(
            f"{index} names {told!r}, expected a file in its own folder. It was not opened; download the index again, "
            "from where you trust it."
        )
    return str(name)


class ShardedReader(TensorReader):
    """The files that an index (``*.index.json``) lists; a file is fetched and opened only when a tensor of it is.

    Args:
        index: The index file.
        fetch: From a shard's name to its path; raises :class:`MissingShardError` if there is none.

    Raises:
        NotACheckpointError: The index is not JSON with a ``weight_map``, or names files outside its folder.
    """

    def __init__(self, index: Path, fetch: Callable[[str], Path]) -> None:
        self._index = index
        shards = read_json(index, "an index of shards, with the key 'weight_map'").get("weight_map")
        if not isinstance(shards, dict):
            raise NotACheckpointError(f"{index} is not an index of shards: it has no JSON key 'weight_map'.")
        for shard in shards.values() if not all(isinstance(s, str) for s in shards.values()) else set(shards.values()):
            check_inside(shard, index)
        if indices := [shard for shard in set(shards.values()) if shard.endswith(".json")]:
            what = "itself" if index.name in indices else f"{printable(indices[0])}, another index,"
            raise NotACheckpointError(
                f"{index} names {what} as a file of weights. It was damaged or written by hand: download it again."
            )
        self._shard_of: dict[str, str] = shards
        self.names = frozenset(shards)
        self.shards = frozenset(shards.values())
        self._open = functools.cache(lambda shard: open_file(fetch(shard)))

    def _reader(self, name: str) -> TensorReader:
        shard = self._shard_of[name]
        reader: TensorReader = self._open(shard)
        if name not in reader.names:
            raise MissingShardError(
                f"{self._index} says that {printable(name)} is in {printable(shard)}, but it is not. "
                "Download both again."
            )
        return reader

    def stored(self, name: str) -> Stored | InMemory:
        """Where a tensor is; opens its file."""
        return self._reader(name).stored(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; opens its file."""
        return self._reader(name).shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor; opens its file."""
        return self._reader(name).dtype(name)
