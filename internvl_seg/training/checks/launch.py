"""What a run begins with: its launcher, its folder and the weights that it loads."""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from ..last_checkpoint import find_last_checkpoint
from ..loading import load_from_local
from .contradiction import Contradiction, option

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def check_launch(config: Config, launcher: str) -> Iterator[Contradiction]:
    """Find a launcher that there is not, and a folder that is no text, before the command line's are put over them.

    Args:
        config: The config, as it was read.
        launcher: The command line's.
    """
    own = config.get("launcher", "none")
    for value in (launcher, own) if own != launcher else (launcher,):
        if value not in LAUNCHERS:
            near = get_close_matches(str(value), LAUNCHERS, 1) or LAUNCHERS
            told = f"= {value!r}: expected one of {', '.join(LAUNCHERS)}."
            yield Contradiction("launcher", told, f"Set {option('launcher', near[0])}.")
    folder = config.get("work_dir")
    if not isinstance(folder, (str, type(None))):
        yield Contradiction(
            "work_dir", f"= {folder!r}: expected text, the name of a folder.", "Write it in quotes, or leave it out."
        )


def check_weights(config: Config) -> Iterator[Contradiction]:
    """Find weights that are to be loaded from a file of this machine which is not there.

    Args:
        config: The config, once it is decided whether the run begins or goes on.
    """
    name: Any = config.get("load_from")
    # What MMEngine downloads is looked at when it is there.
    if not isinstance(name, str) or CheckpointLoader._get_checkpoint_loader(name) is not load_from_local:
        return
    path = Path(name).expanduser()
    if path.is_dir():
        last = find_last_checkpoint(path)
        advice = "Name a checkpoint in it."
        if last is not None:
            advice = (
                f"Set {option('load_from', os.path.relpath(last))} for a new run from the weights of its last "
                f"checkpoint; to go on with the run in it: --work-dir {name} --resume."
            )
        yield Contradiction("load_from", f"= {name!r} is a folder, not a checkpoint.", advice)
    elif not path.is_file():
        beside = [other.name for other in sorted(path.parent.glob("*")) if other.is_file()]
        near = get_close_matches(path.name, beside, 1)
        advice = f"Set {option('load_from', path.parent / near[0])}." if near else "Set it to a file that is there."
        yield Contradiction("load_from", f"= {name!r} is no file (looked from {Path.cwd()}).", advice)
