"""Hand the newest value from callbacks to a thread that does the slow work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Room for one value: a newer one replaces it, a taker empties it, nobody queues."""

    def __init__(self) -> None:
        self._filled = threading.Condition()
        self._value: T | None = None
        self._closed = False
        self.replaced = 0

    def put(self, value: T) -> None:
        """Store `value`; one that nobody took is dropped and counted in `replaced`."""
        with self._filled:
            self.replaced += self._value is not None
            self._value = value
            self._filled.notify()

    def take(self) -> T | None:
        """Wait for a value and remove it; None once the slot is closed."""
        with self._filled:
            self._filled.wait_for(lambda: self._closed or self._value is not None)
            value, self._value = (None if self._closed else self._value), None
            return value

    def close(self) -> None:
        """Wake every taker with None, now and from now on."""
        with self._filled:
            self._closed = True
            self._filled.notify_all()


class Worker(Generic[T]):
    """A thread that runs `job` on the newest value only.

    An exception of the job goes to `on_error` and the thread goes on: one bad value must not end
    the robot's planning.

    Args:
        name: Thread name, as debuggers show it.
        job: Called with each value that was taken.
        on_error: Called with what `job` raised.
        period_s: Least time between two starts of the job, asked before each; 0 for none.
        nice: Added to the thread's nice value, so that work for the eye yields to work for the arm.
        rest: Least pause after a job, as a share of the time that it took. Linux may weigh the nice
            values of one process against each other only (autogroups): a job that takes all of a
            core would take it from the other nodes.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[T], None],
        on_error: Callable[[Exception], None],
        *,
        period_s: Callable[[], float] = lambda: 0.0,
        nice: int = 0,
        rest: float = 0.0,
    ) -> None:
        self._job, self._on_error, self._period_s = job, on_error, period_s
        self._nice, self._rest = nice, rest
        self._slot: LatestSlot[T] = LatestSlot()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def replaced(self) -> int:
        """Values that a newer one replaced before the job could start."""
        return self._slot.replaced

    def put(self, value: T) -> None:
        """Make `value` the next one to work on."""
        self._slot.put(value)

    def stop(self) -> None:
        """End the thread after the job in hand, and wait for that."""
        self._stopped.set()
        self._slot.close()
        self._thread.join()

    def _run(self) -> None:
        if self._nice:  # on Linux each thread has its own
            thread = threading.get_native_id()
            nice = os.getpriority(os.PRIO_PROCESS, thread) + self._nice
            os.setpriority(os.PRIO_PROCESS, thread, nice)
        while (value := self._slot.take()) is not None:
            started = time.monotonic()
            try:
                self._job(value)
            except Exception as error:
                self._on_error(error)
            took_s = time.monotonic() - started
            self._stopped.wait(max(0.0, self._period_s() - took_s, self._rest * took_s))
