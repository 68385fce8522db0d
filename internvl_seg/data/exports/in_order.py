"""Work on many files by all cores, of which few wait in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(function: Callable[[In], Out], items: Iterable[In]) -> Iterator[tuple[In, Out]]:
    """Every item with what a function makes of it, in order; the decoders that it calls let other threads run.

    Args:
        function: Called in threads, as many as there are cores.
        items: At most twice as many as there are cores are in work, or done and not asked for.
    """
    count = cores()
    waiting: deque[tuple[In, Future[Out]]] = deque()
    executor = ThreadPoolExecutor(count)
    try:
        for item in items:
            waiting.append((item, executor.submit(function, item)))
            if len(waiting) >= 2 * count:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
