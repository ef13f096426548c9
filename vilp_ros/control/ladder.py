"""What the clock of a plan does when the next plan is late: run, slow down, stand still.

The rungs are the same for every arm: the plan goes on by its stamps; its time is scaled down to a
stop along it, so that the arm leaves the path as little as a train leaves its rails; it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Progress(NamedTuple):
    """Where the clock of a plan is: `time_s` along the plan, `rate` from 1 (real time) to 0."""

    time_s: float
    rate: float


@dataclass(frozen=True)
class Ladder:
    """A clock that runs with real time up to `full_s` and then slows evenly to rest at `stop_s`.

    Its rate is continuous and falls linearly, so that an arm which moved evenly brakes evenly.

    Attributes:
        full_s: where along the plan it begins to slow.
        stop_s: where along the plan it stands still; at least `full_s`.
    """

    full_s: float
    stop_s: float

    @classmethod
    def ending(cls, end_s: float, slow_s: float, last_s: float) -> Ladder:
        """The clock of a plan to be executed up to `end_s` if nothing newer comes.

        Args:
            end_s: up to here it runs with real time.
            slow_s: real time it takes to stop; 0 stops dead.
            last_s: where the plan has its last action; it stops there at the latest.
        """
        stop_s = min(end_s + slow_s / 2, max(end_s, last_s))
        return cls(max(0.0, stop_s - slow_s / 2), stop_s)

    @property
    def lasts_s(self) -> float:
        """Real time until it stands still."""
        return self.full_s + 2 * (self.stop_s - self.full_s)

    def at(self, elapsed_s: float) -> Progress:
        """Progress after `elapsed_s` of real time; a negative one is the beginning."""
        if elapsed_s <= self.full_s:
            return Progress(max(elapsed_s, 0.0), 1.0)
        if elapsed_s >= self.lasts_s:
            return Progress(self.stop_s, 0.0)
        slowing_s, late_s = self.lasts_s - self.full_s, elapsed_s - self.full_s
        rate = 1 - late_s / slowing_s
        return Progress(self.full_s + late_s * (1 + rate) / 2, rate)
