"""Tools as a user types them, in processes that have imported everything, which is most of what a tool takes here."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

TOOLS = Path(__file__).resolve().parents[1] / "tools"
# One server for all tests of this process; it forks before PyTorch has made threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([f"internvl_seg.{room}" for room in ("deployment", "inference", "probing", "training")])


def run_command(tool: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool in a process of its own.

    Args:
        tool: Name of a file in ``tools/``.
        arguments: Of the command.
        cwd: Where it runs; here if None.

    Returns:
        Its exit code, and what it has written.
    """
    command = [str(TOOLS / tool), *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = CONTEXT.Process(target=_run, args=(command, cwd or Path.cwd(), dict(os.environ), out, err))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), err.read_text())


def _run(command: list[str], cwd: Path, environment: Mapping[str, str], out: Path, err: Path) -> None:
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    torch.set_num_threads(1)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
