"""What an error means: for one file, or for the whole run."""

import gc
from pathlib import Path

import cv2
import torch

from ..data.folder_lock import FolderInUseError
from ..data.names import readable
from ..data.own_words import OwnWordsError
from ..data.writing import FULL, whole_file
from .pictures import PictureError
from .rasters import RasterError
from .run_folder import ResultsError
from .videos import VideoError

_ROOM = 1 << 20
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "insufficient memory")


def reason(error: Exception, file: Path, folder: Path) -> str:
    """Why a file could not be done, so that the run goes on without it.

    Args:
        error: What was raised while it was read, segmented, drawn or written.
        file: The file.
        folder: Where results are written.

    Raises:
        ResultsError: Nothing more can be written there.
        Exception: The error itself, if it concerns every other file: that the accelerator fails, or that the folder is
            another run's.
    """
    if isinstance(error, (FolderInUseError, ResultsError, torch.AcceleratorError)) and not is_out_of_memory(error):
        raise error
    if isinstance(error, OSError) and error.errno in FULL:
        raise _full(folder, error) from error
    if isinstance(error, (RasterError, VideoError)) and "cannot be written" in str(error):
        try:  # GDAL and FFmpeg do not say why.
            with whole_file(folder / ".room") as room:
                room.write_bytes(bytes(_ROOM))
            (folder / ".room").unlink()
        except OSError as full:
            raise _full(folder, full) from error
    if is_out_of_memory(error):
        return f"{readable(file)} does not fit into memory, with one window at a time, either."
    if isinstance(error, (PictureError, RasterError, VideoError, OwnWordsError)):
        return readable(str(error))
    # Libraries say so much and in so many lines as they like.
    said = readable(" ".join(str(error).split()))[:500]
    return f"{readable(file)} cannot be done: {type(error).__name__}: {said}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether some library could not get memory, on the CPU or an accelerator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, (RuntimeError, cv2.error)) and any(words in str(error).lower() for words in _NO_MEMORY)


def give_memory_back() -> None:
    """Give back what is kept for later computations."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _full(folder: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"{readable(folder)} cannot be written to any more: {error.strerror}. What is done stays: make room and go on "
        "with --resume."
    )
