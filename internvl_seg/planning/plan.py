"""Whether a training fits, and in which setting."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.config import Config
from torch import nn

from ..segmentation.backbone import InternViTBackbone
from ..training.explaining import explaining
from ..training.sharding import WRAPPER
from .fake_model import build_meta, image_size
from .footprint import Part, average_nbytes, blocks, gathered_nbytes, nbytes, parts, shard_nbytes, trained
from .tracing import Trace, trace_inference, trace_step

GB = 1e9
# What no tensor is: the driver's context, cuBLAS and cuDNN with their workspaces, or the interpreter on a CPU.
CONTEXT = 1.0 * GB
# NCCL's channels and buffers, or gloo's.
COMMUNICATION = 0.5 * GB
# Of what comes and goes in a step, holes between what is kept.
FRAGMENTATION = 0.1
TRY = "Try more devices, or fewer images at a time (train_dataloader.batch_size)"


@dataclass(frozen=True)
class Setting:
    """The bytes that a way to train takes on each device.

    Attributes:
        with_cp: Whether the encoder's blocks are recomputed.
        sharded: Whether weights, gradients and moments are spread over the devices.
        configured: Whether this is what the config says.
        parameters: Weights and buffers.
        gradients: All of them, as they are when a step is taken.
        optimizer: Its state, and moving averages of weights.
        gathered: Weights and gradients of others that are there for a while (sharded), or the copy of the gradients
            from which several devices average them (replicated).
        activations: The most that there is of anything else at a time.
        peak: The most that there is of all of it at a time. Gradients come as activations go, so it is at most the sum.
        reserve: What has to be left beside.
    """

    with_cp: bool
    sharded: bool
    configured: bool
    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    peak: int
    reserve: int

    @property
    def needed(self) -> int:
        """Bytes that a device has to have."""
        return self.peak + self.reserve

    def name(self) -> str:
        """How a reader calls it."""
        return f"{'sharded' if self.sharded else 'replicated'}, with_cp={self.with_cp}"


@dataclass(frozen=True)
class MemoryPlan:
    """What a config's training takes.

    Attributes:
        config: Its file.
        device: 'cpu' or 'cuda'.
        devices: How many.
        device_memory: Bytes of each.
        images: Per device and pass.
        size: Height and width of an image.
        parts: What the model is made of.
        settings: Ways to train it, the fastest first.
        inference: Bytes to predict an image of that size with the whole model on one device.
    """

    config: str
    device: str
    devices: int
    device_memory: int
    images: int
    size: tuple[int, int]
    parts: Sequence[Part]
    settings: Sequence[Setting]
    inference: int

    def cheapest(self) -> Setting | None:
        """The fastest setting that fits, if any does."""
        return next((setting for setting in self.settings if setting.needed <= self.device_memory), None)

    def verdict(self) -> str:
        """Whether the config fits as it is, the setting to take, or what is lacking."""
        room = f"{self.devices} x {self.device_memory / GB:g} GB"
        best = self.cheapest()
        if best is not None and best.configured:
            return f"Fits {room} as it is, with {(self.device_memory - best.needed) / GB:.1f} GB to spare."
        if best is not None:
            now = next(setting for setting in self.settings if setting.configured)
            told = "fits, too" if now.needed <= self.device_memory else "does not fit"
            return f"Fits {room} with {best.name()} ({_options(best)}). As the config has it, it {told}."
        least = min(self.settings, key=lambda setting: setting.needed)
        lacking = (least.needed - self.device_memory) / GB
        return f"Does not fit {room}: {least.name()} lacks {lacking:.1f} GB on each device. {TRY}."


def _options(setting: Setting) -> str:
    wrapper = f"model_wrapper_cfg.type={WRAPPER}" if setting.sharded else "without model_wrapper_cfg"
    return f"model.backbone.with_cp={setting.with_cp}, {wrapper}"


def make_plan(config: Config, device: str, devices: int, device_memory: int) -> MemoryPlan:
    """Plan a config's training.

    Args:
        config: The config.
        device: 'cpu' or 'cuda'.
        devices: How many.
        device_memory: Bytes of each.

    Raises:
        ConfigError: The config does not describe a training.
    """
    with explaining(config):
        model = build_meta(config)
        asked = bool(config.model.backbone.get("with_cp", False))
        learns = isinstance(model.backbone, InternViTBackbone) and bool(trained(model.backbone))
        average = average_nbytes(config, model)
        wrapped = devices > 1 and (config.get("model_wrapper_cfg") or {}).get("type") == WRAPPER
        # An average is of whole weights.
        shardable = devices > 1 and bool(blocks(model)) and not average
        choices = (False, True) if learns else (asked,)
        traces = {with_cp: trace_step(config, device, with_cp, devices) for with_cp in choices}
        settings = [
            _setting(model, trace, devices, average, with_cp, sharded, (with_cp, sharded) == (asked, wrapped))
            for sharded in ((False, True) if shardable else (False,))
            for with_cp, trace in traces.items()
        ]
        inference = nbytes([*model.parameters(), *model.buffers()]) + trace_inference(config, device)
    images, size = config.train_dataloader.batch_size, image_size(config)
    found = parts(model)
    return MemoryPlan(config.filename, device, devices, device_memory, images, size, found, settings, inference)


def _setting(
    model: nn.Module, trace: Trace, devices: int, average: int, with_cp: bool, sharded: bool, configured: bool
) -> Setting:
    learning = trained(model)
    whole = nbytes(learning)
    if sharded:
        parameters = shard_nbytes(model.parameters(), devices) + nbytes(model.buffers())
        gradients, state = shard_nbytes(learning, devices), shard_nbytes(trace.state, devices)
        gathered, copies = gathered_nbytes(model), 0
    else:
        parameters = nbytes([*model.parameters(), *model.buffers()])
        gradients, state = whole, nbytes(trace.state)
        # DistributedDataParallel averages gradients in buckets that stay.
        gathered = copies = whole if devices > 1 else 0
    share = gradients / max(whole, 1)
    computing = trace.moments.peak(share) + gathered
    updating = gradients + copies + round(share * trace.update)
    working = max(computing, updating)
    reserve = round(CONTEXT + (COMMUNICATION if devices > 1 else 0) + FRAGMENTATION * working)
    return Setting(
        with_cp=with_cp,
        sharded=sharded,
        configured=configured,
        parameters=parameters,
        gradients=gradients,
        optimizer=state + average,
        gathered=gathered,
        activations=trace.moments.peak(0),
        peak=parameters + state + average + working,
        reserve=reserve,
    )
