"""One run at a time in a folder."""

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from internvl_seg.data import folder_lock
from internvl_seg.data.folder_lock import FolderInUseError, locked_folder

from ..error_table import DocumentedError
from .test_writing import end, raise_without_locks


def hold(folder: Path, machine: str | None = None) -> int:
    """A process that works in a folder until it is killed."""
    pid = os.fork()
    if not pid:
        try:
            if machine is not None:
                socket.gethostname = lambda: machine
                folder_lock.machine = lambda: machine
                folder_lock.try_lock = raise_without_locks
            with locked_folder(folder, "tools/infer.py"):
                (folder / "begun").touch()
                signal.pause()
        finally:
            os._exit(1)
    while not (folder / "begun").exists():
        time.sleep(0.01)
    (folder / "begun").unlink()
    return pid


def enter(folder: Path) -> list[str]:
    """Work in a folder; gives what was told meanwhile."""
    told: list[str] = []
    with locked_folder(folder, "tools/infer.py", told.append):
        assert json.loads((folder / ".lock").read_text())["pid"] == os.getpid()
    return told


def test_a_folder_is_for_one_and_then_for_the_next(tmp_path: Path) -> None:
    assert enter(tmp_path / "new") == []
    assert enter(tmp_path / "new") == []
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".lock"]


def test_what_a_killed_run_has_forked_holds_nothing(tmp_path: Path) -> None:
    """Processes that read images ahead live on for some seconds."""
    pid = os.fork()
    if not pid:
        with locked_folder(tmp_path, "tools/train.py"):
            reader = os.fork()
            if not reader:
                signal.pause()
            (tmp_path / "reader.tmp").write_text(str(reader))
            (tmp_path / "reader.tmp").rename(tmp_path / "reader")
            signal.pause()
    while not (tmp_path / "reader").exists():
        time.sleep(0.01)
    with pytest.raises(FolderInUseError):
        enter(tmp_path)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        assert enter(tmp_path) == []
    finally:
        os.kill(int((tmp_path / "reader").read_text()), signal.SIGKILL)


def test_the_second_is_told_who_is_there(tmp_path: Path, documented_error: DocumentedError) -> None:
    record = {"purpose": "tools/infer.py", "pid": 4711, "host": "node1", "since": "2026-01-01T12:00:00+00:00"}
    with locked_folder(tmp_path, "tools/infer.py"):
        (tmp_path / ".lock").write_text(json.dumps(record | {"machine": "0"}))
        with documented_error("another run works in the folder", FolderInUseError):
            enter(tmp_path)
        (tmp_path / ".lock").write_text("half a rec")
        with pytest.raises(FolderInUseError, match="is in use by another run"):
            enter(tmp_path)


def test_one_that_is_suspended_is_still_there_and_one_that_was_killed_is_not(tmp_path: Path) -> None:
    pid = hold(tmp_path)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(FolderInUseError, match=f"process {pid} on "):
        enter(tmp_path)
    end(pid)
    assert (tmp_path / ".lease").exists()
    assert enter(tmp_path) == []


def test_another_machine_is_waited_for_until_it_gives_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "_LEASE", 1.0)
    monkeypatch.setattr(folder_lock, "try_lock", raise_without_locks)
    pid = hold(tmp_path, machine="another")
    told: list[str] = []
    with pytest.raises(FolderInUseError, match=f"process {pid} on another"), locked_folder(tmp_path, "b", told.append):
        pass
    assert len(told) == 1
    assert "waiting 1 s for a sign of life" in told[0]
    end(pid)
    monkeypatch.undo()
    monkeypatch.setattr(folder_lock, "_LEASE", 1.0)
    assert len(enter(tmp_path)) == 1


def test_a_run_that_lost_its_folder_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "_LEASE", 0.3)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # Where tests run in workers it is ignored.

    def work() -> None:
        with locked_folder(tmp_path, "a"):
            (tmp_path / ".lease").unlink()
            threading.Event().wait(20)

    try:
        with pytest.raises(FolderInUseError, match="has lost its lock on the folder"):
            work()
    finally:
        signal.signal(signal.SIGINT, previous)


def test_ctrl_c_stays_ctrl_c(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked_folder(tmp_path, "a"):
        raise KeyboardInterrupt
    assert enter(tmp_path) == []
