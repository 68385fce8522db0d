"""A training step and a forward pass of a config's own code, on tensors without data."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..encoder.position import RGB
from ..segmentation.live_bytes import LiveBytes
from ..training.checks.bands import bands_of
from ..training.config import ConfigError
from .backward import backward
from .fake_device import fake_tensors
from .fake_model import batch, build_meta, image_size, materialise


@dataclass(frozen=True)
class Trace:
    """What a training step holds beside the weights.

    Attributes:
        moments: The tensors of forward and backward pass.
        state: Every tensor of the optimizer's state.
        update: Bytes that the optimizer makes and drops in a step.
    """

    moments: LiveBytes
    state: tuple[Tensor, ...]
    update: int


def trace_step(config: Config, device: str, with_cp: bool, devices: int = 1) -> Trace:
    """Train a step, with an optimizer that has its state already.

    Args:
        config: The config.
        device: 'cpu' or 'cuda'.
        with_cp: Whether the encoder's blocks are recomputed.
        devices: How many train together; this is one of them.

    Raises:
        ConfigError: Steps of such a config are not known here, or PyTorch refuses its batch.
    """
    model = build_meta(config)
    # With several devices BatchNorm is over the images of all, so that one on each is enough.
    checking = patch("torch.nn.functional._verify_batch_size") if devices > 1 else nullcontext()
    with fake_tensors(device), checking:
        materialise(model, device, with_cp)
        for module in model.modules():
            if devices > 1 and isinstance(module, _BatchNorm):
                module.running_mean = module.running_var = None  # Their update divides by the others, too.
        optim_wrapper = _optimizer(config, model, device)
        weights = [*model.parameters(), *model.buffers()]
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        optim_wrapper.step()
        state = tuple(t for s in optim_wrapper.optimizer.state.values() for t in s.values() if isinstance(t, Tensor))
        optim_wrapper.zero_grad()
        with LiveBytes([*weights, *state]) as moments:
            # Gradients that are gathered over several passes are there from the second one's beginning.
            for _ in range(min(config.optim_wrapper.get("accumulative_counts", 1), 2)):
                backward([_loss(config, model, optim_wrapper)], moments.settle)
        with LiveBytes([*weights, *state, *(weight.grad for weight in trained if weight.grad is not None)]) as update:
            optim_wrapper.step()
    return Trace(moments, state, update.peak())


def _optimizer(config: Config, model: Any, device: str) -> OptimWrapper:
    kind = config.optim_wrapper.get("type", "OptimWrapper")
    if kind != "OptimWrapper":
        raise ConfigError(
            f"{config.filename}: optim_wrapper.type = {kind!r}; memory is planned for 'OptimWrapper' only. "
            "Set optim_wrapper.type=OptimWrapper; the plan is then too high by what mixed precision saves."
        )
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    for group in wrapper.param_groups:
        # PyTorch's own default for weights on a GPU; it does not see that these are.
        if device == "cuda" and group.get("foreach") is None and not group.get("fused"):
            group["foreach"] = True
    return wrapper


def _loss(config: Config, model: Any, optim_wrapper: OptimWrapper) -> Tensor:
    """The loss of ``model.train_step``, which itself would keep all of the losses until the backward pass is over."""
    data = batch(config)
    try:
        with optim_wrapper.optim_context(model):
            loss: Tensor = model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))[0]
    except ValueError as error:
        count = config.train_dataloader.batch_size
        raise ConfigError(f"{config.filename}: train_dataloader.batch_size = {count} cannot train: {error}") from error
    return loss


def trace_inference(config: Config, device: str) -> int:
    """Bytes that an image of the training's size takes beside the weights, from the pixels to the logits."""
    model = build_meta(config)
    with fake_tensors(device), torch.no_grad():
        materialise(model, device, with_cp=False)
        model.eval()
        live = LiveBytes([*model.parameters(), *model.buffers()])
        with live:
            channels = bands_of(config.model.get("backbone")) or RGB
            model(torch.zeros(1, channels, *image_size(config), device=device), mode="tensor")
    return live.peak()
