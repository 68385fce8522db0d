"""The training loops of MMEngine, made to go on after a kill as if there had been none."""

from typing import Any

from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from ..common.finite import NonFiniteError
from .diverged import explain_validation
from .non_finite_hook import NonFiniteStepHook
from .stream import seed_everything, seeded_by_position


@LOOPS.register_module(name="IterBasedTrainLoop", force=True)
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's loop, in whose place it is registered, with randomness that can begin at any iteration.

    What a sampler draws and how it is augmented depends on the seed and the position in the run
    (:mod:`internvl_seg.training.stream`); dropout and drop path on the seed, the process and the iteration. So there
    is no random state to save, and a resumed run has the losses of one that was never interrupted.

    Args:
        runner: The runner.
        dataloader: Config of the data loader.
        max_iters: How many iterations, if ``max_epochs`` is None.
        max_epochs: How many passes over the training set; ``val_begin`` and ``val_interval`` count passes then, too.
            Schedulers that count epochs have to be converted (``convert_to_iter_based=True``).
        **kwargs: Other arguments of MMEngine's ``IterBasedTrainLoop``.

    Raises:
        ValueError: Neither or both of ``max_iters`` and ``max_epochs`` are given, or a pass has no whole batch.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: dict[str, Any],
        max_iters: int | None = None,
        max_epochs: int | None = None,
        **kwargs: Any,
    ) -> None:
        if (max_iters is None) == (max_epochs is None):
            raise ValueError(f"max_iters={max_iters} and max_epochs={max_epochs}: give one of the two.")
        dataloader = seeded_by_position(dataloader, runner.seed)
        if max_epochs is not None:
            dataloader = runner.build_dataloader(dataloader, seed=runner.seed)
            epoch = len(dataloader)
            max_iters = max_epochs * epoch
            kwargs |= {name: kwargs.get(name, 1) * epoch for name in ("val_begin", "val_interval")}
        super().__init__(runner, dataloader, max_iters, **kwargs)

    def run(self) -> nn.Module:
        """Train to the last iteration and return the model."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if self._iter > 0:
            if not self.fast_forward_on_resume:
                self.dataloader_iterator.skip_iter(self._iter)
            self._validate_if_due()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            self._validate_if_due()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        model: nn.Module = self.runner.model
        return model

    def run_iter(self, data_batch: Any) -> None:
        """Train on a batch, from a random state that depends on the iteration alone."""
        seed_everything(self.runner.seed, get_rank(), self._iter)
        super().run_iter(data_batch)

    def _validate_if_due(self) -> None:
        if self._iter >= self.val_begin and (self._iter % self.val_interval == 0 or self._iter == self._max_iters):
            _validate(self)


@LOOPS.register_module(name="EpochBasedTrainLoop", force=True)
class ResumableEpochLoop(EpochBasedTrainLoop):
    """MMEngine's loop, in whose place it is registered; as :class:`ResumableTrainLoop`, from any epoch on.

    Args:
        runner: The runner.
        dataloader: Config of the data loader.
        max_epochs: How many epochs.
        **kwargs: Other arguments of MMEngine's ``EpochBasedTrainLoop``.
    """

    def __init__(self, runner: Any, dataloader: dict[str, Any], max_epochs: int, **kwargs: Any) -> None:
        super().__init__(runner, seeded_by_position(dataloader, runner.seed), max_epochs, **kwargs)

    def run(self) -> nn.Module:
        """Train to the last epoch and return the model."""
        self.runner.call_hook("before_train")
        if self._epoch > 0:
            self._validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            self._validate_if_due()
        self.runner.call_hook("after_train")
        model: nn.Module = self.runner.model
        return model

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on a batch, from a random state that depends on the iteration alone."""
        seed_everything(self.runner.seed, get_rank(), self._iter)
        super().run_iter(idx, data_batch)

    def _validate_if_due(self) -> None:
        last = self._epoch == self._max_epochs
        if self._epoch >= self.val_begin and (self._epoch % self.val_interval == 0 or last):
            _validate(self)


def _validate(loop: Any) -> None:
    """Validate unless this iteration was: a checkpoint is written before its validation, which may be killed.

    Raises:
        NonFiniteError: A prediction holds NaN or infinity, as those of weights that have diverged do.
    """
    runtime = loop.runner.message_hub.runtime_info
    if loop.runner.val_loop is not None and runtime.get("iter_validated") != loop.iter:
        loop.runner.message_hub.update_info("iter_validated", loop.iter)
        try:
            loop.runner.val_loop.run()
        except NonFiniteError as error:
            hooks = [hook for hook in loop.runner.hooks if isinstance(hook, NonFiniteStepHook)]
            left_out = "".join(hook.describe_left_out(loop.runner) for hook in hooks)
            raise explain_validation(loop.runner, error, left_out) from error
