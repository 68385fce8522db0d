"""What a config alone does not tell: how many iterations an epoch has, and how large its last batch is."""

from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook

from .batch_norm import of_one_value
from .check import report
from .contradiction import Contradiction, option
from .schedule import check_schedules


class RunHook(Hook):
    """Compare a training's schedules and batches with the size of the training set before anything is computed.

    Raises:
        ConfigError: They contradict each other.
    """

    def before_train(self, runner: Any) -> None:
        """Compare them."""
        loader = runner.train_dataloader
        found = list(check_schedules(runner.cfg, len(loader)))
        batches: Any = loader.batch_sampler
        endless = type(getattr(batches, "sampler", None)).__name__ in ("InfiniteSampler", "StreamSampler")
        size = getattr(batches, "batch_size", None)
        if (
            size
            and not endless
            and not batches.drop_last
            and len(batches.sampler) % size == 1
            and get_world_size() == 1
        ):
            where = of_one_value(runner.cfg)
            if where:
                found.append(
                    Contradiction(
                        "train_dataloader.drop_last",
                        f"= False leaves a last batch of 1 of {len(batches.sampler)} images, but {where}: statistics "
                        "of one value do not exist.",
                        f"Set {option('train_dataloader.drop_last', True)}.",
                    )
                )
        report(runner.cfg, found, quiet=not is_main_process())
