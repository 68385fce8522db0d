"""The bytes of weights, by what they are for, and of their shards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mmengine.config import Config
from mmengine.registry import HOOKS
from torch import Tensor, nn

from ..encoder.lora import is_lora
from ..segmentation.live_bytes import LiveBytes


@dataclass(frozen=True)
class Part:
    """Weights and buffers of one kind.

    Attributes:
        name: 'encoder', 'adapters', or 'neck and heads'.
        dtype: Of the weights.
        parameters: How many numbers.
        trained: How many of them are trained.
        nbytes: Bytes.
    """

    name: str
    dtype: str
    parameters: int
    trained: int
    nbytes: int


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of all tensors."""
    return sum(tensor.nbytes for tensor in tensors)


def shard_nbytes(tensors: Iterable[Tensor], processes: int) -> int:
    """Bytes that the first process keeps of sharded tensors, which is as much as any.

    FSDP2 cuts along the first dimension, into pieces of equal size but for the last ones.
    """
    return sum(-(-t.shape[0] // processes) * (t.nbytes // t.shape[0]) if t.ndim else t.nbytes for t in tensors)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The weights of a model that learn."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def parts(model: nn.Module) -> list[Part]:
    """What a model is made of, its encoder first."""
    found: dict[tuple[str, str], list[Tensor]] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        kind = "adapters" if is_lora(name) else "encoder" if name.startswith("backbone.") else "neck and heads"
        key = kind, str(tensor.dtype).removeprefix("torch.")
        # The few integers are buffers, such as how many batches a BatchNorm has seen.
        if tensor.is_floating_point():
            found.setdefault(key, []).append(tensor)
    return [
        Part(*key, sum(t.numel() for t in tensors), sum(t.numel() for t in tensors if t.requires_grad), nbytes(tensors))
        for key, tensors in found.items()
    ]


def blocks(model: nn.Module) -> Sequence[nn.Module]:
    """The parts of a model that FullyShard shards each for itself; none if it cannot shard the model."""
    return list(getattr(model.get_submodule("backbone"), "blocks", ()))


def gathered_nbytes(model: nn.Module) -> int:
    """What FSDP2 holds of other processes' shards, and of gradients before they are spread, at most.

    Of the block that is computed there are the weights, a copy in the buffer that they arrived in, and such a buffer
    for the next block; its gradients, and two buffers from which they are spread. All but the blocks is one unit,
    whose weights stay from the forward to the end of the backward pass, and whose gradients are spread last.
    """
    of_blocks = {id(p) for block in blocks(model) for p in block.parameters()}
    rest = [p for p in model.parameters() if id(p) not in of_blocks]
    weights, gradients = nbytes(rest), nbytes(p for p in rest if p.requires_grad)
    return weights + gradients + max(3 * nbytes(b.parameters()) + 3 * nbytes(trained(b)) for b in blocks(model))


def average_nbytes(config: Config, model: nn.Module) -> int:
    """Bytes of the moving averages of weights that a config's hooks keep."""
    total = 0
    for hook in config.get("custom_hooks") or ():
        if hook["type"] == "EMAHook":  # MMEngine's copies the model.
            total += nbytes([*model.parameters(), *model.buffers()])
        elif hook["type"] == "TrainedEMAHook":
            kept: Any = HOOKS.build(hook)
            with LiveBytes([*model.parameters(), *model.buffers()]) as live:
                kept.before_train(SimpleNamespace(model=model))
            total += live.peak()
    return total
