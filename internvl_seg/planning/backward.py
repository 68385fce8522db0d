"""The backward pass, node by node.

PyTorch's engine asks the driver about the tensors' device and gives up where there is none, so it cannot differentiate
fake CUDA tensors on a machine without a GPU. The nodes of the graph are the same here, and their order, too.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import GraphExecGroup


def backward(root: list[Tensor], settled: Callable[[Tensor], None]) -> None:
    """Accumulate the gradients of a scalar in ``.grad`` of its leaves, as ``Tensor.backward`` does.

    A node and what it saved go when it was run, if nobody else holds them: the engine frees what they hold, which
    Python cannot. So the scalar is taken out of ``root``; the caller keeps no name for it nor for what it is made of.

    Args:
        root: The scalar, alone.
        settled: Called with each leaf's gradient when it is there.
    """
    loss = root.pop()
    node: Any = loss.grad_fn
    waiting: dict[Any, list[Tensor | None]] = {node: [torch.ones_like(loss)]}
    newest = [(-node._sequence_nr(), 0, node)]
    del loss, node
    # A block that is recomputed is so once for all nodes that it has.
    with torch.no_grad(), GraphExecGroup():
        while newest:
            # A node was made after those that it gives to, and so is run before them.
            node = heapq.heappop(newest)[-1]
            given = node(*waiting.pop(node))
            edges = zip(node.next_functions, given if isinstance(given, tuple) else (given,), strict=False)
            del node, given
            _hand_on(edges, waiting, newest, settled)
            del edges  # Or what it gave lives on until the next node ran.


def _hand_on(
    edges: Iterable[tuple[Any, Tensor | None]],
    waiting: dict[Any, list[Tensor | None]],
    newest: list[tuple[int, int, Any]],
    settled: Callable[[Tensor], None],
) -> None:
    """Give what a node computed to those after it; the names here go when it is done."""
    for (target, slot), gradient in edges:
        if target is None or gradient is None:
            continue
        if hasattr(target, "variable"):
            _accumulate(target.variable, gradient, settled)
            continue
        if target not in waiting:
            waiting[target] = [None] * len(target._input_metadata)
            heapq.heappush(newest, (-target._sequence_nr(), id(target), target))
        _add(waiting[target], slot, _like(gradient, target._input_metadata[slot]))


def _like(gradient: Tensor, metadata: Any) -> Tensor:
    """A gradient in the shape and dtype of what it is the gradient of, which the engine sees to as well."""
    if gradient.shape != metadata.shape:
        gradient = gradient.sum_to_size(metadata.shape)
    return gradient.to(metadata.dtype)


def _add(gradients: list[Tensor | None], slot: int, gradient: Tensor) -> None:
    before = gradients[slot]
    gradients[slot] = gradient if before is None else before + gradient


def _accumulate(leaf: Tensor, gradient: Tensor, settled: Callable[[Tensor], None]) -> None:
    gradient = _like(gradient, leaf)
    if leaf.grad is None:
        leaf.grad = gradient
        settled(gradient)
    else:
        leaf.grad += gradient
