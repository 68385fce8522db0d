"""Blocks that are in memory only while they compute."""

import copy
import pickle
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from itertools import islice
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

Read = Callable[[int, nn.Module], None]
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_INSTEAD = "Load the encoder without blocks_in_memory for that."


class StreamedBlocks(nn.ModuleList):
    """Blocks of which the first are in memory for good, and the others, one after the other, while they compute.

    Those have two places: in one a block computes while the next is read into the other. All serve inference alone.
    Threads may share them: one at a time has the places, from :meth:`in_turn` on until it leaves it.

    What is done to a block that is not in memory would be lost, because it is read anew each time: hooks on it, other
    parameters, those changed in place, gradients, ``load_state_dict`` and pickling are errors. A change through
    ``parameter.data`` leaves no trace in PyTorch and cannot be found.

    Args:
        blocks: On the meta device, all alike.
        read: Reads a block's weights, by its index, into a block that has memory.
        make: Gives a block memory, in place.
        in_memory: How many blocks may be in memory at a time, at least 1.

    Raises:
        ValueError: None may be in memory.
    """

    def __init__(
        self, blocks: Iterable[nn.Module], read: Read, make: Callable[[nn.Module], None], in_memory: int
    ) -> None:
        super().__init__(blocks)
        if type(in_memory) is not int or in_memory < 1:
            raise ValueError(
                f"blocks_in_memory={in_memory!r} is no whole number from 1 on: a block has to be in memory to compute; "
                "2 or more are fast."
            )
        places = min(in_memory, 2) if in_memory < len(self) else 0
        self.read, self.in_memory = read, in_memory
        self._taken = threading.Lock()
        self._kept = list(islice(self, min(in_memory, len(self)) - places))
        self._places = [copy.deepcopy(self[-1]) for _ in range(places)]
        for block in (*self._kept, *self._places):
            make(block)
            block.requires_grad_(False).eval()
        for i, block in enumerate(self._kept):
            read(i, block)
        self._marks = self._mark()
        self.register_load_state_dict_post_hook(_mark_anew)  # type: ignore[no-untyped-call]  # PyTorch leaves it so.

    def _elsewhere(self) -> Iterator[tuple[int, nn.Module]]:
        """The blocks, with their numbers, that are not in memory."""
        return ((i, self[i]) for i in range(len(self._kept), len(self)))

    def _mark(self) -> dict[str, int]:
        """What tells whether the parameters of the blocks that are not in memory were changed."""
        return {
            f"{i}.{name}": (0 if parameter.is_inference() else parameter._version) if parameter.is_meta else -1
            for i, block in self._elsewhere()
            for name, parameter in block.named_parameters()
        }

    def check_inference(self, tokens: Tensor, parameters: Iterable[Tensor]) -> None:
        """Check that these blocks can give what is asked for: no gradients, and nothing put on a block that is read.

        Args:
            tokens: What goes into the first block.
            parameters: Of the encoder.

        Raises:
            RuntimeError: They cannot.
        """
        if torch.is_grad_enabled() and (tokens.requires_grad or any(p.requires_grad for p in parameters)):
            raise RuntimeError(
                "Gradients were asked for, of the images or of a parameter, but with blocks_in_memory a block's "
                "weights are overwritten by the next one's, so they would be wrong. Run it under torch.no_grad() or "
                "torch.inference_mode(), or load the encoder without blocks_in_memory."
            )
        if torch.compiler.is_compiling():
            return
        for i, block in self._elsewhere():
            for name, module in block.named_modules():
                if any(getattr(module, kind) for kind in _HOOKS):
                    raise RuntimeError(
                        f"blocks.{f'{i}.{name}'.rstrip('.')} has hooks, which would never run: with blocks_in_memory "
                        "another module computes in its place. forward_intermediates gives the tokens after a block. "
                        + _INSTEAD
                    )
        marks = self._mark()
        if changed := [name for name in marks.keys() | self._marks.keys() if marks.get(name) != self._marks.get(name)]:
            raise RuntimeError(
                f"blocks.{min(changed)} was changed or replaced, which would have no effect: with blocks_in_memory "
                "the weights of its block are read from the file each time. " + _INSTEAD
            )

    @contextmanager
    def in_turn(self, count: int) -> Iterator[Iterator[nn.Module]]:
        """The first so many blocks, each of which is there until the next is asked for; other threads wait meanwhile.

        A context and no bare iterator, so that whoever stops midway, by an error say, lets the next one begin.
        """
        with self._taken if self._places else nullcontext(), closing(self._sweep(count)) as blocks:
            yield blocks

    def _sweep(self, count: int) -> Generator[nn.Module, None, None]:
        yield from self._kept[:count]
        coming = iter(range(len(self._kept), count))
        with ThreadPoolExecutor(1, "read-blocks") as reader:

            def begin(place: nn.Module) -> None:
                for number in islice(coming, 1):
                    reading.append((reader.submit(self.read, number, place), place))

            reading: deque[tuple[Future[None], nn.Module]] = deque()
            for place in self._places:
                begin(place)
            while reading:
                done, place = reading.popleft()
                done.result()
                yield place
                begin(place)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Refuse weights that a block which is read from a file would not keep; its own placeholders are none."""
        for i, block in self._elsewhere():
            own = {f"{prefix}{i}.{name}": parameter for name, parameter in block.named_parameters()}
            for name in [name for name in state_dict if name.startswith(f"{prefix}{i}.")]:
                if name not in own or not _share_storage(state_dict[name], own[name]):
                    raise RuntimeError(
                        f"{name} cannot be loaded: with blocks_in_memory the weights of its block are read from the "
                        "encoder's file each time, so what is loaded would be lost. Save the state dict as a file and "
                        "give that to load_encoder, or load the encoder without blocks_in_memory first."
                    )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be pickled."""
        raise pickle.PicklingError(
            "An encoder with blocks_in_memory cannot be pickled (torch.save, a process that is spawned): most of its "
            "weights are in its file alone. Pass the path of that file, and load the encoder again from it."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "StreamedBlocks":
        """A copy with memory and a lock of its own, which reads the same file."""
        made = memo[id(self)] = type(self).__new__(type(self))
        state = {name: value for name, value in self.__dict__.items() if name != "_taken"}
        # PyTorch leaves it untyped.
        made.__setstate__(copy.deepcopy(state, memo))  # type: ignore[no-untyped-call]
        made._taken = threading.Lock()
        made._marks = made._mark()
        return made

    def train(self, mode: bool = True) -> "StreamedBlocks":
        """Stay in eval mode."""
        return super().train(False)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "StreamedBlocks":
        """Move or convert what is in memory."""
        for block in (*self._kept, *self._places):
            block._apply(fn, recurse)
        return self


def _mark_anew(blocks: StreamedBlocks, _keys: object) -> None:
    """Take placeholders that were loaded into themselves for what they are, no change."""
    blocks._marks = blocks._mark()


def _share_storage(first: object, second: Tensor) -> bool:
    return isinstance(first, Tensor) and first.untyped_storage()._cdata == second.untyped_storage()._cdata
