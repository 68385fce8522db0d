"""What a user reads when the sample set cannot be made or one's own folder is incomplete."""

from pathlib import Path

import pytest

from internvl_seg.data.folder import FolderError, find_pairs
from internvl_seg.data.sample_set import SampleSetError, make_sample_set

from ..error_table import DocumentedError


def test_the_wheel_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with documented_error("the demo's sample images cannot be had", SampleSetError):
        make_sample_set(tmp_path / "set")


def test_the_folder_holds_something_else(tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "set").mkdir()
    with documented_error("the folder of the demo's images holds something else", SampleSetError):
        make_sample_set(tmp_path / "set")


def test_an_image_has_no_mask(tmp_path: Path, documented_error: DocumentedError) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).touch()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").touch()
    with documented_error("an image of one's own folder has no mask", FolderError):
        find_pairs(tmp_path / "images", tmp_path / "masks")
