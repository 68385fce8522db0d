"""A training that ends where its numbers do: no step of NaN or infinity is taken, and none is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _NormBase

from ..common.finite import NonFiniteError, is_finite
from .captured_step import RandomState, as_plain, image_paths, write_step
from .diverged import advice
from .sharding import gather, is_sharded

CAPTURE = "non_finite_step.pth"
_NAMED = 3  # In messages, of names that are many.


@dataclass
class _Step:
    """A step whose numbers may not have come from the device yet.

    Attributes:
        iteration: From 1.
        batch: As the data loader gave it.
        random_state: As it was before.
        loss_scale: By which the loss was multiplied, for gradients of few bits.
        losses: Names of the losses.
        gradients: Names of the weights that have gradients.
        numbers: Whether the step is bad in any process, and in this one; the losses; whether each gradient is bad.
        copied: When they are there; None if they are.
    """

    iteration: int
    batch: Any
    random_state: RandomState
    loss_scale: float | Tensor
    losses: list[str]
    gradients: list[str]
    numbers: Tensor
    copied: torch.Event | None


@HOOKS.register_module()
class NonFiniteStepHook(Hook):
    """Leaves out steps whose losses or gradients hold NaN or infinity, and stops a training that has nothing else.

    Such a step changes neither weights nor moments nor running statistics, so one bad batch costs no more than itself.
    A warning names its images, and the step goes into ``non_finite_step.pth`` in the work folder, to be computed again
    by ``tools/train.py CONFIG --replay FILE``; the file is that of the first step of the last such row of steps. No
    checkpoint is saved whose weights are not finite, so those that are there stay.

    Gradients that overflow because a loss scale (``AmpOptimWrapper``) is too high are no fault: the scale goes down.
    They count once it cannot: at 1, or where it is fixed.

    :func:`internvl_seg.training.train` adds it to every training, without its being named in the config. On
    accelerators the numbers are looked at one step late, so that nothing waits for them; gradients are made zero on the
    device then, which leaves momentum and weight decay.

    Args:
        stop_after: How many such steps, one after the other, end the training.

    Raises:
        ValueError: ``stop_after`` is below 1.
        NonFiniteError: From a training that is stopped, or saved with weights that are not finite.
    """

    priority = "HIGH"  # Before an average is taken of what a step has left.

    def __init__(self, stop_after: int = 5) -> None:
        if stop_after < 1:
            raise ValueError(f"NonFiniteStepHook: stop_after={stop_after} is a number of steps, 1 at least.")
        self.stop_after = stop_after
        self._in_a_row = self._left_out = 0
        self._pending: _Step | None = None
        self._handles: list[Any] = []

    def state_dict(self) -> dict[str, int]:
        """How many steps in a row were left out, for a checkpoint."""
        return {"in_a_row": self._in_a_row}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on counting."""
        self._in_a_row = int(state["in_a_row"])

    def before_train(self, runner: Any) -> None:
        """Look at every step of the optimizers from now on."""
        model = _unwrapped(runner.model)
        self._sharded = is_sharded(runner.model)
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        norms = [module for module in model.modules() if isinstance(module, _NormBase) and module.track_running_stats]
        self._statistics = [buffer for module in norms for buffer in module.buffers()]
        self._kept = [buffer.clone() for buffer in self._statistics]
        self._pending = None
        self._forget_gradients()
        wrapper = runner.optim_wrapper
        wrappers = list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        self._handles = [one.optimizer.register_step_pre_hook(self._before_step) for one in wrappers]

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the random state, with which the step can be computed again."""
        self._random_state = RandomState.read()
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        # A copy on the device, since asking for the number would wait; a scaler that has not begun has none there yet.
        scale = getattr(scaler, "_scale", None)
        self._loss_scale = getattr(scaler, "_init_scale", 1.0) if scale is None else scale.clone()

    def _forget_gradients(self) -> None:
        self._stepped = False
        self._gradients: list[str] = []
        self._bad_gradients: list[Tensor] = []

    @torch.no_grad()
    def _before_step(self, optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        """Take away the gradients of an optimizer that is about to step if one is not finite, so that it does nothing.

        A loss scaler has looked at them itself: it calls no step then, or lets a fused one find out (``found_inf``).
        """
        self._stepped = True
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters or getattr(optimizer, "found_inf", None) is not None:
            return
        gradients = [_local(p.grad) for p in parameters if p.grad is not None]
        filled = [gradient for gradient in gradients if gradient.numel()]
        device = gradients[0].device
        # The largest absolute value, which NaN spreads to, of all gradients in few kernels.
        highest = iter(torch._foreach_norm(filled, float("inf"))) if filled else iter(())
        zero = torch.zeros((), device=device)
        bad = ~torch.stack([(next(highest) if g.numel() else zero).to(zero) for g in gradients]).isfinite()
        found = bad.any()
        if self._sharded:  # Elsewhere all processes have the same gradients.
            found = _in_any_process(found)
        self._gradients += [self._names.get(p, "a weight") for p in parameters]
        self._bad_gradients.append(bad)
        if device.type != "cpu":
            for gradient in gradients:
                gradient.masked_fill_(found, 0)
        elif found:
            for parameter in parameters:
                parameter.grad = None

    @torch.no_grad()
    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Look at the losses, and put running statistics back if they are of a bad step.

        Raises:
            NonFiniteError: This was one too many.
        """
        found = outputs if isinstance(outputs, Mapping) else {}
        losses = {name: value for name, value in found.items() if "loss" in name}
        device = next(_unwrapped(runner.model).parameters()).device
        values = [_local(torch.as_tensor(value)).detach().to(device, torch.float32).mean() for value in losses.values()]
        flags = torch.cat(
            [bad.to(device) for bad in self._bad_gradients] or [torch.zeros(0, dtype=torch.bool, device=device)]
        )
        numbers = torch.stack(values) if values else torch.zeros(0, device=device)
        here = ~numbers.isfinite().all() | flags.any() | self._scaled_in_vain(runner)
        anywhere = _in_any_process(here)
        for buffer, kept in zip(self._statistics, self._kept, strict=True):
            buffer.copy_(torch.where(anywhere, kept, buffer))
            kept.copy_(buffer)
        numbers = torch.cat([anywhere[None].float(), here[None].float(), numbers, flags.float()])
        copied = None
        if device.type != "cpu":
            numbers = numbers.to("cpu", non_blocking=True)
            copied = torch.Event(device)
            copied.record()
        step = _Step(
            iteration=runner.iter + 1,
            batch=data_batch,
            random_state=self._random_state,
            loss_scale=self._loss_scale,
            losses=list(losses),
            gradients=self._gradients,
            numbers=numbers,
            copied=copied,
        )
        self._forget_gradients()
        if copied is None:
            self._look_at(step, runner)
        else:
            due, self._pending = self._pending, step
            if due is not None:
                self._look_at(due, runner)

    def before_val(self, runner: Any) -> None:
        """Look at the last step, so that all is told before what comes of it."""
        self._look_at_pending(runner)

    def after_train(self, runner: Any) -> None:
        """Look at the last step, and leave the optimizers alone."""
        for handle in self._handles:
            handle.remove()
        self._look_at_pending(runner)

    def describe_left_out(self, runner: Any) -> str:
        """What is known of the steps that were left out, in whole sentences; nothing if there were none."""
        if not self._left_out:
            return ""
        path = Path(runner.work_dir, CAPTURE)
        return (
            f"Steps left out until here because their losses or gradients were not finite: {self._left_out}, of which "
            f"{self._in_a_row} are the last in a row. One is in {path}: tools/train.py CONFIG --replay {path} computes "
            "it again. "
        )

    def _look_at_pending(self, runner: Any) -> None:
        due, self._pending = self._pending, None
        if due is not None:
            self._look_at(due, runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            NonFiniteError: There are some.
        """
        if names := [name for name, tensor in checkpoint["state_dict"].items() if not is_finite(tensor)]:
            raise NonFiniteError(
                f"Iteration {runner.iter + 1}: {_listed(names)} of the model hold NaN or infinity, so no checkpoint is "
                f"saved and those in {runner.work_dir} stay as they are. {advice(runner)}"
            )

    def _scaled_in_vain(self, runner: Any) -> bool:
        """Whether a loss scaler left this step out, though no lower scale would make its gradients finite."""
        wrapper = runner.optim_wrapper
        scaler = getattr(wrapper, "loss_scaler", None)
        if scaler is None or self._stepped or not wrapper.should_update():
            return False
        return getattr(wrapper, "_scale_update_param", None) is not None or scaler.get_scale() <= 1

    def _look_at(self, step: _Step, runner: Any) -> None:
        """Count, warn, write and stop, if a step was bad."""
        if step.copied is not None:
            step.copied.synchronize()
        anywhere, here, *numbers = step.numbers.tolist()
        if not anywhere:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._left_out += 1
        losses = dict(zip(step.losses, numbers, strict=False))
        bad = [name for name, flag in zip(step.gradients, numbers[len(losses) :], strict=True) if flag]
        path = Path(runner.work_dir, CAPTURE)
        if self._in_a_row == 1:
            images = self._write(step, losses, bad, bool(here), path, runner)
            runner.logger.warning(
                f"Iteration {step.iteration}: {_described(losses, bad)}. The step is left out: weights stay as they "
                f"were. It is in {path}; its images: {_listed(images)}."
            )
        else:
            runner.logger.warning(
                f"Iteration {step.iteration}: {_described(losses, bad)}. The step is left out, as the ones before: "
                f"{self._in_a_row} in a row; {self.stop_after} end the training."
            )
        if self._in_a_row >= self.stop_after:
            raise NonFiniteError(
                f"Iteration {step.iteration}: {_described(losses, bad)}, as in the {self._in_a_row} steps up to here. "
                f"None of them changed the weights; the checkpoints in {runner.work_dir} are those from before. The "
                f"first of these steps is in {path}: tools/train.py CONFIG --replay {path} computes it again. "
                f"{advice(runner)}"
            )

    def _write(
        self, step: _Step, losses: dict[str, float], bad: list[str], here: bool, path: Path, runner: Any
    ) -> list[str]:
        """Write the step of the first process whose numbers are bad; gives its images."""
        content = {
            "iteration": step.iteration,
            "seed": runner.seed,
            "rank": get_rank(),
            "img_paths": image_paths(step.batch),
            "losses": losses,
            "non_finite_gradients": bad,
            "loss_scale": float(step.loss_scale),
            "random_state": tuple(step.random_state),
            "batch": as_plain(step.batch),
        }
        if get_world_size() > 1:
            found: list[Any] = [None] * get_world_size()
            dist.all_gather_object(found, here)
            sent = [content]
            broadcast_object_list(sent, src=found.index(True) if True in found else 0)
            content = sent[0]
        state = gather(_unwrapped(runner.model).state_dict())
        if is_main_process():
            content["non_finite_weights"] = [name for name, tensor in state.items() if not is_finite(tensor)]
            write_step(path, {**content, "state_dict": state})
        return list(content["img_paths"])


def _unwrapped(model: Any) -> nn.Module:
    inner: nn.Module = model.module if is_model_wrapper(model) else model
    return inner


def _local(tensor: Tensor) -> Tensor:
    """What a process has of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _in_any_process(flag: Tensor) -> Tensor:
    """Whether a flag is up in any process, on the device where it is."""
    if get_world_size() == 1:
        return flag
    number = flag.to(torch.int32)
    dist.all_reduce(number, dist.ReduceOp.MAX)
    return number.bool()


def _listed(names: list[str]) -> str:
    """The first of some names, and how many there are more."""
    more = len(names) - _NAMED
    return (", ".join(names[:_NAMED]) or "not named") + (f" and {more} more" if more > 0 else "")


def _described(losses: Mapping[str, float], bad: list[str]) -> str:
    """What is wrong with a step."""
    wrong = ", ".join(f"{name} = {value}" for name, value in losses.items() if not abs(value) < float("inf"))
    gradients = f"NaN or infinity in the gradients of {_listed(bad)}" if bad else ""
    return " and ".join(filter(None, [wrong, gradients])) or "gradients that overflow at any loss scale"
