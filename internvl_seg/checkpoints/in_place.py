"""Loading a state dict that is mapped from a file without taking its memory twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .containers import tensors_of
from .errors import NotACheckpointError, UnreadableWeightsError
from .progress import ReadingProgress
from .reading import PickleReader
from .stored import Stored

# Others, such as a sharded one, hold something else than they show.
_PLAIN = (Tensor, nn.Parameter)


@dataclass(frozen=True)
class Mapped:
    """A tensor that is mapped from a file.

    Attributes:
        place: Where it is there.
        version: How often it had been written to when it was as in the file, as PyTorch counts that.
    """

    place: Stored
    version: int


class _ReadsInstead(TorchDispatchMode):
    """Reads a file's bytes where a tensor that is mapped from it would be copied, which would bring in its pages."""

    def __init__(self, places: dict[int, Mapped], progress: ReadingProgress) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped.
        self._places, self._progress = places, progress

    def _place(self, tensor: Tensor) -> Stored | None:
        """Where in the file a tensor is: one that lies there as in memory, and was not changed since it was mapped."""
        mapped = self._places.get(tensor.data_ptr())
        if mapped is None or tensor.is_neg() or tensor.is_conj() or not tensor.is_contiguous():
            return None
        place = mapped.place
        if tensor.dtype != place.dtype or tensor.nbytes > place.nbytes:
            return None
        if tensor.is_inference() or tensor._version != mapped.version:  # It may have been written to.
            return None
        return replace(place, shape=tuple(tensor.shape))  # Several tensors may begin at one address.

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.copy_.default and type(args[0]) in _PLAIN:
            place = self._place(args[1])
            if place is not None and place.shape == args[0].shape:
                place.read_into(args[0])
                self._progress.advance(place.nbytes)
                return args[0]
        return func(*args, **(kwargs or {}))


def find_places(path: Path, checkpoint: Any) -> dict[int, Mapped]:
    """Where in the file the tensors of a checkpoint are, by their addresses.

    Args:
        path: The checkpoint.
        checkpoint: As :func:`internvl_seg.checkpoints.reading.read_pickle` gave it, before anybody renamed or exchanged
            anything in it.
    """
    places: dict[int, Mapped] = {}
    try:
        tensors, reader = tensors_of(checkpoint, path), PickleReader(path)
    except (
        NotACheckpointError,
        UnreadableWeightsError,
    ):  # That a model's weights are missing is said by those who load them.
        return places
    for name, tensor in tensors.items():
        place = reader.place(name)
        if place is not None and type(tensor) in _PLAIN and tensor.device.type == "cpu" and tensor.nbytes:
            known = places.get(tensor.data_ptr())
            if known is None or known.place.nbytes < place.nbytes:
                places[tensor.data_ptr()] = Mapped(place, tensor._version)
    return places


@contextmanager
def reading_in_place(places: dict[int, Mapped]) -> Iterator[None]:
    """Within this, a copy of a checkpoint's tensor into a parameter reads the file right into the parameter.

    ``load_state_dict``, with all that modules do in it, then needs the model's memory and no more.

    Args:
        places: Of :func:`find_places`; the checkpoint has to be there as long as this.
    """
    total = sum(mapped.place.nbytes for mapped in places.values())
    paths = ", ".join(sorted({str(mapped.place.path) for mapped in places.values()}))
    with ReadingProgress(f"Reading {paths}", total) as progress, _ReadsInstead(places, progress):
        yield
