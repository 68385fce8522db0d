"""Files that are whole or not there, whoever shares the disk."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from internvl_seg.data import writing
from internvl_seg.data.writing import remove_leftovers, whole_file


def hold(path: Path) -> int:
    """A process that has begun to write a file, and goes on until it is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if not pid:
        try:
            with whole_file(path) as temporary:
                temporary.write_text("half")
                (path.parent / "begun").touch()
                signal.pause()
        finally:
            os._exit(1)
    while not (path.parent / "begun").exists():
        time.sleep(0.01)
    (path.parent / "begun").unlink()
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.txt"

    def write_half() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(path.parent.iterdir()) == []
    for text in ("first", "second"):
        with whole_file(path) as temporary:
            temporary.write_text(text)
            assert (temporary.parent, temporary.suffix) == (path.parent, ".txt")
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("a.txt", "second")]


def test_names_may_be_as_long_as_a_disk_takes_them(tmp_path: Path) -> None:
    for name in ("x" * 251 + ".png", "x." + "y" * 253):
        with whole_file(tmp_path / name) as temporary:
            temporary.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"


def test_what_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    pid = hold(tmp_path / "a.txt")
    with whole_file(tmp_path / "b.txt") as temporary:
        temporary.write_text("mine")
        before = names(tmp_path)
        remove_leftovers(tmp_path)
        assert names(tmp_path) == before
        assert len(before) == 4
        os.kill(pid, signal.SIGSTOP)
        remove_leftovers(tmp_path)
        assert names(tmp_path) == before
    end(pid)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["b.txt"]


def test_in_another_container_processes_have_other_numbers(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs user namespaces, which this system does not allow")
    look = f"""
import importlib.util
from pathlib import Path
spec = importlib.util.spec_from_file_location("writing", {writing.__file__!r})
writing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writing)
writing.remove_leftovers(Path({str(tmp_path)!r}))
"""
    pid = hold(tmp_path / "a.txt")
    before = names(tmp_path)
    subprocess.run([*alone, sys.executable, "-c", look], check=True)
    assert names(tmp_path) == before
    end(pid)
    subprocess.run([*alone, sys.executable, "-c", look], check=True)
    assert names(tmp_path) == []


@pytest.mark.parametrize("locks", [True, False])
def test_another_machine_has_a_day(locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "machine", lambda: "00000000")
    end(hold(tmp_path / "a.txt"))
    monkeypatch.setattr(writing, "machine", lambda: "11111111")
    if not locks:
        monkeypatch.setattr(writing, "try_lock", raise_without_locks)
        end(hold(tmp_path / "b.txt"))  # Of this machine, but who knows whether it is still at it?
    (tmp_path / ".notes.tmp").touch()  # Of someone else.
    left = names(tmp_path)
    now = time.time()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == left
    for name in left:
        os.utime(tmp_path / name, (now, now - 23 * 3600))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == left
    for name in left:
        os.utime(tmp_path / name, (now, now - 25 * 3600))
    (written,) = tmp_path.glob(".00000000*.tmp.txt")
    written.touch()  # It is written to, though it was begun long ago.
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [*(name for name in left if name.startswith(".00000000")), ".notes.tmp"]
    os.utime(written, (now, now - 25 * 3600))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".notes.tmp"]


def raise_without_locks(file: int) -> bool:
    raise OSError(errno.ENOLCK, "No locks available")


def test_what_earlier_versions_left_goes_after_a_day(tmp_path: Path) -> None:
    for name in (".view0.4711.tmp.safetensors", ".x.tmp.png"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert len(names(tmp_path)) == 2
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".x.tmp.png"]
    remove_leftovers(tmp_path / "none")


def test_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    original = os.fsync

    def noted(file: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{file}") else f"{(tmp_path / 'a.txt').exists()}")
        original(file)

    monkeypatch.setattr(os, "fsync", noted)
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert steps == ["False", "folder"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"), whole_file(tmp_path / "a.txt") as temporary:
            temporary.write_bytes(bytes(1001))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []
