"""A plan rolled out ahead of time: a motion within all limits that ends at rest.

It is made when a plan arrives or the arm must hold, begins on the motion made before, and is then
either sent whole (who receives it comes to a stop by itself if we fall silent) or read by the
clock.
"""

from __future__ import annotations

import numpy as np

from vilp_ros.contract import Limits
from vilp_ros.control.action import Array, difference, moved
from vilp_ros.control.resampler import Motion, Resampler
from vilp_ros.control.timeline import ActionTimeline

PERIOD_S = 0.02
AHEAD_S = 0.1  # how far ahead of the motion its target lies
LONGEST_S = 2.0
_SLOPE_S = 0.02


class Horizon:
    """The motion in force. Not thread-safe.

    Args:
        limits: of the contract, with accelerations and jerks.
        kind: "ee_pose" or "joint_position".
    """

    def __init__(self, limits: Limits, kind: str) -> None:
        self._kind, self._resampler = kind, Resampler(limits, kind)
        axes = [limits.workspace[axis] for axis in "xyz"]
        ranges = axes if kind == "ee_pose" else list(limits.joint_position)
        self._low, self._high = np.array(ranges).T
        self.start_s = 0.0
        """When the first of `motions` is due."""
        self.motions: list[Motion] = []
        """One every `PERIOD_S`; the last is at rest. Empty: nothing is in force."""

    def clear(self) -> None:
        """Forget the motion: the next one starts where the arm is."""
        self.motions = []

    def follow(self, timeline: ActionTimeline, now_s: float, present: Array) -> bool:
        """Roll out the plan in force.

        Args:
            timeline: holds the plan.
            now_s: present time.
            present: (8,) where the arm is; used if nothing is in force.

        Returns:
            Whether there was a plan.
        """
        begin_s, motion = self._begin(now_s, present)
        steps = round(LONGEST_S / PERIOD_S)
        times_s = begin_s - now_s + PERIOD_S * np.arange(1, steps + 1) + AHEAD_S
        targets = timeline.ahead(now_s, np.concatenate([times_s - _SLOPE_S, times_s]))
        if targets is None:
            return False
        size = len(self._low)
        targets[:, :size] = np.clip(targets[:, :size], self._low, self._high)
        motions = [motion]
        for before, target in zip(targets[:steps], targets[steps:]):
            change = difference(self._kind, before, target)[: len(motion.velocity)]
            motion = self._resampler.follow(motion, target, change / _SLOPE_S, AHEAD_S, PERIOD_S)
            motions.append(motion)
            if not change.any() and _rests(motion, target, self._kind):
                break
        self.start_s, self.motions = begin_s, self._ended(motions)
        return True

    def stop(self, now_s: float, present: Array) -> None:
        """Roll out a stop, as soon as the limits allow."""
        begin_s, motion = self._begin(now_s, present)
        self.start_s, self.motions = begin_s, self._ended([motion])

    def at(self, now_s: float) -> Array:
        """The action (8,) for a time; before its begin the first, after its end the last."""
        place = (now_s - self.start_s) / PERIOD_S
        index = int(np.clip(place, 0, len(self.motions) - 1))
        action = self.motions[index].action
        if place <= 0 or index == len(self.motions) - 1:
            return action
        after = self.motions[index + 1].action
        return moved(self._kind, action, (place - index) * difference(self._kind, action, after))

    def _begin(self, now_s: float, present: Array) -> tuple[float, Motion]:
        """The next instant of the motion in force, so that the new one begins on it exactly."""
        if not self.motions:
            return now_s, self._resampler.rest(present)
        index = int(np.ceil(round((now_s - self.start_s) / PERIOD_S, 6)))
        if not 0 <= index < len(self.motions):  # it is over, or the clock was set
            return now_s, self._resampler.rest(self.motions[-1].action)
        return self.start_s + index * PERIOD_S, self.motions[index]

    def _ended(self, motions: list[Motion]) -> list[Motion]:
        """Ending in rest, whether the plan did or not."""
        while not motions[-1].still:
            motion = self._resampler.stop(motions[-1], PERIOD_S)
            if np.abs(motion.velocity).max() < 1e-6 and np.abs(motion.acceleration).max() < 1e-3:
                motion = self._resampler.rest(motion.action)
            motions.append(motion)
        return motions


def _rests(motion: Motion, target: Array, kind: str) -> bool:
    near = difference(kind, motion.action, target)[: len(motion.velocity)]
    return bool(np.abs(near).max() < 1e-6 and np.abs(motion.velocity).max() < 1e-4)
