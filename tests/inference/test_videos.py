"""Videos, frame by frame."""

import resource
from pathlib import Path

import cv2
import numpy as np
import pytest

from internvl_seg.inference.videos import VIDEO_SUFFIXES, VideoError, VideoReader, VideoWriter

COLOURS = [(200, 30, 40), (20, 180, 60), (40, 50, 220)]


def write_video(path: Path, size: tuple[int, int] = (48, 64), fps: float = 10) -> Path:
    with VideoWriter(path, fps, *size) as video:
        for colour in COLOURS:
            video.write(np.full((*size, 3), colour, np.uint8))
    return path


@pytest.mark.parametrize("fps", [10, 30000 / 1001, 0.5])
def test_frames_come_back_in_their_colours(fps: float, tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "deep/a.mp4", fps=fps)) as video:
        assert (video.frames, video.height, video.width) == (3, 48, 64)
        assert abs(video.fps - fps) < 0.001
        frames = list(video)
    assert len(frames) == 3
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert abs(frame.mean((0, 1)) - colour).max() < 8
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("size", [(47, 63), (33, 16), (1, 1)])
def test_of_odd_sizes_no_pixel_is_lost(size: tuple[int, int], tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", size)) as video:
        frames = list(video)
        assert (video.height, video.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert abs(frame[-1, -1].astype(int) - colour).max() < 12


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name, message in (("text", "is damaged, or no video"), ("cut", "is damaged, or no"), ("none", "is not a file")):
        with pytest.raises(VideoError, match=rf"{name}\.mp4 {message}"):
            VideoReader(tmp_path / f"{name}.mp4")


@pytest.mark.parametrize(("share", "told"), [(0.3, True), (0.8, True), (0.97, False), (1, False)])
def test_a_video_cut_short_gives_what_is_there_and_then_an_error(share: float, told: bool, tmp_path: Path) -> None:
    # An AVI, which says at its beginning how many frames follow.
    path = tmp_path / "a.avi"
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(40):
        video.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    video.release()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    frames = []

    def read() -> None:
        with VideoReader(path) as reader:
            assert reader.frames == 40
            frames.extend(reader)

    if told:
        with pytest.raises(VideoError, match=r"a\.avi is cut short: it has \d+ frames of 40"):
            read()
    else:
        read()
    assert abs(len(frames) - 40 * share) < 6


def test_suffixes_are_compared_in_lower_case() -> None:
    assert {".mp4", ".avi"} < VIDEO_SUFFIXES == {suffix.lower() for suffix in VIDEO_SUFFIXES}


def test_a_run_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with VideoWriter(tmp_path / "a.mp4", 10, 48, 64) as video:
            video.write(np.zeros((48, 64, 3), np.uint8))
            assert not (tmp_path / "a.mp4").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_are_told(tmp_path: Path) -> None:
    def write() -> None:
        with VideoWriter(tmp_path / "a.mp4", 10, 48, 64) as video:
            video.write(np.zeros((48, 64, 3), np.uint8))
            video.write(np.zeros((64, 48, 3), np.uint8))

    with pytest.raises(VideoError, match=r"a\.mp4: frame 2 is \(64, 48, 3\); expected \(48, 64, 3\)"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    size = write_video(tmp_path / "a.mp4").stat().st_size
    (tmp_path / "a.mp4").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        with pytest.raises(VideoError, match=r"a\.mp4 cannot be written: 3 frames were given and 0 are in it"):
            write_video(tmp_path / "a.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, 1e6])
def test_what_cannot_be_written_is_told(fps: float, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"a\.mp4 cannot be written as a video of 64 x 48 at (0|1e\+06) frames"):
        write_video(tmp_path / "a.mp4", fps=fps)
    assert list(tmp_path.iterdir()) == []
