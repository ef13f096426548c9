"""From a stream of widths to the goals of a gripper that makes one movement of each. Pure.

A goal interrupts the one before, so a width that fades must not become a goal a millimetre. A
movement has no force: one that closes and is stopped by something in between is followed by a
grasp, whatever the width of that thing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

STEP_M = 0.004  # targets closer together than this are one
LEAP_M = 0.02  # a target this far from the one before is meant at once
SETTLED_S, LONGEST_S = 0.1, 0.6  # a target that moves is waited for so long, and no longer
RETRY_S = 1.0
MISSED = "it did not get there"
CLOSED_M = 0.02  # a grasp closes until it meets something: no way to go to a width in between


class Goal(NamedTuple):
    """A width (m) to go to; with force: a grasp, which closes on whatever is in the way."""

    width: float
    force: bool


class Goals:
    """Which goal to send, and when. Not thread-safe.

    Attributes:
        problem: what became of the newest goal, if it failed; or empty.
        goal: the newest that was sent; None: none yet.
    """

    def __init__(self) -> None:
        self.problem = ""
        self.goal: Goal | None = None
        self._wanted, self._from = math.nan, math.nan  # the newest target; where it last rested
        self._rests_s = self._differs_s = math.nan
        self._closes, self._again_s, self._force = False, math.inf, False

    def want(self, width: float, now_s: float) -> None:
        """Take a target, m."""
        leaps = not abs(width - self._wanted) <= LEAP_M  # the first does
        if leaps or abs(width - self._from) > STEP_M:
            self._from, self._rests_s = width, now_s - (SETTLED_S if leaps else 0.0)
        self._wanted = width
        differs = self.goal is None or abs(width - self.goal.width) > STEP_M
        if not differs:
            self._differs_s = math.nan
        elif math.isnan(self._differs_s):
            self._differs_s = now_s

    def due(self, now_s: float) -> Goal | None:
        """What to send now, if anything; it then counts as sent."""
        if not math.isnan(self._differs_s):
            settled = now_s - self._rests_s >= SETTLED_S - 1e-9
            if settled or now_s - self._differs_s >= LONGEST_S:
                before = math.inf if self.goal is None else self.goal.width
                self._closes, self._force = self._wanted < before, self._wanted <= CLOSED_M
                return self._sent(Goal(self._wanted, self._force))
        if self.goal is not None and now_s >= self._again_s:
            return self._sent(Goal(self.goal.width, self._force))
        return None

    def _sent(self, goal: Goal) -> Goal:
        self.goal, self._differs_s, self._again_s = goal, math.nan, math.inf
        return goal

    def ended(self, goal: Goal, ok: bool, now_s: float, why: str = MISSED) -> None:
        """Hear what became of a goal; of an older one than the newest it is of no interest."""
        if goal is not self.goal:
            return
        if ok:
            self.problem = ""
        elif self._closes and not goal.force and why == MISSED:
            self._force, self._again_s = True, now_s  # something is in between: hold it
        else:
            self.problem = f"gripper: goal of {goal.width:.3f} m failed ({why}); it is sent again"
            self._again_s = now_s + RETRY_S
