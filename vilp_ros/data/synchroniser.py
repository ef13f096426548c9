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
HISTORY_S, STATE_HISTORY_S = 1.0, 5.0
"""How much of the past a view and a channel of the state keep, whatever their rate, and so how much
later than the others a view may come. Pictures are large."""


class Track(Generic[T]):
    """The recent past of one channel, stamps strictly rising.

    Args:
        blend: (before, after, u in 0..1) -> value between two samples; without it the nearest one
            is taken.
        history_s: how far back it reaches.
    """

    def __init__(
        self, blend: Callable[[T, T, float], T] | None = None, history_s: float = HISTORY_S
    ) -> None:
        self._blend, self._history_s = blend, history_s
        self._stamps: deque[float] = deque()
        self._values: deque[T] = deque()

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
            # The newest that is too old stays: what lies between it and the next can be read.
            while len(self._stamps) > 2 and self._stamps[1] < stamp_s - self._history_s:
                self._stamps.popleft()
                self._values.popleft()
        return stepped

    def reaches(self, stamp_s: float) -> bool:
        """Whether a sample of that time or a later one came."""
        return bool(self._stamps) and self._stamps[-1] > stamp_s - SAME_S

    def at(self, stamp_s: float, slop_s: float) -> tuple[float, T] | None:
        """The sample at `stamp_s`: blended if two samples enclose it closely, else the nearest.

        Returns:
            (stamp, value), or None when nothing lies within `slop_s`.
        """
        near = self._near(stamp_s)
        if not near:
            return None
        best = min(near, key=lambda i: abs(self._stamps[i] - stamp_s))
        exact = abs(self._stamps[best] - stamp_s) < SAME_S
        if self._blend and len(near) == 2 and not exact:
            t0, t1 = self._stamps[near[0]], self._stamps[near[1]]
            if t1 - t0 <= 2 * slop_s:
                u = (stamp_s - t0) / (t1 - t0)
                return stamp_s, self._blend(self._values[near[0]], self._values[near[1]], u)
        if abs(self._stamps[best] - stamp_s) > slop_s:
            return None
        return self._stamps[best], self._values[best]

    def between(self, stamp_s: float, widest_s: float) -> T | None:
        """The value at that very time: of a sample, or blended of the two that enclose it.

        Args:
            stamp_s: when.
            widest_s: the two may be so far apart.

        Returns:
            None when it is not enclosed, or not so closely.
        """
        near = self._near(stamp_s)
        for i in near:
            if abs(self._stamps[i] - stamp_s) < SAME_S:
                return self._values[i]
        if len(near) < 2 or self._blend is None:
            return None
        t0, t1 = self._stamps[near[0]], self._stamps[near[1]]
        if t1 - t0 > widest_s:
            return None
        u = (stamp_s - t0) / (t1 - t0)
        return self._blend(self._values[near[0]], self._values[near[1]], u)

    def clear(self) -> None:
        """Forget every sample."""
        self._stamps.clear()
        self._values.clear()

    def _near(self, stamp_s: float) -> list[int]:
        """Indices of the samples on both sides of a time."""
        after = bisect.bisect_left(self._stamps, stamp_s)
        return [i for i in (after - 1, after) if 0 <= i < len(self._stamps)]


class Synchroniser(Generic[T]):
    """Approximate-time synchroniser: one message of each view, plus the state at that time.

    Views belong together that lie within `slop_s` of the one that just came. They wait until every
    state channel has come as far, so that the state is that of their very time, be they early or
    late. Sets leave in order of their stamp, which is the oldest of the views' (an age computed
    from it never looks better than it is); a late set is dropped, and so is one whose time a state
    channel left out.

    Args:
        views: Channels that must each give a message.
        states: Channels that are read at the views' time, each with its blend.
        slop_s: Largest distance in time between the views of a set.
        widest_s: Longest gap in a state channel that is bridged.
    """

    def __init__(
        self,
        views: Iterable[str],
        states: Mapping[str, Callable[[T, T, float], T]],
        slop_s: float,
        widest_s: float = HISTORY_S,
    ) -> None:
        self._slop_s, self._widest_s = slop_s, widest_s
        self._views: dict[str, Track[T]] = {name: Track() for name in views}
        self._states = {name: Track(blend, STATE_HISTORY_S) for name, blend in states.items()}
        self._waiting: deque[tuple[float, dict[str, T]]] = deque()
        self._last_s = -math.inf

    def add(self, channel: str, stamp_s: float, value: T) -> list[tuple[float, dict[str, T]]]:
        """Take one message.

        Args:
            channel: A name given to the constructor.
            stamp_s: When it was true, seconds.
            value: Handed back as it is, or blended.

        Returns:
            (stamp, {channel: value}) of each set that it completes, oldest first.
        """
        track = self._views.get(channel) or self._states[channel]
        if track.add(stamp_s, value):
            self._forget_but(channel)
        if channel in self._views:
            self._join(stamp_s)
        return self._complete()

    def state(self, stamp_s: float) -> dict[str, T] | None:
        """Every state channel at a recent time; None where one cannot be read."""
        found = {n: track.between(stamp_s, self._widest_s) for n, track in self._states.items()}
        values = {name: value for name, value in found.items() if value is not None}
        return values if len(values) == len(self._states) else None

    def _forget_but(self, channel: str) -> None:
        for name, track in {**self._views, **self._states}.items():
            if name != channel:
                track.clear()
        self._waiting.clear()
        self._last_s = -math.inf

    def _join(self, pivot_s: float) -> None:
        found = {name: track.at(pivot_s, self._slop_s) for name, track in self._views.items()}
        views = {name: sample for name, sample in found.items() if sample is not None}
        if len(views) < len(self._views):
            return
        stamp_s = min(stamp for stamp, _ in views.values())
        if stamp_s <= self._last_s:
            return
        self._last_s = stamp_s
        self._waiting.append((stamp_s, {name: value for name, (_, value) in views.items()}))
        while stamp_s - self._waiting[0][0] > HISTORY_S:  # for a state that does not come
            self._waiting.popleft()

    def _complete(self) -> list[tuple[float, dict[str, T]]]:
        complete = []
        while self._waiting and all(t.reaches(self._waiting[0][0]) for t in self._states.values()):
            stamp_s, views = self._waiting.popleft()
            if (states := self.state(stamp_s)) is not None:
                complete.append((stamp_s, {**views, **states}))
        return complete
