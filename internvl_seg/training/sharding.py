"""A model whose parameters, gradients and optimizer state are spread over all processes (PyTorch's FSDP2)."""

from collections.abc import Mapping
from typing import Any

from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from ..checkpoints.sharded import shard_like

WRAPPER = "FullyShard"


def shard(model: nn.Module, processes: int) -> nn.Module:
    """Shard a model in place, each block of its encoder for itself and the rest together.

    Of a block, the other processes' shards are there only while it computes.

    Args:
        model: A model with ``backbone.blocks``, on the CPU or on the device that it computes on.
        processes: Number of processes, all of which call this.

    Returns:
        The same model; its parameters are ``DTensor`` now.
    """
    device = get_device()
    mesh = init_device_mesh(device, (processes,))
    for block in model.get_submodule("backbone.blocks").children():
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    # Parameters are on the device now; what prepares the images has to learn of it.
    model.get_submodule("data_preprocessor").to(device)
    return model


def is_sharded(model: nn.Module) -> bool:
    """Whether :func:`shard` was called on a model."""
    return isinstance(model, FSDPModule)


def gather(value: Any) -> Any:
    """The whole of every sharded tensor in nested dicts and lists, on the CPU of the main process.

    All processes call this; elsewhere than in the main one, tensors are None.
    """
    if isinstance(value, Tensor):
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        return whole.detach().cpu() if is_main_process() else None
    if isinstance(value, Mapping):
        return {key: gather(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(gather(item) for item in value)
    return value


class ScatterHook(Hook):
    """Gives a sharded model and its optimizer their shards of the whole tensors in a checkpoint."""

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Replace the tensors in a checkpoint that was just read."""
        state = checkpoint["state_dict"]
        for name, parameter in runner.model.named_parameters():
            if name in state:
                state[name] = shard_like(parameter, state[name])
        if "optimizer" in checkpoint and isinstance(runner.optim_wrapper, OptimWrapper):
            parameters = (p for group in runner.optim_wrapper.param_groups for p in group["params"])
            moments = checkpoint["optimizer"]["state"]
            for number, parameter in enumerate(parameters):
                moments[number] = {k: shard_like(parameter, v) for k, v in moments.get(number, {}).items()}
