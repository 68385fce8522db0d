"""Calling a function from many threads at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

THREADS = 8
Item, Result = TypeVar("Item"), TypeVar("Result")


def one_by_one(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What a function makes of items in a thread of its own, whose products are computed by one core."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, items))


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The same, each item by one of eight threads, which begin together."""
    together = Barrier(THREADS)

    def begin() -> None:
        torch.set_num_threads(1)
        together.wait(60)

    with ThreadPoolExecutor(THREADS, initializer=begin) as pool:
        return list(pool.map(function, items))
