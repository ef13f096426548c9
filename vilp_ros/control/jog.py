"""From a hand on a stick to absolute targets, such as a policy could have sent."""

from __future__ import annotations

import numpy as np

from vilp_ros.contract import Limits
from vilp_ros.control.action import Array, difference, moved
from vilp_ros.control.limits import MAX_STEP_S, SafetyLimits

LEASH_M, LEASH_RAD = 0.08, 0.4


class Jog:
    """Moves a target by velocities, within the limits, and never far ahead of the arm.

    Args:
        limits: of the contract.
        linear: m/s at full deflection.
        angular: rad/s at full deflection.
        fingers: m/s of the width while the gripper opens or closes.

    Attributes:
        target: (8,) wanted now; None: it will be where the arm is.
        open: whether the gripper shall be.
    """

    def __init__(
        self, limits: Limits, linear: float = 0.2, angular: float = 0.8, fingers: float = 0.15
    ) -> None:
        self._limits = SafetyLimits(limits, "ee_pose")
        self._low, self._high = limits.gripper_width
        self._scale = np.array([linear] * 3 + [angular] * 3)
        self._fingers = fingers
        self._width = self._high
        self.open = True
        self.target: Array | None = None

    def begin(self, target: Array) -> None:
        """Go on from a target (8,): nothing moves, the gripper neither, until it is told to."""
        self.target = np.array(target, np.float64)
        self._width = float(self.target[7])
        self.open = self._width > (self._low + self._high) / 2

    def grip(self) -> None:
        """Close what is open and open what is closed."""
        self.open = not self.open
        self._width = self._high if self.open else self._low

    def release(self) -> None:
        """Forget the target: the next one starts from where the arm is."""
        self.target = None

    def step(self, twist: Array, measured: Array, dt_s: float) -> Array:
        """The next target.

        Args:
            twist: (6,) deflection from -1 to 1: xyz, then rotation about xyz, base frame.
            measured: (8,) pose and gripper width.
            dt_s: since the last one.

        Returns:
            (8,) absolute target.

        Raises:
            UnsafeCommandError: the measured state is not finite.
        """
        dt_s = min(dt_s, MAX_STEP_S)  # a loop that stalled has not earned a leap
        if self.target is None:
            self.begin(measured)
        assert self.target is not None
        most = self._fingers * dt_s
        way = float(np.clip(self._width - self.target[7], -most, most))
        change = np.append(np.clip(twist, -1, 1) * self._scale * dt_s, way)
        target = moved("ee_pose", self.target, change)
        self.target, _ = self._limits.clamp(
            self._leashed(target, measured), self.target, measured, dt_s
        )
        return self.target

    def _leashed(self, target: Array, measured: Array) -> Array:
        """An arm that is held back must not leap when it comes free."""
        ahead = difference("ee_pose", measured, target)
        for part, limit in ((slice(0, 3), LEASH_M), (slice(3, 6), LEASH_RAD)):
            length = float(np.linalg.norm(ahead[part]))
            if length > limit:
                ahead[part] *= limit / length
        held = moved("ee_pose", measured, ahead)
        held[7] = target[7]
        return held
