"""Videos, frame by frame, through OpenCV's FFmpeg."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..common.library_noise import quiet_opencv
from ..data.names import readable
from ..data.writing import whole_file

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts"})
_FRAMES_PER_SECOND = 25.0
# Formats that hold their frames themselves. FFmpeg tells them by what is in the file, whatever it is called; playlists
# name other files and addresses.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf"
# How OpenCV hands options to FFmpeg.
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# They are in the environment of the whole process.
_OPENING = threading.Lock()


class VideoError(RuntimeError):
    """A video cannot be read or written."""


class VideoReader:
    """The frames of a video, RGB (H, W, 3) uint8, turned as its camera says; they can be iterated over once.

    Threads may not share it: each opens its own.

    Args:
        path: File in any format of OpenCV's FFmpeg.

    Attributes:
        path: The file.
        frames: How many there are as the file says, which may be an estimate; 0 if it does not say.
        fps: Frames per second; 25 if the file does not say.
        height: In pixels.
        width: In pixels.

    Raises:
        VideoError: It is no video, or has no frame; an MP4 cut short lacks its end, without which no frame is found.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._video = _open(self.path)
        self._first: Any
        found, self._first = self._video.read() if self._video.isOpened() else (False, None)
        if not found:
            self._video.release()
            there = "is damaged, or no video that OpenCV can read" if self.path.is_file() else "is not a file"
            raise VideoError(f"{readable(self.path)} {there}. Expected a video with at least one frame.")
        self.height, self.width = self._first.shape[:2]
        self.frames = max(int(self._video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        fps = float(self._video.get(cv2.CAP_PROP_FPS))
        self.fps = fps if math.isfinite(fps) and fps > 0 else _FRAMES_PER_SECOND

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._video.release()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Give the frames that are there, and then raise an error if the file is cut short.

        OpenCV ends at the cut as at the end of the video. What is left is the count of the file. It may be an estimate,
        and may count frames that are not meant to be shown: only when more than a tenth is missing, it is an error.

        Raises:
            VideoError: The file is cut short.
        """
        found, frame, count = True, self._first, 0
        while found:
            count += 1
            yield np.ascontiguousarray(frame[..., ::-1])
            found, frame = self._video.read()
        if self.frames - count > max(self.frames // 10, 1):
            raise VideoError(
                f"{readable(self.path)} is cut short: it has {count} frames of {self.frames}. Copy it again."
            )


def _open(path: Path) -> Any:
    """A video for OpenCV to read, from this file alone."""
    ours = f"protocol_whitelist;file|format_whitelist;{_FORMATS}"
    with _OPENING:
        options = os.environ.get(_OPTIONS)
        os.environ[_OPTIONS] = ours + (f"|{options}" if options else "")
        try:
            # As a whole path: FFmpeg takes what stands before a colon for a protocol.
            with quiet_opencv():
                return cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
        finally:
            os.environ.pop(_OPTIONS) if options is None else os.environ.update({_OPTIONS: options})


class VideoWriter:
    """An MP4 in MPEG-4 that gets its name when it is whole.

    The codec halves the resolution of colour, so that sides are even: of odd ones, the last pixels are repeated.
    Threads may not share it: one writes a file.

    Args:
        path: The file, ``.mp4``; its folder is made if need be, and a file that is there is replaced.
        fps: Frames per second.
        height: In pixels.
        width: In pixels.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float, height: int, width: int) -> None:
        self._path, self._fps, self._size = Path(path), fps, (height, width)
        self._count = 0

    def __enter__(self) -> "VideoWriter":
        height, width = self._size
        with ExitStack() as stack:
            self._temporary = stack.enter_context(whole_file(self._path))
            with quiet_opencv():
                self._video = cv2.VideoWriter(
                    os.fspath(self._temporary),
                    cv2.CAP_FFMPEG,
                    cv2.VideoWriter.fourcc(*"mp4v"),
                    self._fps,
                    (width + width % 2, height + height % 2),
                )
            if not self._video.isOpened():
                raise VideoError(
                    f"{readable(self._path)} cannot be written as a video of {width} x {height} at {self._fps:g} "
                    "frames a second."
                )
            stack.push(self._close)
            self._stack = stack.pop_all()
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Write the next frame.

        Args:
            frame: RGB, (H, W, 3).

        Raises:
            VideoError: It has another size.
        """
        # OpenCV would leave it out without a word.
        if frame.shape != (*self._size, 3):
            raise VideoError(
                f"{readable(self._path)}: frame {self._count + 1} is {frame.shape}; expected {(*self._size, 3)}."
            )
        odd = [(0, side % 2) for side in self._size]
        self._video.write(np.ascontiguousarray(np.pad(frame[..., ::-1], [*odd, (0, 0)], mode="edge")))
        self._count += 1

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        self._video.release()
        if kind is None:
            self._check()

    def _check(self) -> None:
        """OpenCV does not tell what fails on writing, as on a full disk."""
        try:
            with VideoReader(self._temporary) as written:
                found = written.frames
        except VideoError:
            found = 0
        if found != self._count or not found:
            raise VideoError(
                f"{readable(self._path)} cannot be written: {self._count} frames were given and {found} are in it. "
                "Is the disk full?"
            )
