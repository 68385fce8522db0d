"""Pictures of what a model predicts, while it is tested."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from numpy.typing import NDArray
from torch import Tensor

from ..data.band_pictures import read_drawn, reader_of
from ..data.names import SUFFIX, names_of_images
from ..data.writing import write_encoded
from .overlay import draw_panel


@HOOKS.register_module()
class OverlayHook(Hook):
    """Writes image, ground truth and prediction of every test image as ``<name of the image>.png``.

    Where images of several folders or formats have one name, theirs are longer:
    :func:`internvl_seg.data.names.output_names`. Labels that are ignored in scoring, or are no class, are not painted.

    Of bands other than RGB three are drawn (:func:`internvl_seg.data.band_pictures.draw_bands`).

    Args:
        out_dir: Folder for the pictures; made if need be.
    """

    def __init__(self, out_dir: str) -> None:
        self._folder = Path(out_dir)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._names: dict[str, str] = {}

    def before_test_epoch(self, runner: Any) -> None:
        """Name the pictures."""
        self._names = names_of_images(runner.test_dataloader.dataset)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the images of a batch."""
        meta = runner.test_dataloader.dataset.metainfo
        evaluator = getattr(runner, "test_evaluator", None)
        ignored = {
            metric.ignore_index for metric in getattr(evaluator, "metrics", ()) if hasattr(metric, "ignore_index")
        }
        reader = reader_of(runner.test_dataloader.dataset)
        for sample in outputs or ():
            name = self._names[sample.img_path]
            image = read_drawn(sample.img_path, reader)
            prediction = _painted(sample.pred_sem_seg.data, len(meta["classes"]))
            truth = _painted(sample.gt_sem_seg.data, len(meta["classes"]), ignored) if "gt_sem_seg" in sample else None
            figure = draw_panel(image, truth, prediction, meta["classes"], meta["palette"], name)
            write_encoded(self._folder / (name + SUFFIX), partial(figure.savefig, format="png"))


def _painted(ids: Tensor, num_classes: int, ignored: Collection[int] = ()) -> NDArray[np.int64]:
    """Ids (1, H, W) or (H, W), of any dtype, as (H, W) with -1 for what is ignored or no class."""
    found: NDArray[np.int64] = ids.reshape(ids.shape[-2:]).to(torch.int64).cpu().numpy()
    unpainted = (found < 0) | (found >= num_classes) | np.isin(found, list(ignored))
    return np.where(unpainted, np.int64(-1), found)
