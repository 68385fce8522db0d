"""Pictures in any form become RGB arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from internvl_seg.inference.pictures import PictureError, as_rgb, read_picture

from ..error_table import DocumentedError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_every_form_gives_the_same_array(path: Path) -> None:
    tensor = torch.from_numpy(RGB.copy()).permute(2, 0, 1)
    forms = [path, str(path), Image.open(path), RGB, tensor, RGB / 255, tensor.float() / 255, tensor.double() / 255]
    for form in forms:
        np.testing.assert_allclose(as_rgb(form), RGB, rtol=1e-5)
    assert as_rgb(RGB).dtype == np.uint8
    assert as_rgb(tensor.double() / 255).dtype == np.float32


def test_grey_and_palettes_and_transparency_become_rgb() -> None:
    grey = RGB[..., 0]
    for form in (grey, Image.fromarray(grey)):
        assert (as_rgb(form) == grey[..., None]).all()
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.putdata([1, 0])
    assert as_rgb(picture).tolist() == [[[10, 20, 30], [0, 0, 0]]]
    assert as_rgb(Image.new("RGBA", (1, 1), (1, 2, 3, 0))).tolist() == [[[1, 2, 3]]]


def test_it_is_turned_as_the_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees.
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert (read_picture(tmp_path / "a.png") == np.rot90(RGB, -1)).all()


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (torch.zeros(5, 7, 3), r"RGB, \(3, H, W\); this one is \(5, 7, 3\)"),
        (np.zeros((5, 7, 4), np.uint8), r"RGB, \(H, W, 3\), or grey, \(H, W\); this one is \(5, 7, 4\)"),
        (np.zeros((5, 7, 3), np.int64), "uint8, or floating point from 0 to 1; this one is int64"),
        (np.full((5, 7, 3), 255.0), "runs from 0 to 1; this one from 255 to 255"),
        (np.full((5, 7, 3), np.nan), "runs from 0 to 1"),
        (torch.randn(3, 5, 7) - 9, "Do not normalise it"),
        (np.zeros((0, 7, 3), np.uint8), "at least one pixel"),
        (Image.new("I;16", (2, 2)), "8 bits a channel; this one has 16, mode 'I;16'"),
        (3, "this is 'int'"),
    ],
)
def test_what_is_no_picture_is_told(picture: Any, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        as_rgb(picture)


def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    (tmp_path / "text.png").write_text("no picture")
    Image.new("I;16", (2, 2)).save(tmp_path / "deep.png")
    for name, case in (
        ("cut.jpg", "a picture to segment is cut short"),
        ("text.png", "a picture to segment is something else"),
        ("deep.png", "a picture to segment has more than 8 bits a channel"),
        ("none.png", "a picture to segment is not there"),
    ):
        with documented_error(case, PictureError):
            read_picture(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with documented_error("a picture is too large to be read at once", PictureError):
        read_picture(path)
