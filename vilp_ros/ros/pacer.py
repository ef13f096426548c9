"""Keep a loop on a steady schedule and say how well it did. Pure: the clock is given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Pacer:
    """Ends of equal periods on a steady clock.

    A period that overruns moves the schedule instead of being caught up: the world then runs slower
    than it should, and `on_schedule` says so, but never faster.

    Args:
        period_s: Length of a period.
        wait: Sleeps for the seconds it is given; an Event's `wait` makes the sleep interruptible.
        clock: Steady seconds.
        window: Periods over which the factor is measured.
    """

    def __init__(
        self,
        period_s: float,
        wait: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
        window: int = 100,
    ) -> None:
        self._period_s, self._wait, self._clock = period_s, wait, clock
        self._next_s = clock() + period_s
        self._ends: deque[float] = deque([clock()], maxlen=window + 1)

    def wait(self) -> None:
        """Sleep until the current period ends, and begin the next."""
        now = self._clock()
        if now < self._next_s:
            self._wait(self._next_s - now)
        else:
            self._next_s = now
        self._ends.append(self._clock())
        self._next_s += self._period_s

    def restart(self) -> None:
        """Begin a period now and forget the past, as after a reset that took long."""
        self._next_s = self._clock() + self._period_s
        self._ends.clear()
        self._ends.append(self._clock())

    @property
    def on_schedule(self) -> float:
        """Share of the periods that there should have been over the window; 1.0 on schedule."""
        elapsed = self._ends[-1] - self._ends[0]
        return (len(self._ends) - 1) * self._period_s / elapsed if elapsed > 0 else 1.0
