"""Targets of a few hertz to a motion within velocity, acceleration and jerk limits.

Time-optimal online trajectories by ruckig (Berscheid and Kroeger, "Jerk-limited Real-time
Trajectory Generation with Arbitrary Target States", RSS 2021), one step a call. Nothing is kept
between calls, so that the same code moves an arm and looks ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from ruckig import (
    ControlInterface,
    InputParameter,
    Result,
    Ruckig,
    RuckigError,
    Synchronization,
    Trajectory,
)

from vilp_ros.contract import Limits
from vilp_ros.control.action import Array, difference, moved
from vilp_ros.errors import VilpError

_HEADROOM = 0.98  # of the limits may be a target's own velocity: ruckig refuses one on the limit


@dataclass(frozen=True)
class Motion:
    """A moving arm at one instant.

    Attributes:
        action: (A,) as in `vilp_ros.control.action`.
        velocity: (D,) of the arm. D = J joints, rad/s; or 6 = xyz, m/s, and the rotation vector in
            the base frame, rad/s.
        acceleration: (D,).
    """

    action: Array
    velocity: Array
    acceleration: Array

    @property
    def still(self) -> bool:
        """Whether the arm stands."""
        return not (self.velocity.any() or self.acceleration.any())


class Resampler:
    """Steps a motion towards targets, or to rest, within the limits of the contract.

    An end-effector limit is one of a length, ruckig's are one per axis: each axis gets 1 / sqrt(3)
    of it. The width of the gripper is passed on: its own controller ramps it.

    Args:
        limits: of the contract, with accelerations and jerks.
        kind: "ee_pose" or "joint_position".

    Raises:
        VilpError: The contract has no accelerations or jerks for this kind of action.
    """

    def __init__(self, limits: Limits, kind: str) -> None:
        self._kind = kind
        if not limits.dynamic(kind):
            names = "joint_acceleration and joint_jerk"
            if kind == "ee_pose":
                names = "ee_acceleration, ee_jerk, ee_angular_acceleration and ee_angular_jerk"
            raise VilpError(f"smooth commands need limits.{names} in the contract")
        if kind == "joint_position":
            rows = [limits.joint_velocity, limits.joint_acceleration, limits.joint_jerk]
            self.velocity, self.acceleration, self.jerk = np.array(rows, dtype=np.float64)
        else:
            lengths = [
                [limits.ee_speed, limits.ee_angular_speed],
                [limits.ee_acceleration, limits.ee_angular_acceleration],
                [limits.ee_jerk, limits.ee_angular_jerk],
            ]
            table = np.repeat(np.array(lengths, dtype=np.float64), 3, axis=1) / math.sqrt(3)
            self.velocity, self.acceleration, self.jerk = table
        self._size = len(self.velocity)
        self._ruckig = Ruckig(self._size)

    def rest(self, action: ArrayLike) -> Motion:
        """Standing at an action (A,)."""
        zero = np.zeros(self._size)
        return Motion(np.array(action, dtype=np.float64), zero, zero)

    def follow(
        self, start: Motion, target: Array, velocity: Array, ahead_s: float, dt_s: float
    ) -> Motion:
        """Step towards being at a target, with its velocity, `ahead_s` from now.

        Args:
            start: now.
            target: (A,) wanted then; if that is too soon for the limits, as soon as they allow.
            velocity: (D,) wanted then; cut to the limits.
            ahead_s: from now.
            dt_s: length of the step.

        Returns:
            The motion after `dt_s`.
        """
        request = self._request(start)
        request.target_position = difference(self._kind, start.action, target)[: self._size]
        bound = _HEADROOM * self.velocity
        request.target_velocity = np.clip(velocity, -bound, bound)
        request.minimum_duration = max(ahead_s, dt_s)
        return self._step(start, request, dt_s, float(target[-1]))

    def stop(self, start: Motion, dt_s: float) -> Motion:
        """Step towards rest, as soon as the limits allow."""
        request = self._request(start)
        request.control_interface = ControlInterface.Velocity
        request.synchronization = Synchronization.No
        return self._step(start, request, dt_s, float(start.action[-1]))

    def _request(self, start: Motion) -> InputParameter:
        request = InputParameter(self._size)
        request.current_velocity, request.current_acceleration = start.velocity, start.acceleration
        request.max_velocity = self.velocity
        request.max_acceleration, request.max_jerk = self.acceleration, self.jerk
        return request

    def _calculate(self, request: InputParameter, trajectory: Trajectory) -> bool:
        done = (Result.Working, Result.Finished)
        try:
            return self._ruckig.calculate(request, trajectory) in done
        except RuckigError:
            return False

    def _step(self, start: Motion, request: InputParameter, dt_s: float, width: float) -> Motion:
        trajectory = Trajectory(self._size)
        if not self._calculate(request, trajectory):
            # No common duration was found: each axis takes its own.
            request.synchronization = Synchronization.No
            if not self._calculate(request, trajectory):
                raise ArithmeticError(f"ruckig found no way on from {start}")
        change, velocity, acceleration = map(np.array, trajectory.at_time(dt_s))
        if dt_s >= trajectory.duration:  # it goes on at the target's velocity, exactly
            acceleration = np.zeros(self._size)
        action = moved(self._kind, start.action, np.append(change, width - start.action[-1]))
        return Motion(action, velocity, acceleration)
