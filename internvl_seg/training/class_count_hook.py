"""Whether a classifier has as many classes as its data."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from .config import ConfigError


class ClassCountHook(Hook):
    """Compare an image classifier's head with the data set before anything is computed.

    Raises:
        ConfigError: They have different numbers of classes.
    """

    def before_train(self, runner: Any) -> None:
        """Compare with the training set."""
        _compare(runner, "train")

    def before_test(self, runner: Any) -> None:
        """Compare with the test set."""
        _compare(runner, "test")


def _compare(runner: Any, split: str) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    wanted = getattr(getattr(model, "head", None), "num_classes", None)
    loader = runner.train_dataloader if split == "train" else runner.test_dataloader
    classes = loader.dataset.metainfo.get("classes")
    if wanted is not None and classes is not None and wanted != len(classes):
        raise ConfigError(
            f"{runner.cfg.filename}: model.head.num_classes = {wanted}, but {split}_dataloader.dataset has "
            f"{len(classes)} classes. Set --cfg-options model.head.num_classes={len(classes)}."
        )
