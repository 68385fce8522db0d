"""How heads of a study refer to an encoder that the study itself has written, and where it lies now.

MMEngine puts a config's own folder in the place of ``{{ fileDirname }}``, so that a study can be moved as a whole. A
checkpoint holds the same text, and lies beside that config. Of paths in a checkpoint this one alone is taken to be
relative to it, and only as the study writes it: a file in one folder, which is the study's own.
"""

import os
import re
from pathlib import Path

FOLDER = "encoders"
_BEGINNING = f"{{{{ fileDirname }}}}/../{FOLDER}/"


def name_of_study(file: str) -> str:
    """How configs and checkpoints in a study's folder of heads refer to an encoder in its folder of encoders.

    Args:
        file: Name of the encoder's file.
    """
    return _BEGINNING + file


def is_of_study(told: str) -> bool:
    """Whether a reference is one of :func:`name_of_study`, whatever file it names."""
    return told.startswith(_BEGINNING)


def find_of_study(told: str, checkpoint: str | os.PathLike[str]) -> Path | None:
    """The encoder that a checkpoint in a study refers to.

    Args:
        told: Its reference, one of :func:`name_of_study`.
        checkpoint: The checkpoint's file.

    Returns:
        None if it is no file in the study's folder: nothing outside of that is looked at, by whatever name or link.
    """
    name = told.removeprefix(_BEGINNING)
    if not is_of_study(told) or not re.fullmatch(r"[^/\\\0]+\.safetensors", name):
        return None
    try:
        path = Path(checkpoint).expanduser()
        if not path.is_file():  # It is on the hub, and nothing here is beside it.
            return None
        study = path.parent.resolve().parent
        found = study / FOLDER / name
        return found if found.is_file() and found.resolve().is_relative_to(study) else None
    except (OSError, ValueError, RuntimeError):  # A name that no file can have.
        return None


def readable(told: str, checkpoint: str | os.PathLike[str]) -> str:
    """A reference as a message is to show it: of a study's encoder the file, or the place that it had in the study."""
    found = find_of_study(told, checkpoint)
    return os.fspath(found) if found is not None else told.replace(_BEGINNING, f"STUDY/{FOLDER}/", 1)
