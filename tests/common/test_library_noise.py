"""What libraries say that nobody can act on is left out, and nothing else."""

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from internvl_seg.common.library_noise import importing_quietly, leave_noise_out, quiet_opencv
from internvl_seg.data.band_pictures import read_drawn
from internvl_seg.data.images import LoadImageFromFile
from internvl_seg.data.masks import LoadAnnotations

from ..rasters import write_raster


def test_what_is_printed_at_an_import(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with importing_quietly():
            print("Could not import OneDL")
            print("Another line")
            for text in ("Fail to import ``MultiScaleDeformableAttention`` from somewhere", "Another warning"):
                warnings.warn(text, stacklevel=1)
    assert capsys.readouterr().out == "Another line\n"
    assert [str(warning.message) for warning in told] == ["Another warning"]


def test_what_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("run")
    logger.addHandler(logging.FileHandler(tmp_path / "log"))
    logger.addHandler(logging.StreamHandler())
    leave_noise_out(logger)
    for line in ("The prefix is not set in metric class Mean.", "paramwise_options -- weight:lr=1", "Iteration 1"):
        logger.warning(line)
    assert capsys.readouterr().err == "Iteration 1\n"
    assert (tmp_path / "log").read_text() == "paramwise_options -- weight:lr=1\nIteration 1\n"


def test_importing_changes_nothing_for_others_in_the_process() -> None:
    program = """
import sys, warnings, cv2
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_DEBUG)
import internvl_seg
assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_DEBUG
assert not [one for one in warnings.filters if one[1] and one[1].match("Fail to import ``MultiScale")]
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_LOG_LEVEL"}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.fixture
def warning_opencv(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenCV as it is in a process that has said nothing of its log."""
    monkeypatch.delenv("OPENCV_LOG_LEVEL", raising=False)
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
    yield
    cv2.utils.logging.setLogLevel(before)


@pytest.mark.usefixtures("warning_opencv")
def test_a_geotiff_is_read_without_a_line_for_each_of_its_tags(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(write_raster(tmp_path / "site.tif", np.zeros((8, 8, 3), np.uint8), crs="EPSG:32633"))
    ids = str(write_raster(tmp_path / "ids.tif", np.zeros((8, 8, 1), np.uint16), crs="EPSG:32633"))
    readers: list[Callable[[], object]] = [
        lambda: LoadImageFromFile()({"img_path": path}),
        lambda: LoadAnnotations(imdecode_backend="cv2")(
            {"seg_map_path": ids, "seg_fields": [], "reduce_zero_label": False}
        ),
        lambda: read_drawn(path),
    ]
    for read in readers:
        assert read() is not None
        assert capfd.readouterr().err == ""
    assert cv2.imread(path) is not None
    assert "Unknown field" in capfd.readouterr().err  # What others read is as before.
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "WARNING")
    for read in readers:
        assert read() is not None
        assert "Unknown field" in capfd.readouterr().err


@pytest.mark.usefixtures("warning_opencv")
def test_the_last_of_several_threads_puts_the_log_level_back() -> None:
    get = cv2.utils.logging.getLogLevel
    first, second = quiet_opencv(), quiet_opencv(errors=False)
    first.__enter__()
    assert get() == cv2.utils.logging.LOG_LEVEL_ERROR
    second.__enter__()
    assert get() == cv2.utils.logging.LOG_LEVEL_SILENT
    first.__exit__(None, None, None)
    assert get() == cv2.utils.logging.LOG_LEVEL_SILENT
    second.__exit__(None, None, None)
    assert get() == cv2.utils.logging.LOG_LEVEL_WARNING

    def decode(_: int) -> None:
        with quiet_opencv():
            assert get() <= cv2.utils.logging.LOG_LEVEL_ERROR

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, range(2000)))
    assert get() == cv2.utils.logging.LOG_LEVEL_WARNING
