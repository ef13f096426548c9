"""The last gate before the arm: no command leaves faster or further than the contract allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.contract import Limits
from vilp_ros.contract.limits import GRIPPER_SLACK_M
from vilp_ros.control.action import POSE_SIZE, Array, difference, fault, moved

MAX_STEP_S = 0.1


class UnsafeCommandError(ValueError):
    """A command that no clamping makes safe; the message names what is wrong with it."""


class SafetyLimits:
    """Clamps commands to the contract's limits, speed measured from the command sent before.

    The target is first brought into the workspace (or the joint range), then the step towards it is
    shortened to the speed limit; joints slow down together, so that the path stays straight. An arm
    that starts outside its workspace is thus led back at limited speed. The gripper has a range and
    no speed: its own controller ramps it.

    Args:
        limits: of the contract.
        kind: "ee_pose" or "joint_position".
    """

    def __init__(self, limits: Limits, kind: str) -> None:
        self._kind = kind
        self._speed = np.array([limits.ee_speed, limits.ee_angular_speed])
        self._joint_velocity = np.array(limits.joint_velocity)
        if kind == "ee_pose":
            names = [f"workspace.{axis}" for axis in "xyz"]
            ranges = [limits.workspace[axis] for axis in "xyz"]
            self._bounded, self._size = [0, 1, 2, 7], POSE_SIZE
        else:
            ranges = list(limits.joint_position)
            names = [f"joint_position[{index}]" for index in range(len(ranges))]
            self._size = len(ranges) + 1
            self._bounded = list(range(self._size))
        self._names = [*names, "gripper_width"]
        self._low, self._high = np.array([*ranges, limits.gripper_width]).T
        self._slack = np.append(np.zeros(len(ranges)), GRIPPER_SLACK_M)

    def clamp(
        self,
        target: ArrayLike,
        previous_command: ArrayLike | None,
        measured: ArrayLike,
        dt_s: float,
    ) -> tuple[Array, list[str]]:
        """The command nearest to a target that may be sent now.

        Args:
            target: (A,) wanted.
            previous_command: (A,) sent last; None after enabling: the step starts where the arm is.
            measured: (A,) where the arm is, in the space of the action.
            dt_s: since the command sent last. More than `MAX_STEP_S` counts as that: a loop that
                stalled has not earned a leap.

        Returns:
            The command (A,), and the limits that acted, named as in the contract; the gripper's
            range only if it took more than `GRIPPER_SLACK_M`.

        Raises:
            UnsafeCommandError: if an input is not finite, has a wrong shape or no unit quaternion.
        """
        wanted = self._checked("target", target)
        if previous_command is None:
            start = self._checked("measured state", measured)
        else:
            start = self._checked("previous command", previous_command)
        if not dt_s >= 0:  # NaN too
            raise UnsafeCommandError(f"time step is {dt_s}, allowed 0 or more")

        values = wanted[self._bounded]
        inside = np.clip(values, self._low, self._high)
        over = np.abs(inside - values) > self._slack
        acted = [self._names[index] for index in np.flatnonzero(over)]
        wanted[self._bounded] = inside

        change = difference(self._kind, start, wanted)
        change, slowed = self._slowed(change, min(dt_s, MAX_STEP_S))
        command = moved(self._kind, start, change)
        # Rounding must not lead out either; a start outside may still be on its way in.
        low = np.minimum(self._low, start[self._bounded])
        high = np.maximum(self._high, start[self._bounded])
        command[self._bounded] = np.clip(command[self._bounded], low, high)
        return command, acted + slowed

    def _checked(self, name: str, action: ArrayLike) -> Array:
        action = np.array(action, dtype=np.float64)
        if what := fault(self._kind, action, self._size):
            raise UnsafeCommandError(f"{name} {what}")
        return action

    def _slowed(self, change: Array, dt_s: float) -> tuple[Array, list[str]]:
        if self._kind == "joint_position":
            allowed = self._joint_velocity * dt_s
            over = np.flatnonzero(np.abs(change[:-1]) > allowed)
            if over.size:
                change[:-1] *= np.min(allowed[over] / np.abs(change[over]))
            return change, [f"joint_velocity[{index}]" for index in over]
        acted = []
        for name, part, speed in zip(
            ("ee_speed", "ee_angular_speed"), (change[:3], change[3:6]), self._speed
        ):
            length = float(np.linalg.norm(part))
            if length > speed * dt_s:
                part *= speed * dt_s / length
                acted.append(name)
        return change, acted
