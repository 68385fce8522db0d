"""What libraries say that nobody can act on is left out, and nothing else."""

import logging
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from internvl_seg.common.library_noise import importing_quietly, leave_noise_out

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


def test_a_geotiff_is_read_without_a_line_for_each_of_its_tags(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster(tmp_path / "site.tif", np.zeros((8, 8, 3), np.uint8), crs="EPSG:32633")
    before = cv2.utils.logging.getLogLevel()
    try:
        for level, is_quiet in (("WARNING", False), (None, True)):
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
            if level is None:
                monkeypatch.delenv("OPENCV_LOG_LEVEL", raising=False)
            else:
                monkeypatch.setenv("OPENCV_LOG_LEVEL", level)
            with importing_quietly():
                pass
            assert cv2.imread(str(path)) is not None
            assert ("Unknown field" not in capfd.readouterr().err) == is_quiet
    finally:
        cv2.utils.logging.setLogLevel(before)
