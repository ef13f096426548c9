"""Poses of the hand to the joints of any arm with a URDF, continuous from call to call.

Damped least squares on pinocchio's Jacobians (BSD-2): Newton steps whose damping is that of
Sugihara, "Solvability-Unconcerned Inverse Kinematics by the Levenberg-Marquardt Method" (2011),
proportional to what is left of the error, so that it ends exact and stays calm where an arm is
stretched. Joints at the end of their range are taken out of the step. It begins where the arm is,
and so finds the way on from there, or none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.contract import Arm, Tool
from vilp_ros.geometry import Array
from vilp_ros.kinematics.base import CENTRING, MAX_JUMP_RAD, Kinematics, to_matrix, to_pose
from vilp_ros.share import find_shared
from vilp_ros.urdf import Chain

_MOST, _EXACT = 50, 1e-8  # steps; m and rad
_DAMPING = 0.1  # times the square of the error
_LEAST_DAMPING = 1e-12
_ROUNDED = 1e-3  # rad, of ranges that people wrote down
_POSE = 6  # numbers of a pose that joints are to reach


class ChainKinematics(Kinematics):
    """Forward and inverse kinematics along a URDF.

    Args:
        name: of the robot, for errors.
        arm: of the contract.
        names: of its joints, (J,).
        joint_position: (lo, hi) rad for each of them, of the contract.
        tool: from `arm.tip` to the hand; None: there is nothing in between.

    Raises:
        VilpError: pinocchio is missing, or the URDF, or a name in it.
    """

    def __init__(
        self,
        name: str,
        arm: Arm,
        names: Sequence[str],
        joint_position: ArrayLike,
        tool: Tool | None = None,
    ) -> None:
        super().__init__(name)
        self._chain = Chain(find_shared(arm.urdf), arm.base, arm.tip, names)
        self._chain.check_complete()
        self._names = list(names)
        self._low, self._high = np.array(joint_position, dtype=np.float64).T
        self._to_hand = np.eye(4) if tool is None else to_matrix(tool.pose)
        self._from_hand = np.linalg.inv(self._to_hand)
        self._middle, self._span = (self._low + self._high) / 2, self._high - self._low

    def forward(self, joints: ArrayLike) -> Array:
        """Pose (7,) of the hand in the base frame for joints (J,)."""
        return to_pose(self._chain.tip(np.asarray(joints, np.float64)) @ self._to_hand)

    def tool(self, joints: ArrayLike, pose: ArrayLike) -> Array:
        """(7,) of the tool with which joints (J,) would put the hand at a pose (7,)."""
        tip = self._chain.tip(np.asarray(joints, np.float64))
        return to_pose(np.linalg.inv(tip) @ to_matrix(pose))

    def wider(self) -> str:
        """Which range of the contract is wider than the URDF's, in words; empty: none is."""
        for name, low, high, (least, most) in zip(
            self._names, self._low, self._high, self._chain.ranges
        ):
            if low < least - _ROUNDED or high > most + _ROUNDED:
                return (
                    f"limits.joint_position of {name} is [{low:g}, {high:g}], "
                    f"the URDF's [{least:.4g}, {most:.4g}] rad"
                )
        return ""

    def _solution(self, pose: Array, near: Array) -> Array | None:
        target = to_matrix(pose) @ self._from_hand
        joints = near.clip(self._low, self._high)
        for count in range(_MOST):
            error, jacobian = self._chain.towards(joints, target)
            if np.abs(error).max() < _EXACT:
                return joints
            change = self._step(joints, error, jacobian, drifts=count == 0)
            joints = (joints + change).clip(self._low, self._high)
        return None

    def _step(self, joints: Array, error: Array, jacobian: Array, drifts: bool) -> Array:
        damping = (_DAMPING * float(error @ error) + _LEAST_DAMPING) * np.eye(_POSE)
        change, free = np.zeros(len(joints)), np.ones(len(joints), dtype=bool)
        while free.any():
            part = jacobian[:, free]
            inverse: Array = np.linalg.solve(part @ part.T + damping, part).T
            change[:], change[free] = 0.0, inverse @ error
            if drifts and free.sum() > _POSE:
                # While the hand moves, and only then, the elbow drifts to the middle of the ranges.
                distance = float(np.linalg.norm(change))
                drift = -CENTRING * distance * ((joints + change - self._middle) / self._span)[free]
                change[free] += drift - inverse @ (part @ drift)
            low, high = joints <= self._low, joints >= self._high
            stuck = free & ((low & (change < 0)) | (high & (change > 0)))
            if not stuck.any():
                break
            free &= ~stuck
        return change * min(1.0, MAX_JUMP_RAD / max(float(np.abs(change).max()), 1e-9))
