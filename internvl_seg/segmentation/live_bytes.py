"""What a computation holds in memory, counted as its tensors come and go."""

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made while it is on, gradients of weights apart from all else.

    Memory that an operator uses within itself is not seen.

    Args:
        known: Tensors that were there before, such as weights. Operators give views of them, which are no new memory.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped.
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._is_gradient: dict[int, bool] = {}
        self._now = {True: 0, False: 0}
        self._moments = [(0, 0)]

    def settle(self, gradient: Tensor) -> None:
        """Count a tensor that was made here as the gradient of a weight from now on."""
        storage = gradient.untyped_storage()
        if self._is_gradient.get(storage._cdata) is False:
            self._is_gradient[storage._cdata] = True
            self._now[False] -= storage.nbytes()
            self._now[True] += storage.nbytes()

    def peak(self, share: float = 1.0) -> int:
        """The highest number of bytes at a time, of gradients only a share; 0 of nothing but all else."""
        return max(round(other + share * gradients) for other, gradients in self._moments)

    def _gone(self, key: int, size: int) -> None:
        self._now[self._is_gradient.pop(key)] -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            # oneDNN's packed weights have no storage to ask; they are made once and stay.
            if not isinstance(tensor, Tensor) or tensor.is_mkldnn:
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._known and key not in self._is_gradient:
                self._is_gradient[key] = False
                self._now[False] += storage.nbytes()
                self._moments.append((self._now[False], self._now[True]))
                weakref.finalize(storage, self._gone, key, storage.nbytes())
        return out
