"""Loading a state dict that is mapped from a file without taking its memory twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .errors import NotACheckpointError
from .progress import ReadingProgress
from .reading import PickleReader, tensors_of
from .stored import Stored

# Others, such as a sharded one, hold something else than they show.
_PLAIN = (Tensor, nn.Parameter)


class _ReadsInstead(TorchDispatchMode):
    """Reads a file's bytes where a tensor that is mapped from it would be copied, which would bring in its pages."""

    def __init__(self, places: dict[int, Stored], progress: ReadingProgress) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped.
        self._places, self._progress = places, progress

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.copy_.default and type(args[0]) in _PLAIN:
            place = self._places.get(args[1].data_ptr())
            if place is not None and place.shape == args[0].shape and place.dtype == args[1].dtype:
                place.read_into(args[0])
                self._progress.advance(place.nbytes)
                return args[0]
        return func(*args, **(kwargs or {}))


def find_places(path: Path, checkpoint: Any) -> dict[int, Stored]:
    """Where in the file the tensors of a checkpoint are, by their addresses.

    Args:
        path: The checkpoint.
        checkpoint: As :func:`internvl_seg.checkpoints.reading.read_pickle` gave it, before anybody renamed or exchanged
            anything in it.
    """
    places: dict[int, Stored] = {}
    try:
        tensors, reader = tensors_of(checkpoint, path), PickleReader(path)
    except NotACheckpointError:  # That a model's weights are missing is said by those who load them.
        return places
    for name, tensor in tensors.items():
        place = reader.stored(name)
        if isinstance(place, Stored) and type(tensor) in _PLAIN and tensor.device.type == "cpu" and tensor.nbytes:
            places[tensor.data_ptr()] = place
    return places


@contextmanager
def reading_in_place(places: dict[int, Stored]) -> Iterator[None]:
    """Within this, a copy of a checkpoint's tensor into a parameter reads the file right into the parameter.

    ``load_state_dict``, with all that modules do in it, then needs the model's memory and no more.

    Args:
        places: Of :func:`find_places`; the checkpoint has to be there as long as this.
    """
    total = sum(place.nbytes for place in places.values())
    paths = ", ".join(sorted({str(place.path) for place in places.values()}))
    with ReadingProgress(f"Reading {paths}", total) as progress, _ReadsInstead(places, progress):
        yield
