"""Masks as they are stored, of whatever bits."""

from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations as MMSegLoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from ..common.library_noise import quiet_opencv
from .confusion import IGNORED
from .folder_errors import CONVERTER, PAGE
from .mask_files import LabelError, MaskFormatError, decode_mask

__all__ = ["ColouredMaskError", "LabelError", "LoadAnnotations", "MaskFormatError", "as_ids", "read_mask"]
_MOST_CHANNELS = 4


class ColouredMaskError(LabelError):
    """A mask has several channels that differ: colours, not ids."""


def as_ids(mask: NDArray[Any], path: str) -> NDArray[Any]:
    """A mask as class ids, with its values kept.

    Args:
        mask: What a file holds, (H, W) or with more channels, of any dtype. Channels are equal, as image editors save
            grey pictures; a last one of two or four may be the same everywhere in their place.
        path: The file, for errors.

    Returns:
        Ids: uint8 if they are from 0 to 255, else uint16, else int32. -1 becomes 255, as in MMSegmentation.

    Raises:
        ColouredMaskError: Its channels differ.
        LabelError: Values are no whole numbers, or do not fit into 32 bits.
    """
    if mask.ndim > 2:
        mask = _one_channel(mask, path)
    if mask.dtype in (np.uint8, np.bool_):
        return mask.astype(np.uint8)
    if mask.dtype.kind == "f" and (broken := mask[mask != np.rint(mask)]).size:
        raise LabelError(f"{path} holds {broken[0]}: a mask has class ids, which are whole numbers. Make it anew.")
    ids = np.where(mask == -1, IGNORED, mask)
    low, high = ids.min(initial=0), ids.max(initial=0)
    for dtype in (np.uint8, np.uint16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return ids.astype(dtype)
    raise LabelError(f"{path} holds {high if high > 0 else low}: class ids have up to 32 bits. Make it anew.")


def _one_channel(mask: NDArray[Any], path: str) -> NDArray[Any]:
    channels = mask.shape[-1]
    first = mask[..., 0]
    # Grey with opacity, and red, green, blue with opacity.
    colours = mask[..., 1 : channels - 1 if channels in (2, 4) else channels]
    differs = (colours != first[..., None]).any(-1)
    if channels > _MOST_CHANNELS or mask.ndim != 3 or differs.any():
        at = np.unravel_index(int(differs.argmax()), differs.shape)
        values = ", ".join(map(str, mask[at][:_MOST_CHANNELS].tolist()))
        raise ColouredMaskError(
            f"{path} has {channels} channels that differ, such as {values} in row {at[0]}, column {at[1]}: colours, or "
            f"bands, where one class id for every pixel is expected. {CONVERTER} turns colours into ids ({PAGE})."
        )
    if channels in (2, 4) and (mask[..., -1] != mask[0, 0, -1]).any() and (mask[..., -1] != first).any():
        raise LabelError(
            f"{path} has {channels} channels, of which the last says how transparent pixels are, and some are "
            f"more than others: are these without a label? Save ids in one channel, with {IGNORED} where there is none "
            f"({PAGE})."
        )
    return first


def read_mask(path: str, backend_args: dict[str, Any] | None = None) -> NDArray[Any]:
    """Read a mask as training, testing and the preflight do.

    Args:
        path: The file.
        backend_args: Those of MMEngine's file backend.

    Returns:
        Ids, as :func:`as_ids` gives them.

    Raises:
        LabelError: It holds no ids, or its format does not keep them.
        OSError: It cannot be read, or not to its end.
    """
    return as_ids(decode_mask(fileio.get(path, backend_args=backend_args), path), path)


# Where a config names MMSegmentation's transform, this one reads.
@TRANSFORMS.register_module(name="LoadAnnotations", force=True)
class LoadAnnotations(MMSegLoadAnnotations):
    """MMSegmentation's transform of this name, but that masks of all bits and equal channels keep their ids.

    MMSegmentation takes the lowest 8 bits, so that id 256 counts as class 0, and of masks with 2 or 4 bits values that
    are stretched to 8. Threads may share it.

    Args:
        *args: Those of mmseg's ``LoadAnnotations``.
        **kwargs: Those of mmseg's ``LoadAnnotations``.
    """

    reduce_zero_label: bool | None

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        """Add ``gt_seg_map``, (H, W) uint8, or of a dtype that holds higher ids.

        Raises:
            LabelError: The mask holds no ids.
        """
        path = results["seg_map_path"]
        if self.imdecode_backend == "pillow":
            ids = read_mask(path, self.backend_args)
        else:
            content = fileio.get(path, backend_args=self.backend_args)
            with quiet_opencv():
                decoded = mmcv.imfrombytes(content, flag="unchanged", backend=self.imdecode_backend)
            ids = as_ids(decoded, path)
        if self.reduce_zero_label is None:
            self.reduce_zero_label = results["reduce_zero_label"]
        if self.reduce_zero_label != results["reduce_zero_label"]:
            raise ValueError(
                f"LoadAnnotations has reduce_zero_label={self.reduce_zero_label}, but the data set "
                f"{results['reduce_zero_label']}. Set it in the data set alone."
            )
        if self.reduce_zero_label:
            ids = np.where((ids == 0) | (ids == IGNORED), IGNORED, ids - 1).astype(ids.dtype)
        stored = ids.copy()
        for old, new in (results.get("label_map") or {}).items():
            ids[stored == old] = new
        results["gt_seg_map"] = ids
        results["seg_fields"].append("gt_seg_map")
