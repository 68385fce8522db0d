"""What a training says of numbers that are not finite: what is known of the cause, and what to do."""

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict

from ..common.finite import NonFiniteError, is_finite
from ..segmentation.backbone import non_finite_advice


def advice(runner: Any) -> str:
    """What to do about losses or weights of a training that are not finite."""
    kind = runner.cfg.optim_wrapper.get("type", "") if runner.cfg.get("optim_wrapper") else ""
    dtype = (runner.cfg.get("model") or {}).get("backbone", {}).get("dtype")
    half = kind == "AmpOptimWrapper" and runner.cfg.optim_wrapper.get("dtype") != "bfloat16"
    narrow = " float16 overflows beyond 65504: take bfloat16." if half or dtype == "float16" else ""
    return (
        f"A learning rate that is too high (it is {_learning_rate(runner):.4g} now), or images and labels that are "
        f"wrong, are the usual causes.{narrow}"
    )


def _learning_rate(runner: Any) -> float:
    """The highest one."""
    wrapper = runner.optim_wrapper
    several = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return max(float(group["lr"]) for one in several for group in one.optimizer.param_groups)


def explain_validation(runner: Any, error: NonFiniteError, left_out: str) -> NonFiniteError:
    """An error of a validation in the course of a training, which is about the training and not about a picture.

    Args:
        runner: The runner.
        error: That of the prediction.
        left_out: What is known of steps that were left out, or nothing.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    found = str(error).removesuffix(non_finite_advice(model)).strip()
    if not all(is_finite(weight) for weight in model.parameters()):
        cause = "the weights have diverged, and its last checkpoints may hold such weights, too"
    elif left_out:
        cause = "its numbers overflow, though the weights are finite still"
    else:
        cause = "the weights have diverged, or this picture holds NaN"
    mean_and_std = " What overflows from the first step on is often a mean or std in data_preprocessor that is wrong."
    return NonFiniteError(
        f"Iteration {runner.iter}, validation: {found} In the course of a training this means that {cause}: the "
        f"training ends. {left_out}{advice(runner)}{mean_and_std if left_out else ''} Begin anew with a "
        "lower learning rate, or so from an earlier checkpoint: --cfg-options load_from=CHECKPOINT."
    )
