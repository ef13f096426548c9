"""Bring views and robot state to one time, by header stamp. Pure: times are seconds, no ROS."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

SAME_S = 5e-7
"""Stamps are whole microseconds: what lies closer is the same one after some arithmetic."""
STEP_BACK_S = 1.0
"""A stamp this much older than its predecessor means that the clock was set, not that it's late."""


class Track(Generic[T]):
    """The recent past of one channel, stamps strictly rising.

    Args:
        blend: (before, after, u in 0..1) -> value between two samples; without it the nearest one
            is taken.
        depth: Samples kept.
    """

    def __init__(self, blend: Callable[[T, T, float], T] | None = None, depth: int = 64) -> None:
        self._blend = blend
        self._stamps: deque[float] = deque(maxlen=depth)
        self._values: deque[T] = deque(maxlen=depth)

    def add(self, stamp_s: float, value: T) -> bool:
        """Append a sample; a late or repeated stamp is ignored.

        Returns:
            True when the clock was stepped back, in which case the past was forgotten.
        """
        stepped = bool(self._stamps) and stamp_s < self._stamps[-1] - STEP_BACK_S
        if stepped:
            self.clear()
        if not self._stamps or stamp_s > self._stamps[-1]:
            self._stamps.append(stamp_s)
            self._values.append(value)
        return stepped

    def at(self, stamp_s: float, slop_s: float) -> tuple[float, T] | None:
        """The sample at `stamp_s`: blended if two samples enclose it closely, else the nearest.

        Returns:
            (stamp, value), or None when nothing lies within `slop_s`.
        """
        after = bisect.bisect_left(self._stamps, stamp_s)
        near = [i for i in (after - 1, after) if 0 <= i < len(self._stamps)]
        if not near:
            return None
        exact = min(abs(self._stamps[i] - stamp_s) for i in near) < SAME_S
        if self._blend and len(near) == 2 and not exact:
            t0, t1 = self._stamps[near[0]], self._stamps[near[1]]
            if t1 - t0 <= 2 * slop_s:
                u = (stamp_s - t0) / (t1 - t0)
                return stamp_s, self._blend(self._values[near[0]], self._values[near[1]], u)
        best = min(near, key=lambda i: abs(self._stamps[i] - stamp_s))
        if abs(self._stamps[best] - stamp_s) > slop_s:
            return None
        return self._stamps[best], self._values[best]

    def clear(self) -> None:
        """Forget every sample."""
        self._stamps.clear()
        self._values.clear()


class Synchroniser(Generic[T]):
    """Approximate-time synchroniser: one message of each view, plus the state at that time.

    A set is complete when every view has a message within `slop_s` of the one that just came and
    every state channel can be read there. Sets leave in order of their stamp, which is the oldest
    of the views' (an age computed from it never looks better than it is); a late set is dropped.

    Args:
        views: Channels that must each give a message.
        states: Channels that are read at the views' time, each with its blend.
        slop_s: Largest distance in time within a set.
    """

    def __init__(
        self,
        views: Iterable[str],
        states: Mapping[str, Callable[[T, T, float], T]],
        slop_s: float,
    ) -> None:
        self._slop_s = slop_s
        self._views: dict[str, Track[T]] = {name: Track(depth=8) for name in views}
        self._states: dict[str, Track[T]] = {name: Track(blend) for name, blend in states.items()}
        self._last_s = -math.inf
        self._pivot_s = -math.inf

    def add(self, channel: str, stamp_s: float, value: T) -> tuple[float, dict[str, T]] | None:
        """Take one message.

        Args:
            channel: A name given to the constructor.
            stamp_s: When it was true, seconds.
            value: Handed back as it is, or blended.

        Returns:
            (stamp, {channel: value}) if the message completes a set, else None.
        """
        track = self._views.get(channel) or self._states[channel]
        if track.add(stamp_s, value):
            self._forget_but(channel)
        if channel in self._views:
            self._pivot_s = stamp_s
        return self._complete()

    def _forget_but(self, channel: str) -> None:
        for name, track in {**self._views, **self._states}.items():
            if name != channel:
                track.clear()
        self._last_s = self._pivot_s = -math.inf

    def _complete(self) -> tuple[float, dict[str, T]] | None:
        found = {name: track.at(self._pivot_s, self._slop_s) for name, track in self._views.items()}
        views = {name: sample for name, sample in found.items() if sample is not None}
        if len(views) < len(self._views):
            return None
        stamp_s = min(stamp for stamp, _ in views.values())
        if stamp_s <= self._last_s:
            return None
        found = {name: track.at(stamp_s, self._slop_s) for name, track in self._states.items()}
        states = {name: sample for name, sample in found.items() if sample is not None}
        if len(states) < len(self._states):
            return None
        self._last_s = stamp_s
        return stamp_s, {name: value for name, (_, value) in {**views, **states}.items()}
