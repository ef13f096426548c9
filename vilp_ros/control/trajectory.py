"""Stamped joint targets, from a network that delays, drops and reorders, to where to be now.

The semantics are those of ros2_control's joint_trajectory_controller: a trajectory replaces what
was planned from its first point on, and the points say when, not how often. Times come from the
caller, on the clock of the header stamps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vilp_ros.control.action import Array
from vilp_ros.control.ladder import Ladder

KEEP_S = 0.5  # of the past: a slope is taken over points no further apart
NEAR_S = 0.02
BACKWARD_TOLERANCE_S = 0.05  # a clock goes back by less when it is slewed or read by two threads


class Reference(NamedTuple):
    """Where to be: position (J,) rad, velocity (J,) rad/s, and the rate of time (0: hold)."""

    position: Array
    velocity: Array
    rate: float


class JointPath:
    """Joins trajectories and reads them by the clock. Not thread-safe: the caller locks.

    Between points it is a cubic with their velocities, or the slopes around them where none are
    given. After the last point it goes on with that point's velocity while time is scaled down to a
    stop, within `bridge_s`: this bridges the gaps of a late stream and ends one that broke.

    Args:
        velocity: (J,) rad/s that no slope may exceed.
        bridge_s: real time from the last point to the stop.
    """

    def __init__(self, velocity: Array, bridge_s: float) -> None:
        self._limit = np.asarray(velocity, dtype=np.float64)
        self._bridge = Ladder(0.0, bridge_s / 2)
        self._now_s = -np.inf
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._stamp_s = -np.inf
        self._times = np.empty(0)
        self._positions = self._velocities = np.empty((0, len(self._limit)))

    def heed_clock(self, now_s: float) -> None:
        """After a clock that was set back: forget what was meant for another time.

        Otherwise newer trajectories would seem older for as long, and then the old one begin again.

        Args:
            now_s: present time; tell it before each use.
        """
        if now_s < self._now_s - BACKWARD_TOLERANCE_S:
            self.clear()
            self._now_s = now_s
        self._now_s = max(self._now_s, now_s)

    def submit(
        self,
        stamp_s: float,
        times_s: Array,
        positions: Array,
        velocities: Array | None,
        now_s: float,
    ) -> str | None:
        """Take a trajectory.

        Args:
            stamp_s: of the message; 0 means now.
            times_s: (N,) rising, from the stamp.
            positions: (N, J) rad, finite.
            velocities: (N, J) rad/s, or None.
            now_s: present time.

        Returns:
            Why it was refused, or None.
        """
        if not len(times_s):
            return "trajectory has no points"
        if (np.diff(times_s) <= 0).any():
            return "times of the points do not rise"
        stamp_s = stamp_s or now_s
        times_s = stamp_s + np.asarray(times_s, dtype=np.float64)
        if stamp_s < self._stamp_s:
            return f"trajectory is {self._stamp_s - stamp_s:.3f} s older than the one in force"
        if (over_s := now_s - times_s[-1]) > self._bridge.lasts_s:
            return f"trajectory ended {over_s:.3f} s ago; compare the clocks of the hosts"
        if (ahead_s := stamp_s - now_s) > KEEP_S:
            return f"trajectory is stamped {ahead_s:.3f} s in the future; compare the clocks"
        # Stamps jitter: what nearly coincides with the first new point would make a slope of noise.
        near_s = min([NEAR_S, *np.diff(times_s) / 2])
        past = (self._times < times_s[0] - near_s) & (self._times >= times_s[0] - KEEP_S)
        joined = np.concatenate([self._times[past], times_s])
        path = np.vstack([self._positions[past], positions])
        if velocities is None:
            slopes = np.zeros_like(path)
            if len(joined) > 1:
                slopes = np.gradient(path, joined, axis=0)
            slopes = np.clip(slopes, -self._limit, self._limit)
            velocities = slopes[-len(times_s) :]
        self._velocities = np.vstack([self._velocities[past], velocities])
        self._stamp_s, self._times, self._positions = stamp_s, joined, path
        return None

    def at(self, now_s: float) -> Reference | None:
        """Where to be at a time; None before the first trajectory. Before its begin: its begin."""
        times = self._times
        if not len(times):
            return None
        if now_s >= times[-1]:
            time_s, rate = self._bridge.at(now_s - times[-1])
            velocity = self._velocities[-1]
            return Reference(self._positions[-1] + time_s * velocity, rate * velocity, rate)
        if now_s <= times[0]:
            return Reference(self._positions[0], self._velocities[0], 1.0)
        index = int(np.searchsorted(times, now_s, side="right")) - 1
        span = times[index + 1] - times[index]
        u = (now_s - times[index]) / span
        (p0, p1), (v0, v1) = self._positions[index : index + 2], self._velocities[index : index + 2]
        change, v0, v1 = p1 - p0, v0 * span, v1 * span
        square, cube = 3 * change - 2 * v0 - v1, v0 + v1 - 2 * change
        position = p0 + u * (v0 + u * (square + u * cube))
        velocity = (v0 + u * (2 * square + 3 * u * cube)) / span
        return Reference(position, np.clip(velocity, -self._limit, self._limit), 1.0)
