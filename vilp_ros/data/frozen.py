"""Notices a camera that sends the same picture again under fresh stamps. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.data.robot_state import blend_linear
from vilp_ros.data.synchroniser import STATE_HISTORY_S, Track

MOVED_M = 0.01
FROZEN_S = 1.0
"""The same picture for so long while the hand moves spoils an episode."""


class _Shown(NamedTuple):
    """Since when, and with the hand where, a view shows the same."""

    content: Hashable
    since_s: float
    hand: NDArray[np.float64] | None


class Frozen(NamedTuple):
    """For how long a view showed the same, and how far the hand moved meanwhile."""

    seconds: float
    metres: float

    def __str__(self) -> str:
        """A phrase."""
        moved = f"while the hand moved by {1e3 * self.metres:.0f} mm"
        return f"the same picture for {self.seconds:.1f} s {moved}"


class FrozenWatch:
    """Knows what each view showed last, and where the hand was then.

    A picture that is equal to the bit while the hand has moved by a centimetre is no picture of
    now: a sensor has noise, and a simulator draws the arm. Where the hand rests, a picture that
    stays the same is that of a scene that stands still, for as long as it may.

    Args:
        least_s: for how long a picture must be the same. A live policy had better wait for the next
            one at once; an episode is spoiled by a second, and not by the few pictures in which a
            simulated camera at the wrist sees nothing but what it carries.

    Attributes:
        found: per view what was wrong when it was wrong for longest.
    """

    def __init__(self, least_s: float = 0.0) -> None:
        self._hand: Track[NDArray[np.float64]] = Track(blend_linear, STATE_HISTORY_S)
        self._least_s = least_s
        self._seen: dict[str, _Shown] = {}
        self.found: dict[str, Frozen] = {}

    def moved(self, stamp_s: float, position: NDArray[np.float64]) -> None:
        """Note where the hand was, (3,) m."""
        self._hand.add(stamp_s, np.asarray(position))

    def check(self, view: str, stamp_s: float, content: Hashable) -> str | None:
        """What is wrong with a picture, in words; None if nothing is.

        Args:
            view: any name.
            stamp_s: of the picture, which may come later than where the hand was by then.
            content: equal for equal pictures: a check sum, or the bytes themselves.
        """
        found, seen = self._hand.at(stamp_s, math.inf), self._seen.get(view)
        hand = None if found is None else found[1]
        if seen is None or seen.content != content or seen.hand is None or hand is None:
            self._seen[view] = _Shown(content, stamp_s, hand)
            return None
        distance = float(np.linalg.norm(hand - seen.hand))
        same_s = stamp_s - seen.since_s
        if distance < MOVED_M or same_s < self._least_s:
            return None
        self.found[view] = max(self.found.get(view, Frozen(0.0, 0.0)), Frozen(same_s, distance))
        return f"frozen: the same picture while the hand moved by {1e3 * distance:.0f} mm"
