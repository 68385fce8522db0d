"""Images as they are stored, of any bands and bits, or an error: never a silent cast."""

import contextlib
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile as MMCVLoadImageFromFile
from mmengine import fileio
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from ..common.library_noise import quiet_opencv
from .bands import BandReader, ImageError, describe, is_rgb, opened
from .names import readable

# How files begin that hold 8 bits a channel, whatever else they say, as far as OpenCV decodes them.
_OF_8_BITS = (b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
_PNG = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH = 24
_ADVICE = (
    "Set bands=[...] of LoadImageFromFile to the numbers of those that the model shall see, model.backbone.in_chans to "
    "how many they are, and model.data_preprocessor's mean and std to what tools/measure_bands.py gives."
)


# Where a config names mmcv's transform, this one reads.
@TRANSFORMS.register_module(name="LoadImageFromFile", force=True)
class LoadImageFromFile(MMCVLoadImageFromFile):
    """mmcv's transform of this name, that reads chosen bands of any bits, too, and refuses what would be cast.

    Without ``bands`` it gives what mmcv's gives of pictures of 8 bits: grey, RGB, or with transparency. mmcv's takes
    the highest 8 bits of 16 and leaves bands out, both without a word; that is an error here. Threads may share it.

    Args:
        bands: Numbers of bands, from 1 up, in the order in which the model sees them: the image is (H, W, bands)
            float32 with the file's values. None for pictures as mmcv reads them.
        no_data: With ``bands``, what pixels become that the file says hold no data, or that are not finite; an error
            if None.
        **kwargs: Those of mmcv's ``LoadImageFromFile``.

    Raises:
        ValueError: ``bands`` or ``no_data`` cannot be, or other arguments contradict them.
    """

    def __init__(self, bands: Any = None, no_data: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = BandReader.read_step({"bands": bands, "no_data": no_data})
        if bands is None and no_data is not None:
            raise ValueError(f"no_data={no_data!r} of LoadImageFromFile goes with bands=[...], which is not set.")
        if told := [name for name in ("color_type", "imdecode_backend") if bands is not None and name in kwargs]:
            raise ValueError(f"bands={bands!r} of LoadImageFromFile decides what is read: leave {told[0]} out.")

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add ``img``, ``img_shape`` and ``ori_shape``.

        Args:
            results: With ``img_path``.

        Raises:
            ImageError: The file cannot be read as the config says.
            AssertionError: It is damaged, or no picture.
        """
        path = results["img_path"]
        try:
            if self.reader is not None:
                image: NDArray[Any] = self.reader.read_file(path, self.backend_args).values
            else:
                image = self._decode(path)
        except (ImageError, OSError, AssertionError):
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            image = image.astype(np.float32)
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results

    def _decode(self, path: str) -> NDArray[Any]:
        if self.file_client_args is not None:
            content = fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        else:
            content = fileio.get(path, backend_args=self.backend_args)
        image: NDArray[Any] | None
        try:
            with quiet_opencv():
                image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        except Exception as error:  # Decoders raise what they like.
            if self.imdecode_backend == "cv2" and not _is_plain(content):
                _check(path, bytes(content), None)
            why = str(error).strip() or type(error).__name__
            raise ImageError(f"{readable(path)} cannot be decoded: {why}") from error
        if self.imdecode_backend != "tifffile" and not _is_plain(content):
            _check(path, bytes(content), image)
        if image is None:
            raise AssertionError(f"failed to load image: {path}")  # As mmcv has it.
        return image

    def __repr__(self) -> str:
        told: str = super().__repr__()
        return (
            told if self.reader is None else f"{told[:-1]}, bands={self.reader.bands}, no_data={self.reader.no_data})"
        )


def _is_plain(content: bytes) -> bool:
    """Whether a file's first bytes say that it is a picture of up to 8 bits a channel and up to 4 channels."""
    head = bytes(content[: _BIT_DEPTH + 1])
    if head.startswith(_PNG):
        return len(head) > _BIT_DEPTH and head[_BIT_DEPTH] <= 8
    return head.startswith(_OF_8_BITS)


def _check(path: str, content: bytes, image: NDArray[Any] | None) -> None:
    """Compare a decoded image with what its file holds.

    Raises:
        ImageError: Bits or bands of it were left out, or it could not be decoded because it has other ones.
    """
    whole = None if image is None else (1 if image.ndim == 2 else image.shape[-1], {str(image.dtype)})
    try:
        with opened(path, content=content) as data:
            if is_rgb(data) or whole == (data.count, set(data.dtypes)):
                return
            told = describe(data)
    except ImageError:  # Of no kind that GDAL reads.
        stored = _stored(content)
        if stored is None or stored.dtype == np.uint8 or (image is not None and image.dtype == stored.dtype):
            return
        told = f"{8 * stored.dtype.itemsize} bits ({stored.dtype})"
    raise ImageError(
        f"{readable(path)} has {told}; without bands=[...] LoadImageFromFile reads pictures of 8 bits: grey, RGB, or "
        f"these with transparency. {_ADVICE}"
    )


def _stored(content: bytes) -> NDArray[Any] | None:
    """What OpenCV makes of a file that GDAL does not read; None if it does not either."""
    with contextlib.suppress(Exception), quiet_opencv():  # Decoders raise what they like.
        found: NDArray[Any] | None = mmcv.imfrombytes(content, flag="unchanged", backend="cv2")
        return found
    return None
