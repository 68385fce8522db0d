"""Facts of files that were read before, kept between runs."""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..archives import file_of
from ..writing import whole_file

# All that is kept, of which ImageNet has a quarter; the longest unused goes first.
_MOST_BYTES = 2**30
# Entries beside those of the files at hand, as of other lists of one folder.
_MOST_OTHERS = 100_000
# A file that is this young may change again without its time or size telling.
_SETTLED_NS = 2 * 10**9
_TAIL = b"]"


def default_folder() -> Path | None:
    """``preflight`` in ``$XDG_CACHE_HOME/internvl_seg``, or in ``~/.cache/internvl_seg``; None without a home."""
    with suppress(RuntimeError):  # As of a user that is a number only, in a container.
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "internvl_seg", "preflight")
    return None


def state_of(path: str) -> list[int] | None:
    """Size of a file, the time of its last change, and that of its entry; None if it is not there.

    A file that is put in the place of another may have its size and time, but not the time at which that was done.
    """
    with suppress(OSError, ValueError):
        found = os.stat(file_of(path))
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return None


class Cache:
    """Facts by file, as JSON, in one file for a folder of images or masks and the steps that read them.

    A damaged file is as none: it holds a hash of its entries before them. Processes may share the folder: each writes
    whole files, and the last one's stays. Threads may not share it.

    Args:
        folder: Where to; nothing is kept if None.
        steps: Hash of what reads the files.
        paths: The files at hand.
    """

    def __init__(self, folder: Path | None, steps: str, paths: Iterable[str]) -> None:
        absolute = {
            path: path if os.path.isabs(path) or file_of(path) != path else os.path.abspath(path) for path in paths
        }
        self._name_of = absolute
        self._states = {path: state_of(path) for path in absolute}
        self._entries: dict[str, Any] = {}
        self._is_new = False
        self._file: Path | None = None
        if folder is None or not absolute:
            return
        shared = os.path.commonpath({os.path.dirname(file_of(path)) for path in absolute.values()})
        self._file = folder / (hashlib.blake2b(f"{steps}\n{shared}".encode(), digest_size=16).hexdigest() + ".json")
        self._entries = _read(self._file)

    @property
    def there(self) -> list[str]:
        """The files at hand that are there."""
        return [path for path, state in self._states.items() if state is not None]

    def get(self, path: str) -> Any:
        """What is known of a file; None if it is unknown or has changed."""
        entry = self._entries.get(self._name_of[path])
        if isinstance(entry, list) and len(entry) == 2 and entry[0] == self._states[path]:
            return entry[1]
        return None

    def put(self, path: str, facts: Any) -> None:
        """Keep what was read of a file, unless it was written just now or while it was read."""
        state = self._states[path]
        if state is not None and state[1] < time.time_ns() - _SETTLED_NS and state == state_of(path):
            self._entries[self._name_of[path]] = [state, facts]
            self._is_new = True

    def save(self) -> None:
        """Write what is new; a disk that is full or read only is no fault."""
        if self._file is None:
            return
        with suppress(OSError):
            if not self._is_new:
                os.utime(self._file)
                return
            # What another process has written in the meantime.
            entries = _read(self._file) | self._entries
            if len(entries) > len(self._name_of) + _MOST_OTHERS:
                names = set(self._name_of.values())
                entries = {name: entry for name, entry in entries.items() if name in names}
            text = json.dumps(entries, separators=(",", ":")).encode()
            with whole_file(self._file) as temporary:
                temporary.write_bytes(_head(text) + text + _TAIL)
            _make_room(self._file)


def _head(text: bytes) -> bytes:
    return f'["{hashlib.blake2b(text, digest_size=16).hexdigest()}",\n'.encode()


def _read(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):  # The last of brackets without an end.
        content = file.read_bytes()
        text = content[len(_head(b"")) : -len(_TAIL)]
        if content == _head(text) + text + _TAIL and isinstance(found := json.loads(text), dict):
            return found
    return {}


def _make_room(kept: Path) -> None:
    files = []
    for file in kept.parent.glob("*.json"):
        with suppress(OSError):
            status = file.stat()
            files.append((status.st_mtime, status.st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total > _MOST_BYTES and file != kept:
            with suppress(OSError):
                file.unlink()
            total -= size
