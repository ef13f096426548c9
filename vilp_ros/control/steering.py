"""From targets of a hand to the motion of an arm: inverse kinematics, limits, an end at rest."""

from __future__ import annotations

import math

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.control.action import Array, difference, moved
from vilp_ros.control.fit import Fit
from vilp_ros.control.horizon import PERIOD_S, Horizon
from vilp_ros.control.jog import Jog
from vilp_ros.control.limits import MAX_STEP_S
from vilp_ros.kinematics import Kinematics, KinematicsError, kinematics_of

_EARLY_S = 1.5 * PERIOD_S  # by which a step may be made before it must be: no caller is on time
_SHARE = 0.9  # of a joint's velocity: what lags behind must be able to catch up
_TURN = 2.0  # times that, of a step which is slowed already: another stance, not a motion


class Steering:
    """Leads an arm by a jogged target: what leaves is one motion within the contract's limits.

    The target moves as the motion does, from one of its points to the next, so that neither the
    rate nor the jitter of the caller shows. Each step is a way to rest at the target, so that the
    arm never passes it, and comes to rest by itself if there is no other. Where a joint cannot go
    as fast as the hand is asked to, the hand is slowed; a pose that the arm cannot take is no
    target.

    Args:
        contract: of the robot. Where it has no accelerations and jerks for what it sends, targets
            leave as they are.
        jog: makes the targets.
        lead_s: for so long the motion in force goes on: what computing, sending and receiving take.

    Attributes:
        finding: why the hand does not do what it is asked to, in words; or empty.
        refused: whether it stays where it is.
        horizon: the motion in force; None where targets leave as they are.
        fit: compares the arm's kinematics with its pose; None without.

    Raises:
        VilpError: Joints are sent, and the contract does not say of which arm.
    """

    def __init__(self, contract: Contract, jog: Jog, lead_s: float = 0.0) -> None:
        self._kind, self._jog = contract.action.sends, jog
        self.finding, self.refused = "", False
        self._lead_s, self._due_s = lead_s, 0.0
        limits = contract.limits
        self._kinematics: Kinematics | None = None
        self.fit: Fit | None = None
        if self._kind == "joint_position":
            self._kinematics = kinematics_of(contract)
            if contract.proprio.ee_pose_topic is not None:
                self.fit = Fit(contract, self._kinematics)
        self._velocity = _SHARE * np.array(limits.joint_velocity)
        smooth = limits.dynamic(self._kind)
        self.horizon = Horizon(limits, self._kind) if smooth else None
        self._aim: Array | None = None  # (A,) where the arm is led to, in the words it is sent

    @property
    def begun(self) -> bool:
        """Whether it leads the arm."""
        return self._aim is not None

    def begin(self, start: Array, now_s: float) -> None:
        """Lead the arm from `start` (A,), where it rests, in the words that it is sent."""
        self._aim, self.finding, self.refused = np.array(start, np.float64), "", False
        self._due_s = now_s + self._lead_s
        self._jog.begin(self.hand(start))
        if self.horizon is not None:
            self.horizon.clear()

    def release(self) -> None:
        """Lead it no more: what is in force goes on to its end, at rest."""
        self._aim, self.finding, self.refused = None, "", False
        self._jog.release()

    def hand(self, command: Array) -> Array:
        """(A,) pose and width of what is sent (A,)."""
        if self._kinematics is None:
            return command
        return np.append(self._kinematics.forward(command[:-1]), command[-1])

    def command(self, now_s: float) -> Array:
        """(A,) where the arm is to be now, in the words that it is sent."""
        assert self._aim is not None
        if self.horizon is None or not self.horizon.motions:
            return self._aim
        return np.append(self.horizon.at(now_s)[:-1], self._aim[-1])

    def step(self, twist: Array, measured: Array, now_s: float) -> bool:
        """Goes on by the deflection of the stick.

        Args:
            twist: (6,) as of `Jog.step`.
            measured: (A,) where the arm is, in the words that it is sent.
            now_s: present time.

        Returns:
            Whether there is a new motion; False if it is too early for the next step.

        Raises:
            UnsafeCommandError: the measured state is not finite.
        """
        before, last, present = self._jog.target, self._aim, self.command(now_s)
        assert before is not None
        assert last is not None
        due_s = now_s
        if self.horizon is not None:
            self.horizon.heed_clock(now_s, present)
            due_s = self._next_s(now_s)
            if due_s > now_s + self._lead_s + _EARLY_S:
                return False
        dt_s = due_s - self._due_s
        if not 0 < dt_s <= MAX_STEP_S:  # the first; a stall, or a clock that was set
            dt_s = PERIOD_S
        target = self._jog.step(twist, self.hand(measured), dt_s)
        self._due_s = due_s
        self._aim = target if self._kinematics is None else self._reached(before, target, dt_s)
        if self.horizon is not None:
            speed = difference(self._kind, last, self._aim)[:-1] / dt_s
            self.horizon.reach(self._aim, speed, due_s, now_s, present)
        return True

    def stop(self, now_s: float) -> None:
        """Come to rest as soon as the limits allow."""
        if self.horizon is not None and self.horizon.motions:
            self.horizon.stop(now_s, self.command(now_s))

    def over(self, now_s: float) -> bool:
        """Whether the arm has come to rest."""
        return self.horizon is None or not self.horizon.motions or self.horizon.over(now_s)

    def _next_s(self, now_s: float) -> float:
        """When the next step of the motion begins: a period after the last, if that is in time."""
        earliest_s = now_s + self._lead_s
        periods = math.ceil((earliest_s - self._due_s) / PERIOD_S - 1e-6)
        if not -_EARLY_S / PERIOD_S - 1 < periods <= MAX_STEP_S / PERIOD_S:
            return earliest_s + PERIOD_S
        return self._due_s + max(periods, 1) * PERIOD_S

    def _reached(self, before: Array, target: Array, dt_s: float) -> Array:
        """(A,) joints of the next target, which may be nearer than asked for, or the one before."""
        assert self._kinematics is not None
        assert self._aim is not None
        here, self.finding, self.refused = self._aim[:-1], "", False
        try:
            joints = self._kinematics.inverse(target[:7], here)
            joint, excess = self._excess(joints - here, dt_s)
            if excess > 1:
                self.finding = f"slowed: joint{joint + 1} turns as fast as it may"
                step = difference("ee_pose", before, target) / excess
                target = np.append(moved("ee_pose", before, step)[:7], target[7])
                joints = self._kinematics.inverse(target[:7], here)
                joint, excess = self._excess(joints - here, dt_s)
            if excess > _TURN:
                turn = abs(joints - here)[joint]
                raise KinematicsError(f"joint{joint + 1} would turn by {turn:.2f} rad at once")
        except KinematicsError as error:
            self.finding, self.refused = f"the hand stays, steer another way: {error}", True
            joints, target = here, np.append(before[:7], target[7])
        self._jog.target = target
        return np.append(joints, target[7])

    def _excess(self, change: Array, dt_s: float) -> tuple[int, float]:
        """The joint that is asked for most, and how many times what it may turn in that time."""
        ratio = abs(change) / (self._velocity * dt_s)
        return int(np.argmax(ratio)), float(ratio.max())
