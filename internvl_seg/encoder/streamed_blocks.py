"""Blocks that are in memory only while they compute."""

import copy
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from itertools import islice
from typing import Any

from torch import nn

Read = Callable[[int, nn.Module], None]


class StreamedBlocks(nn.ModuleList):
    """Blocks of which the first are in memory for good, and the others, one after the other, while they compute.

    Those have two places: in one a block computes while the next is read into the other. All serve inference alone.
    Threads may share them: one at a time has the places, from :meth:`in_turn` on until it leaves it.

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

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, which no copy shares."""
        return {name: value for name, value in self.__dict__.items() if name != "_taken"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of another and a lock of its own."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped.
        self._taken = threading.Lock()

    def train(self, mode: bool = True) -> "StreamedBlocks":
        """Stay in eval mode."""
        return super().train(False)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "StreamedBlocks":
        """Move or convert what is in memory."""
        for block in (*self._kept, *self._places):
            block._apply(fn, recurse)
        return self
