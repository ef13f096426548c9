"""Batches made while the step before them is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2
T = TypeVar("T")


def prefetched(make: Callable[[int], T], steps: Iterable[int]) -> Iterator[T]:
    """`make(step)` of each step in turn, up to `AHEAD` of them early, in a thread.

    A thread and not a process: reading from disk and copying frames wait for neither the
    interpreter nor each other, and nothing has to be copied once more from process to process.
    What is made must depend on the step alone.

    Raises:
        Exception: whatever `make` raised, at the step that it was for.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        try:
            for step in steps:
                waiting.append(thread.submit(make, step))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
