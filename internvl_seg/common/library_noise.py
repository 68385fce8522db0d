"""What libraries say that a user can do nothing about: left out when they are imported, and in the log of a run."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import cv2

# Printed, warned and logged; each is the beginning of a line. The modules that some miss are not used here.
_PRINTED = "Could not import OneDL"
_WARNED = "Fail to import ``MultiScaleDeformableAttention``"
_LOGGED = ('"FileClient" will be', '"HardDiskBackend" is the alias', "The prefix is not set in metric class")
# A line for each weight, which a file may hold.
_LONG = "paramwise_options"


@contextmanager
def importing_quietly() -> Iterator[None]:
    """Within this, libraries are imported; of what they print, all but that noise is printed at its end.

    OpenCV's warnings are left out from here on, unless ``OPENCV_LOG_LEVEL`` is set: there are
    four whenever a GeoTIFF is read, one for each tag that says where it lies.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    warnings.filterwarnings("ignore", message=_WARNED)
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        sys.stdout.writelines(line for line in printed.getvalue().splitlines(True) if not line.startswith(_PRINTED))


def leave_noise_out(logger: logging.Logger) -> None:
    """Have a logger leave it out; what is only long is left out on a terminal, and stays in files."""
    logger.addFilter(lambda record: not record.getMessage().startswith(_LOGGED))
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: not record.getMessage().startswith(_LONG))
