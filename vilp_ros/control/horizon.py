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
AHEAD_S = 0.14  # how far ahead of the motion its target lies
REACH_S = 0.06  # beside the time to brake: what a single target is reached in, if the limits allow
BLEND_S = 0.16  # from the targets of one plan to those of the next
LONGEST_S = 2.0


class Horizon:
    """The motion in force. Not thread-safe.

    Args:
        limits: of the contract, with accelerations and jerks.
        kind: "ee_pose" or "joint_position".
        lead_s: what is rolled out goes on with the motion in force for so long: the time that it
            takes to compute, to send and to receive, in which the arm moves on.
    """

    def __init__(self, limits: Limits, kind: str, lead_s: float = 0.0) -> None:
        self._kind, self._resampler = kind, Resampler(limits, kind)
        self._lead = round(lead_s / PERIOD_S)
        axes = [limits.workspace[axis] for axis in "xyz"]
        ranges = axes if kind == "ee_pose" else list(limits.joint_position)
        self._low, self._high = np.array(ranges).T
        self.start_s = 0.0
        """When the first of `motions` is due."""
        self.motions: list[Motion] = []
        """One every `PERIOD_S`; the last is at rest. Empty: nothing is in force."""
        self._aims: tuple[float, Array] | None = None  # when the first is due, less AHEAD_S
        self.begun = 0
        """From which of `motions` on they are new."""
        self._before = self._in_force()

    def _in_force(self) -> tuple[float, list[Motion], tuple[float, Array] | None, int]:
        return self.start_s, self.motions, self._aims, self.begun

    def clear(self) -> None:
        """Forget the motion: the next one starts where the arm is."""
        self.motions, self._aims = [], None

    def late(self, now_s: float) -> bool:
        """Whether the arm would be past the place where the last `follow` led it elsewhere."""
        return bool(self._before[1]) and now_s > self.start_s + self.begun * PERIOD_S

    def undo(self) -> None:
        """Put the motion that was in force before the last `follow` back."""
        self.start_s, self.motions, self._aims, self.begun = self._before

    def follow(self, timeline: ActionTimeline, now_s: float, present: Array) -> bool:
        """Roll out the plan in force.

        Args:
            timeline: holds the plan.
            now_s: present time.
            present: (A,) where the arm was led last, or is; used if nothing is in force.

        Returns:
            Whether there was a plan.
        """
        self._before = self._in_force()
        start_s, motions = self._begin(now_s, present)
        begun, motion = len(motions) - 1, motions[-1]
        begin_s = start_s + begun * PERIOD_S
        times_s = begin_s - now_s + AHEAD_S + PERIOD_S * np.arange(1 + round(LONGEST_S / PERIOD_S))
        aims = timeline.ahead(now_s, times_s)
        if aims is None:
            return False
        size = len(self._low)
        aims[:, :size] = np.clip(aims[:, :size], self._low, self._high)
        self._blend(begin_s, aims)
        for before, aim in zip(aims, aims[1:]):
            change = difference(self._kind, before, aim)[: len(motion.velocity)]
            motion = self._resampler.follow(motion, aim, change / PERIOD_S, AHEAD_S, PERIOD_S)
            motions.append(motion)
            if not change.any() and _rests(motion, aim, self._kind):
                break
        self.start_s, self.motions, self.begun = start_s, self._ended(motions), begun
        return True

    def _blend(self, begin_s: float, aims: Array) -> None:
        """Lead from what was aimed at before to what is now, evenly, and remember it."""
        if self._aims is not None:
            old_s, old = self._aims
            shift = round((begin_s - old_s) / PERIOD_S)
            for index in range(min(len(aims), round(BLEND_S / PERIOD_S))):
                before = old[int(np.clip(index + shift, 0, len(old) - 1))]
                u = index * PERIOD_S / BLEND_S
                change = difference(self._kind, before, aims[index])
                aims[index] = moved(self._kind, before, u * u * (3 - 2 * u) * change)
        self._aims = (begin_s, aims)

    def reach(
        self, target: Array, velocity: Array, due_s: float, now_s: float, present: Array
    ) -> None:
        """Roll out the way to rest at one target, which may be another at the next call.

        Args:
            target: (A,) wanted; brought into the ranges.
            velocity: (D,) with which it moves from call to call.
            due_s: when the way begins, one of the times of `motions`; up to then what is in force
                goes on.
            now_s: present time.
            present: (A,) where the arm was led last, or is; used if nothing is in force.
        """
        self._aims = None
        self._stand_until(due_s, now_s, present)
        passed = int(max(0.0, now_s - self.start_s + 1e-9) / PERIOD_S)
        self.start_s += passed * PERIOD_S
        self.begun = round((due_s - self.start_s) / PERIOD_S)
        motions = self.motions[passed : passed + self.begun + 1]
        motions += [self.motions[-1]] * (self.begun + 1 - len(motions))
        motion = motions[-1]
        # Not sooner: it would brake each time, and speed up again when the target has moved on.
        left_s = REACH_S + float((abs(velocity) / self._resampler.acceleration).max())
        size = len(self._low)
        target = np.append(np.clip(target[:size], self._low, self._high), target[size:])
        still = np.zeros(len(motion.velocity))
        for _ in range(round(LONGEST_S / PERIOD_S)):
            if _rests(motion, target, self._kind):
                break
            motion = self._resampler.follow(motion, target, still, left_s, PERIOD_S)
            motions.append(motion)
            left_s -= PERIOD_S
        self.motions = self._ended(motions)

    def stop(self, now_s: float, present: Array) -> None:
        """Roll out a stop, as soon as the limits allow."""
        self._aims = None
        self.start_s, motions = self._begin(now_s, present)
        self.begun = len(motions) - 1
        self.motions = self._ended(motions)

    def at(self, now_s: float) -> Array:
        """The action (A,) for a time; before its begin the first, after its end the last."""
        place = (now_s - self.start_s) / PERIOD_S
        index = int(np.clip(place, 0, len(self.motions) - 1))
        action = self.motions[index].action
        if place <= 0 or index == len(self.motions) - 1:
            return action
        after = self.motions[index + 1].action
        return moved(self._kind, action, (place - index) * difference(self._kind, action, after))

    def heed_clock(self, now_s: float, present: Array) -> None:
        """After a clock that was set back: stand at `present`, where the arm was led last."""
        if self.motions and now_s < self.start_s - 2 * PERIOD_S:
            self.start_s, self.motions = now_s, [self._resampler.rest(present)]
            self._aims = None

    @property
    def stands(self) -> bool:
        """Whether nothing in it moves."""
        return all(motion.still for motion in self.motions)

    def over(self, now_s: float) -> bool:
        """Whether the arm has come to rest."""
        return now_s >= self.start_s + (len(self.motions) - 1) * PERIOD_S

    def _stand_until(self, due_s: float, now_s: float, present: Array) -> None:
        """Where nothing is in force, or no longer: stand there from now on."""
        if self.motions and not self.over(now_s):
            return
        last = self.motions[-1] if self.motions else self._resampler.rest(present)
        periods = 1 + int(max(due_s - now_s, 0.0) / PERIOD_S)
        self.start_s, self.motions = due_s - periods * PERIOD_S, [last] * (periods + 1)

    def _begin(self, now_s: float, present: Array) -> tuple[float, list[Motion]]:
        """What of the motion in force still holds, so that the new one begins on it exactly."""
        kept = 2 + self._lead
        if not self.motions:
            return now_s, [self._resampler.rest(present)] * kept
        index = int(max(0.0, now_s - self.start_s + 1e-9) / PERIOD_S)
        if index >= len(self.motions):
            return now_s, [self.motions[-1]] * kept
        motions = self.motions[index : index + kept]
        motions += [self.motions[-1]] * (kept - len(motions))
        return self.start_s + index * PERIOD_S, motions

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
