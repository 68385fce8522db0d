"""Masks as they are stored, of whatever bits."""

from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations as MMSegLoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from .confusion import IGNORED
from .own_words import OwnWordsError


class LabelError(OwnWordsError):
    """A mask holds no class ids, or cannot be compared with the prediction for its image; the message names it."""


def as_ids(mask: NDArray[Any], path: str) -> NDArray[Any]:
    """A mask as class ids, with its values kept.

    Args:
        mask: What a file holds, (H, W) or with more channels, of any dtype.
        path: The file, for errors.

    Returns:
        Ids: uint8 if they are from 0 to 255, else uint16, else int32. -1 becomes 255, as in MMSegmentation.

    Raises:
        LabelError: Values are no whole numbers, or do not fit into 32 bits.
    """
    if mask.ndim == 3 and mask.shape[-1] == 1:
        mask = mask[..., 0]
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


# Where a config names MMSegmentation's transform, this one reads.
@TRANSFORMS.register_module(name="LoadAnnotations", force=True)
class LoadAnnotations(MMSegLoadAnnotations):
    """MMSegmentation's transform of this name, but that masks of more than 8 bits keep their ids.

    MMSegmentation takes the lowest 8 bits, so that id 256 counts as class 0. Threads may share it.

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
        content = fileio.get(path, backend_args=self.backend_args)
        ids = as_ids(mmcv.imfrombytes(content, flag="unchanged", backend=self.imdecode_backend), path)
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
