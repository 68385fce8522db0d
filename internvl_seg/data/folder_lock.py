"""One run at a time in a folder, also where containers and machines share it."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from filelock import LeaseCompromise, SoftFileLease, Timeout

from ..common.small_files import read_small
from .writing import machine, try_lock

# Seconds without a sign of life after which a run on another machine has ended.
_LEASE = 30.0
_FIELDS = {"purpose", "pid", "host", "since", "machine"}


# A process that is forked, as those that read images ahead are, would hold the locks of a run that was killed.
_held: set[IO[bytes]] = set()


def _let_go_in_child() -> None:
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


class FolderInUseError(RuntimeError):
    """Another run works in a folder."""


@contextmanager
def locked_folder(folder: Path, purpose: str, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """A block in which no other run works in a folder that locks it, too.

    The system's lock, on ``.lock``, excludes the runs of this machine, in whichever container, also those that are
    suspended, and those of all machines on most network disks. Where a disk has no such lock or keeps it to one
    machine, a lease, ``.lease``, excludes the others: a run renews it, and it is taken over when it has not been
    renewed for half a minute by the clock of the process that waits. So a killed run locks out none on its machine,
    and others for half a minute.

    Args:
        folder: The folder; made if need be.
        purpose: What the run is, such as ``tools/infer.py``, for the message of another one.
        tell: Called with a sentence if it has to wait.

    Raises:
        FolderInUseError: Another run works there; the message says which, or it has taken the folder over because
            this one gave no sign of life.
        OSError: Nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lost: list[LeaseCompromise] = []

    def end(loss: LeaseCompromise) -> None:
        lost.append(loss)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # As by Ctrl-C.

    with ExitStack() as stack:
        record = folder / ".lock"
        file: IO[bytes] = stack.enter_context(record.open("ab"))
        _held.add(file)
        stack.callback(_held.discard, file)
        try:
            is_locked = try_lock(file.fileno())
        except OSError:  # There are no locks on this disk.
            is_locked = False
        else:
            if not is_locked:
                raise _in_use(folder, _read(record))
        lease = SoftFileLease(folder / ".lease", lease_duration=_LEASE, thread_local=False, on_compromise=end)
        holder = _read(record)
        if is_locked and holder.get("machine") == machine():
            # Whoever renewed it had the lock of this machine, and has it no more.
            Path(lease.lock_file).unlink(missing_ok=True)
        try:
            lease.acquire(blocking=False)
        except Timeout:
            tell(f"{folder} was in use by {_name(holder)}: waiting {_LEASE:.0f} s for a sign of life.")
            try:
                lease.acquire(timeout=1.5 * _LEASE, poll_interval=1)
            except Timeout:
                raise _in_use(folder, holder) from None
        stack.callback(lease.release)
        _write(record, purpose)
        try:
            yield
        except KeyboardInterrupt:
            if not lost:
                raise
            raise FolderInUseError(
                f"{folder}: this run has lost its lock on the folder ({lost[0].reason}). Was the folder removed, or "
                f"was this process suspended? The last one to work there was {_name(_read(record))}."
            ) from None


def _in_use(folder: Path, holder: Mapping[str, Any]) -> FolderInUseError:
    return FolderInUseError(
        f"{folder} is in use by {_name(holder)}. Wait until that run has ended, end it, or take another folder."
    )


def _name(holder: Mapping[str, Any]) -> str:
    """Who holds a lock, as its record says."""
    if not holder:
        return "another run"
    return "{purpose} (process {pid} on {host}, since {since})".format_map(holder)


def _read(record: Path) -> dict[str, Any]:
    """What a run has written about itself; nothing if it has not, or has not finished."""
    try:
        holder = dict(json.loads(read_small(record, 1 << 16)))
    except (OSError, ValueError, TypeError):
        return {}
    return holder if holder.keys() >= _FIELDS else {}


def _write(record: Path, purpose: str) -> None:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    holder = {"purpose": purpose, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
    record.write_text(json.dumps({**holder, "machine": machine()}))
