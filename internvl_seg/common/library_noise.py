"""What libraries say that a user can do nothing about: left out at imports, of decoders and in the log of a run."""

import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

import cv2

# Printed, warned and logged; each is the beginning of a line. The modules that some miss are not used here.
_PRINTED = "Could not import OneDL"
_WARNED = "Fail to import ``MultiScaleDeformableAttention``"
_LOGGED = ('"FileClient" will be', '"HardDiskBackend" is the alias', "The prefix is not set in metric class")
# A line for each weight, which a file may hold.
_LONG = "paramwise_options"

# OpenCV's log level is one for the whole process. Threads that decode at once would put back what another one had set,
# so that the last to leave puts back what the first had found; a process that is forked meanwhile gets a free lock.
_opencv: Any = cv2.utils.logging
_CHANGING = threading.Lock()
_wanted: list[int] = []
_before = 0
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_CHANGING.acquire, after_in_parent=_CHANGING.release, after_in_child=_CHANGING.release)


@contextmanager
def importing_quietly() -> Iterator[None]:
    """Within this, libraries are imported; of what they print, all but that noise is printed at its end.

    What others in the process see and set stays as it is: the filter of warnings is taken out again.
    """
    warnings.filterwarnings("ignore", message=_WARNED)
    filters: Any = warnings.filters
    ours = filters[0]
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        with suppress(ValueError):  # A library may have reset them all.
            filters.remove(ours)
        sys.stdout.writelines(line for line in printed.getvalue().splitlines(True) if not line.startswith(_PRINTED))


@contextmanager
def quiet_opencv(*, errors: bool = True) -> Iterator[None]:
    """Within this context OpenCV prints no warnings; with ``OPENCV_LOG_LEVEL`` set it prints what that asks for.

    There are four warnings whenever a GeoTIFF is read, one for each tag that says where it lies. This stands around
    each call that decodes, and not once at the import: the log level is also that of programs that import this package.

    Args:
        errors: Whether errors are printed. The preflight, which tells itself what is wrong with a file, wants none.
    """
    global _before
    if "OPENCV_LOG_LEVEL" in os.environ:
        yield
        return
    level = _opencv.LOG_LEVEL_ERROR if errors else _opencv.LOG_LEVEL_SILENT
    with _CHANGING:
        if not _wanted:
            _before = _opencv.getLogLevel()
        _wanted.append(level)
        _opencv.setLogLevel(min(_before, *_wanted))
    try:
        yield
    finally:
        with _CHANGING:
            _wanted.remove(level)
            _opencv.setLogLevel(min([_before, *_wanted]))


def leave_noise_out(logger: logging.Logger) -> None:
    """Have a logger leave it out; what is only long is left out on a terminal, and stays in files."""
    logger.addFilter(lambda record: not record.getMessage().startswith(_LOGGED))
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: not record.getMessage().startswith(_LONG))
