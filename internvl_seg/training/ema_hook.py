"""A moving average of what is trained, and of nothing else."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import Tensor, nn

from .sharding import is_sharded

# Weights as they are trained, in a checkpoint whose ``state_dict`` has their average.
TRAINED = "trained_state_dict"


@HOOKS.register_module()
class TrainedEMAHook(Hook):
    """Average the trained weights over the iterations; validate and save the average.

    MMEngine's ``EMAHook`` copies the whole model and averages all of it, of a frozen 6B encoder too. Here a frozen
    encoder costs nothing. In a checkpoint the average stands in ``state_dict``, as with MMEngine's.

    Args:
        decay: Weight of the average so far, in every iteration (``EMA.DECAY`` of the official code).

    Raises:
        ValueError: The decay is not from 0 to 1, or the model is sharded.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} is the weight of the average so far: from 0 to below 1.")
        self.decay = decay
        self._names: list[str] = []
        self._average: dict[str, Tensor] = {}

    def before_train(self, runner: Any) -> None:
        """Begin with the weights as they are, unless a resumed run has an average."""
        if is_sharded(runner.model):
            raise ValueError("TrainedEMAHook averages whole weights: leave it out, or model_wrapper_cfg='FullyShard'.")
        model = _unwrapped(runner)
        saved = model.state_dict()
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        # And the statistics of norms.
        trained |= {n for n, buffer in model.named_buffers() if n in saved and buffer.is_floating_point()}
        self._names = sorted(trained)
        self._average = self._average or {name: tensor.clone() for name, tensor in self._trained(runner)}

    def after_train_iter(self, runner: Any, *_args: Any, **_kwargs: Any) -> None:
        """Take the new weights into the average."""
        for name, tensor in self._trained(runner):
            self._average[name].lerp_(tensor, 1 - self.decay)

    def before_val_epoch(self, runner: Any) -> None:
        """Put the average into the model."""
        self._swap(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Put the trained weights back."""
        self._swap(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Save both."""
        checkpoint[TRAINED] = {name: checkpoint["state_dict"][name] for name in self._average}
        checkpoint["state_dict"] |= self._average

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on with both, in a run that is resumed."""
        if runner._resume and TRAINED in checkpoint:
            trained = checkpoint.pop(TRAINED)
            device = next(runner.model.parameters()).device
            self._average = {name: checkpoint["state_dict"][name].to(device).clone() for name in trained}
            checkpoint["state_dict"] |= trained

    def _swap(self, runner: Any) -> None:
        """Exchange average and weights; without an average, which a validation alone has not, nothing happens."""
        for name, tensor in self._trained(runner) if self._average else ():
            kept = tensor.clone()
            tensor.copy_(self._average[name])
            self._average[name] = kept

    def _trained(self, runner: Any) -> Iterator[tuple[str, Tensor]]:
        """The weights that are averaged, by name."""
        model = _unwrapped(runner)
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        return ((name, tensors[name].detach()) for name in self._names)


def _unwrapped(runner: Any) -> nn.Module:
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model
