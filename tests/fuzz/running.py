"""Cases that run in a process of their own, which may hang, take all memory or die without an end to the run."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from .edits import Edit, apply, edits
from .seeds import write_seeds
from .targets import TARGETS, NotFiniteError, check_finite

# Seconds and bytes that a case may take.
MOST_SECONDS = 10.0
MOST_BYTES = 1 << 30
# An error that is on purpose: the file does not load, and the user is told why.
TOLD = "told"
LOADED = "loaded"


@dataclass(frozen=True)
class Case:
    """A damaged file and who reads it.

    Attributes:
        target: One of ``TARGETS``.
        file: The file of the seeds that is changed.
        edits: How.
    """

    target: str
    file: str
    edits: list[Edit]

    def save(self, path: Path, found: "Outcome") -> None:
        """Keep it with what was found."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**asdict(self), "found": asdict(found)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Case":
        """One that was kept."""
        kept = json.loads(path.read_text())
        return cls(kept["target"], kept["file"], [(kind, where, number) for kind, where, number in kept["edits"]])


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        kind: ``LOADED`` and ``TOLD`` are as they should be; of all else those of one kind have one cause.
        detail: The error, or where it came from.
    """

    kind: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether it may not be."""
        return self.kind not in (LOADED, TOLD)


def draw_cases(target: str, count: int, number: int) -> list[Case]:
    """Cases for a target; the same for the same seed and version of Hypothesis.

    Args:
        target: One of ``TARGETS``.
        count: About how many, spread evenly over its files.
        number: The seed.
    """
    files = TARGETS[target].files
    shares = [(count + i) // len(files) for i in range(len(files))]
    return [
        Case(target, file, changes)
        for file, share in zip(files, shares, strict=True)
        for changes in _draw_edits(file, share, number)
    ]


def _draw_edits(file: str, count: int, number: int) -> list[list[Edit]]:
    """Lists of edits as Hypothesis draws them."""
    drawn: list[list[Edit]] = []

    @seed(number)
    @settings(
        max_examples=count, database=None, derandomize=False, phases=[Phase.generate], deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(edits(file))
    def collect(changes: list[Edit]) -> None:
        drawn.append(changes)

    if count:
        collect()
    return drawn


def place(case: Case, seeds: Path, folder: Path, damaged_file: Path | None = None) -> Path:
    """Put a case's files into a folder; gives what the target is to be given.

    Args:
        case: The case.
        seeds: Whole files, as ``write_seeds`` makes them.
        folder: Where.
        damaged_file: The damaged file if it was kept: checkpoints of the old format hold addresses in memory as names.
    """
    (whole,) = seeds.glob(case.file)
    root = TARGETS[case.target].root(whole, seeds)
    shutil.copytree(root, folder)
    damaged = folder / whole.relative_to(root)
    damaged.write_bytes(damaged_file.read_bytes() if damaged_file else apply(whole.read_bytes(), case.edits))
    return folder if TARGETS[case.target].folder else damaged


def run_here(case: Case, path: Path) -> Outcome:
    """Let a case's target read its file, in this process and with the file's folder as the working one."""
    target, before = TARGETS[case.target], Path.cwd()
    os.chdir(path if path.is_dir() else path.parent)
    try:
        check_finite(target.call(path))
        found = Outcome(LOADED)
    except target.documented() as error:
        in_words = not target.names_files or _names_file(str(error), path)
        found = Outcome(TOLD if in_words else "no file is named", str(error))
    except NotFiniteError as error:
        found = Outcome("not finite", str(error))
    except Exception as error:
        found = Outcome(f"{type(error).__name__} {_origin(error)}", "".join(traceback.format_exception(error)))
    finally:
        os.chdir(before)
    # What a pickle's code would have left behind.
    return Outcome("code was run") if list(path.parent.parent.rglob("ran")) else found


def _names_file(message: str, path: Path) -> bool:
    """Whether a message names a file of a folder, or a file, or the folder."""
    files = [file.name for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
    return any(name in message for name in (str(path), path.name, *files))


def _origin(error: BaseException) -> str:
    """The last function of the package on the way to an error."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/internvl_seg/" in f.filename]
    return f"{frames[-1].filename.partition('/internvl_seg/')[2]}:{frames[-1].name}" if frames else "outside"


def _memory(field: str, process: int | str = "self") -> int:
    """Bytes in memory: 'VmRSS' now, 'VmHWM' at most since the last reset."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    return 0  # The process has ended.


def _work(connection: Connection, seeds: Path, folder: Path) -> None:
    """Run cases until there are no more; what libraries print is not wanted."""
    torch.set_num_threads(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    while True:
        case: Case = connection.recv()
        # Each in a place of its own, as opened archives are remembered by their paths.
        around = Path(tempfile.mkdtemp(dir=folder))
        path = place(case, seeds, around / "case")
        before = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # The most begins anew.
        found = run_here(case, path)
        taken = _memory("VmHWM") - before
        if taken > MOST_BYTES and not found.failed:
            found = Outcome("memory", f"{taken / 2**30:.2f} GiB; {found.kind} {found.detail}")
        connection.send(found)
        shutil.rmtree(around)


class Fuzzer:
    """Runs cases one by one in a process that is forked from this one, and again when it has to be ended.

    Args:
        folder: For seeds and the files of cases.
    """

    def __init__(self, folder: Path) -> None:
        self.seeds = folder / "seeds"
        self._folder = folder
        write_seeds(self.seeds)
        (folder / "cases").mkdir()
        self._fork = multiprocessing.get_context("fork")
        self._worker: Any = None
        self._connection: Any = None

    def __call__(self, case: Case) -> Outcome:
        """Run a case."""
        if self._worker is None:
            self._connection, theirs = self._fork.Pipe()
            self._worker = self._fork.Process(
                target=_work, args=(theirs, self.seeds, self._folder / "cases"), daemon=True
            )
            self._worker.start()
            theirs.close()
        self._connection.send(case)
        before, start = _memory("VmRSS", self._worker.pid), time.monotonic()
        while not self._connection.poll(0.02):
            if time.monotonic() - start > MOST_SECONDS:
                return self._end("hang", f"more than {MOST_SECONDS:.0f} seconds")
            if (taken := _memory("VmRSS", self._worker.pid) - before) > 1.5 * MOST_BYTES:
                return self._end("memory", f"{taken / 2**30:.2f} GiB and growing")
        try:
            found: Outcome = self._connection.recv()
        except EOFError:
            self._worker.join()
            return self._end(f"the process died: {_name_of(self._worker.exitcode)}", "")
        return found

    def _end(self, kind: str, detail: str) -> Outcome:
        self.close()
        return Outcome(kind, detail)

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.join()
            self._connection.close()
            self._worker = None


def _name_of(exit_code: int | None) -> str:
    return signal.Signals(-exit_code).name if exit_code and exit_code < 0 else f"exit code {exit_code}"


@contextlib.contextmanager
def fuzzer() -> Iterator[Fuzzer]:
    """A fuzzer in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        made = Fuzzer(Path(folder))
        try:
            yield made
        finally:
            made.close()
