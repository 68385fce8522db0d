"""Pictures of what a model predicts, while it is tested."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..data.names import SUFFIX, names_of_images
from ..data.writing import whole_file
from .overlay import draw_panel


@HOOKS.register_module()
class OverlayHook(Hook):
    """Writes image, ground truth and prediction of every test image as ``<name of the image>.png``.

    Where images of several folders or formats have one name, theirs are longer:
    :func:`internvl_seg.data.names.output_names`.

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
        for sample in outputs or ():
            name = self._names[sample.img_path]
            image = mmcv.imread(sample.img_path, channel_order="rgb")
            prediction = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()
            truth = sample.gt_sem_seg.data.squeeze(0).cpu().numpy() if "gt_sem_seg" in sample else None
            figure = draw_panel(image, truth, prediction, meta["classes"], meta["palette"], name)
            with whole_file(self._folder / (name + SUFFIX)) as file:
                figure.savefig(file, format="png")
