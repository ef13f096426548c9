"""From plans that arrive late, twice, out of order or not at all, to one command for now.

A plan is stamped with the instant of the observation it was made from, and its action k is in force
at stamp + k * period: the clock says where in a plan the arm is, nothing is ever counted. The
newest stamp wins; until a newer one comes the old plan goes on, for `n_action_steps` of it. A plan
that took long to come goes on, if it is long enough, until the next may have taken as long.

Every time comes from the caller, on the clock of the header stamps. When that clock steps

- forwards, the plan is further on, or over; new plans carry later stamps, nothing need be done.
- backwards by up to `BACKWARD_TOLERANCE_S`, as it looks from two threads, time stands still until
  it has caught up.
- backwards by more, a new epoch begins. The plan in force now lies in the future, and plans of the
  new clock would look older than it for as long as the clock was put back. So it is forgotten, only
  plans stamped after the step are taken, and the arm holds until the first of them.

Only the caller's clock opens an epoch. Stamps that step back alone come from a host whose clock is
wrong, and are refused by name.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.control.action import POSE_SIZE, Array, difference, fault, moved, same_sign
from vilp_ros.control.ladder import Ladder

BACKWARD_TOLERANCE_S = 0.01


@dataclass(frozen=True)
class Accepted:
    """A plan that is now in force.

    Attributes:
        stamp_s: instant of the observation it was made from.
        age_s: from that instant to its arrival.
    """

    stamp_s: float
    age_s: float


@dataclass(frozen=True)
class Sample:
    """The command for one instant.

    Attributes:
        action: (A,); see `vilp_ros.control.action`.
        source_stamp_s: instant of the observation that it came from.
        exhausted: the plan is over or was dropped, and `action` repeats the last sample: hold.
        rate: of the plan's time: 1 by its stamps, less while it slows since no newer one came.
    """

    action: Array
    source_stamp_s: float
    exhausted: bool
    rate: float = 1.0


@dataclass(frozen=True)
class _Plan:
    stamp_s: float
    actions: Array  # (N, A)
    clock: Ladder


class ActionTimeline:
    """Holds the plan in force and samples it. Safe to call from several threads.

    Between action k and k + 1 a sample is interpolated. When a newer plan takes over, what was
    sampled last differs from it; that difference is added to the new plan and fades out over
    `crossfade_s`. A plan that agrees with the old one thus causes no lag, any other no jump. The
    first plan after a `clear` fades in over `fade_in_s` from where the arm is, if that is told.

    When no newer plan comes, the time of the old one is scaled down to a stop (see `Ladder`), along
    actions beyond `n_action_steps` if it has them.

    Args:
        kind: "ee_pose" or "joint_position".
        period_s: duration of one action.
        n_action_steps: how many actions of a plan are executed, unless it came late.
        crossfade_s: duration of the fade; 0 switches at once.
        latency_s: from sending a command to the arm acting on it; samples lie that far ahead.
        slow_s: real time in which a plan that nobody renews comes to its stop; 0 stops dead.
        fade_in_s: duration of the first fade.
        staleness_s: a plan older than this on arrival is refused, however long it is.
        size: A, of an action.
    """

    def __init__(
        self,
        kind: str,
        period_s: float,
        n_action_steps: int,
        crossfade_s: float = 0.1,
        latency_s: float = 0.0,
        slow_s: float = 0.0,
        fade_in_s: float = 0.0,
        staleness_s: float = math.inf,
        size: int = POSE_SIZE,
    ) -> None:
        if latency_s >= n_action_steps * period_s:
            lasts_s = n_action_steps * period_s
            raise ValueError(f"a plan lasts {lasts_s:g} s, but commands act after {latency_s:g} s")
        self._kind, self._size = kind, size
        self._period_s = period_s
        self._n_action_steps = n_action_steps
        self._crossfade_s = crossfade_s
        self._latency_s = latency_s
        self._slow_s, self._fade_in_s, self._staleness_s = slow_s, fade_in_s, staleness_s
        self._lock = threading.Lock()
        self._now_s = -math.inf  # the latest time of this epoch
        self._not_before_s = -math.inf
        self._plan: _Plan | None = None
        self._last: Sample | None = None
        self._last_s = -math.inf  # when `_last` was sampled
        self._fade: Array | None = None
        self._fade_from_s, self._fade_over_s = -math.inf, crossfade_s

    def submit(
        self, stamp_s: float, actions: ArrayLike, now_s: float, present: ArrayLike | None = None
    ) -> Accepted | str:
        """Offer a plan.

        Args:
            stamp_s: instant of the observation it was made from.
            actions: (N, A), N >= n_action_steps; action k is the target for stamp_s + k * period_s.
            now_s: present time.
            present: (A,) where the arm is; None: the first plan does not fade in.

        Returns:
            Accepted, or why the plan was refused.
        """
        actions = np.array(actions, dtype=np.float64)
        if actions.ndim != 2 or len(actions) < self._n_action_steps:
            allowed = f"({self._n_action_steps} or more, {self._size})"
            return f"plan has shape {actions.shape}, allowed {allowed}"
        for index, action in enumerate(actions):
            if what := fault(self._kind, action, self._size):
                return f"plan action {index} {what}"
        with self._lock:
            now_s = self._advance(now_s)
            if refusal := self._refusal(stamp_s, now_s, len(actions)):
                return refusal
            clock = self._clock(now_s - stamp_s, len(actions))
            self._plan = _Plan(stamp_s, actions, clock)
            if self._last is not None:
                # Against where the new plan would have been at the last sample, not now: a plan
                # that continues the old one then differs by nothing.
                self._fade = difference(self._kind, self._at(self._last_s), self._last.action)
                self._fade_from_s, self._fade_over_s = self._last_s, self._crossfade_s
            elif present is not None:
                start = np.asarray(present, dtype=np.float64)
                self._fade = difference(self._kind, self._at(now_s), start)
                self._fade_from_s, self._fade_over_s = now_s, self._fade_in_s
            return Accepted(stamp_s, now_s - stamp_s)

    def sample(self, now_s: float) -> Sample | None:
        """The command for now.

        Args:
            now_s: present time.

        Returns:
            None until the first plan after the start or a `clear`; then always a sample.
        """
        with self._lock:
            now_s = self._advance(now_s)
            if self._plan is not None and now_s < self._end_s(self._plan.stamp_s, self._plan.clock):
                if now_s - self._fade_from_s >= self._fade_over_s:
                    self._fade = None
                action = self._faded(now_s)
                if self._last is not None:
                    action = same_sign(self._kind, action, self._last.action)
                action.setflags(write=False)
                rate = self._plan.clock.at(now_s + self._latency_s - self._plan.stamp_s).rate
                self._last = Sample(action, self._plan.stamp_s, exhausted=False, rate=rate)
            elif self._last is not None:
                last = self._last
                self._last = Sample(last.action, last.source_stamp_s, exhausted=True, rate=0.0)
            self._last_s = now_s
            return self._last

    def ahead(self, now_s: float, times_s: ArrayLike) -> Array | None:
        """What samples will be if no newer plan comes; changes nothing.

        Args:
            now_s: present time.
            times_s: (K,) from now, not negative.

        Returns:
            (K, A), each interpolated like a sample; None without a plan in force.
        """
        with self._lock:
            if self._plan is None:
                return None
            return np.array([self._faded(now_s + time_s) for time_s in np.asarray(times_s)])

    def clear(self, not_before_s: float) -> None:
        """Forget every plan and the last sample.

        Args:
            not_before_s: plans stamped before this are refused from now on.
        """
        with self._lock:
            self._plan = self._last = self._fade = None
            self._not_before_s = not_before_s

    def _advance(self, now_s: float) -> float:
        if now_s < self._now_s - BACKWARD_TOLERANCE_S:
            self._plan = None
            self._not_before_s = self._now_s = self._last_s = now_s
        self._now_s = max(self._now_s, now_s)
        return self._now_s

    def _clock(self, age_s: float, rows: int) -> Ladder:
        next_s = 2 * age_s + self._latency_s  # where the next plan would take over
        end_s = min(max(self._n_action_steps * self._period_s, next_s), rows * self._period_s)
        return Ladder.ending(end_s, self._slow_s, (rows - 1) * self._period_s)

    def _end_s(self, stamp_s: float, clock: Ladder) -> float:
        """When the last action to execute has been in force for its period, or time stands."""
        return stamp_s + clock.lasts_s - self._latency_s

    def _refusal(self, stamp_s: float, now_s: float, rows: int) -> str | None:
        if not math.isfinite(stamp_s):
            return f"plan stamp is {stamp_s}"
        if stamp_s > now_s:
            ahead_s = stamp_s - now_s
            return f"plan is stamped {ahead_s:.3f} s in the future: compare the clocks of the hosts"
        if stamp_s < self._not_before_s:
            early_s = self._not_before_s - stamp_s
            return f"plan was observed {early_s:.3f} s before plans were accepted"
        if self._plan is not None and stamp_s == self._plan.stamp_s:
            return f"plan is a duplicate of the one in force, stamped {stamp_s:.3f} s"
        if self._plan is not None and stamp_s < self._plan.stamp_s:
            return f"plan is {self._plan.stamp_s - stamp_s:.3f} s older than the one in force"
        age_s, lasts_s = now_s - stamp_s, rows * self._period_s - self._latency_s
        if age_s >= min(lasts_s, self._staleness_s):
            limit = f"lasts {lasts_s:.3f} s, staleness_s is {self._staleness_s:g} s"
            return f"plan is stale: {age_s:.3f} s old on arrival; it {limit}"
        return None

    def _at(self, now_s: float) -> Array:
        """The plan in force, interpolated, before any fade."""
        assert self._plan is not None
        actions = self._plan.actions
        elapsed_s = self._plan.clock.at(now_s + self._latency_s - self._plan.stamp_s).time_s
        elapsed = min(elapsed_s / self._period_s, len(actions) - 1.0)
        index = int(elapsed)
        start, end = actions[index], actions[min(index + 1, len(actions) - 1)]
        change = difference(self._kind, start, end)
        return moved(self._kind, start, (elapsed - index) * change)

    def _faded(self, now_s: float) -> Array:
        """The plan in force with what is left of the fade."""
        action, elapsed_s = self._at(now_s), now_s - self._fade_from_s
        if self._fade is None or elapsed_s >= self._fade_over_s:
            return action
        return moved(self._kind, action, (1 - elapsed_s / self._fade_over_s) * self._fade)
