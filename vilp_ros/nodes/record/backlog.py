"""What the receiving thread hands to the writing one: in order, bounded in bytes."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import NamedTuple


class Message(NamedTuple):
    """One serialized message and when it came."""

    topic: str
    received_ns: int
    data: bytes


class Backlog:
    """A queue whose two ends belong to one thread each. Putting never waits.

    Args:
        most: bytes of messages that may wait.

    Attributes:
        peak: most bytes that waited since somebody set it to 0.
    """

    def __init__(self, most: int) -> None:
        self._most, self.peak = most, 0
        self._queue: queue.SimpleQueue[Message | Callable[[], None]] = queue.SimpleQueue()
        self._came = self._went = 0  # bytes; each is written by one thread, so that no lock is due

    def __len__(self) -> int:
        """How many messages and jobs wait."""
        return self._queue.qsize()

    @property
    def bytes(self) -> int:
        """Of the messages that wait."""
        return self._came - self._went

    def put(self, message: Message) -> bool:
        """Takes a message; False, and nothing is taken, if it is one too many."""
        waiting = self.bytes + len(message.data)
        if waiting > self._most:
            return False
        self._came += len(message.data)
        self.peak = max(self.peak, waiting)
        self._queue.put(message)
        return True

    def do(self, job: Callable[[], None]) -> None:
        """Has a job done by the other thread, behind all that came before it."""
        self._queue.put(job)

    def get(self, timeout_s: float) -> Message | Callable[[], None] | None:
        """The next message or job; None if none comes in time."""
        try:
            item = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, Message):
            self._went += len(item.data)
        return item
