"""The file that names a run's last checkpoint, whoever has written what into it."""

from pathlib import Path

import pytest

from internvl_seg.checkpoints.errors import CheckpointNotFoundError
from internvl_seg.training.last_checkpoint import find_last_checkpoint

from ..error_table import DocumentedError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A work folder with two files that are named like checkpoints, and a folder that is."""
    for name in ("iter_2.pth", "iter_4.pth"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "iter_6.pth").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        b"iter_2.pth",
        b"iter_2.pth\r\n",
        b"/gone/iter_2.pth",
        b"C:\\runs\\one\\iter_2.pth",
        b"\xef\xbb\xbfiter_2.pth",  # As editors of Windows write it.
    ],
)
def test_the_name_is_found(run: Path, text: bytes) -> None:
    (run / "last_checkpoint").write_bytes(text)
    assert find_last_checkpoint(run) == run / "iter_2.pth"


@pytest.mark.parametrize("text", [b"", b" \n", b"."])
def test_without_a_name_it_is_the_newest_file(run: Path, text: bytes) -> None:
    (run / "last_checkpoint").write_bytes(text)
    assert find_last_checkpoint(run) == run / "iter_4.pth"


@pytest.mark.parametrize(
    "text",
    [
        b"x" * 5000,
        b"/".join([b"x" * 300] * 20),
        b"iter_2.pth\niter_4.pth",
        b"a\0b.pth",
        b"\xff\xfe\0\x1b[2J",
        b"iter_6.pth",
    ],
)
def test_any_other_text_is_told_shortly(run: Path, text: bytes) -> None:
    (run / "last_checkpoint").write_bytes(text)
    with pytest.raises(CheckpointNotFoundError) as caught:
        find_last_checkpoint(run)
    message = str(caught.value)
    assert f"{run / 'last_checkpoint'} names " in message
    assert message.isprintable()
    assert len(message) < 700


def test_a_name_that_is_too_long(run: Path, documented_error: DocumentedError) -> None:
    (run / "last_checkpoint").write_text("x" * 5000)
    with documented_error("last_checkpoint holds no name of a file", CheckpointNotFoundError):
        find_last_checkpoint(run)
