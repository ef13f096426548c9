"""What every arm's kinematics does, whatever computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.errors import VilpError
from vilp_ros.geometry import Array, matrix_to_quat, quat_to_matrix

MAX_JUMP_RAD = 0.5
CENTRING = 0.5
"""Rad of drift a rad of motion, a whole range away from its middle: of a redundant arm's elbow."""


class KinematicsError(VilpError):
    """A pose that the arm cannot take from where it is; the message names the pose or the joint."""


def to_matrix(pose: ArrayLike) -> Array:
    """(4, 4) of a pose (7,)."""
    pose, matrix = np.asarray(pose, dtype=np.float64), np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = quat_to_matrix(pose[3:]), pose[:3]
    return matrix


def to_pose(matrix: Array) -> Array:
    """(7,) of a matrix (4, 4)."""
    return np.concatenate([matrix[:3, 3], matrix_to_quat(matrix[:3, :3])])


class Kinematics(ABC):
    """Forward and inverse kinematics of one arm with its tool. Safe to call from several threads.

    Poses are (7,), m and quaternion xyzw, of `ee_frame` in `base_frame`.

    Args:
        arm: what errors call it.
    """

    def __init__(self, arm: str) -> None:
        self._arm = arm

    @abstractmethod
    def forward(self, joints: ArrayLike) -> Array:
        """Pose of the hand for joints (J,)."""

    @abstractmethod
    def tool(self, joints: ArrayLike, pose: ArrayLike) -> Array:
        """(7,) of the tool with which joints (J,) would put the hand at a pose."""

    def wider(self) -> str:
        """Which range of the contract is wider than the arm's, in words; empty: none is known."""
        return ""

    @abstractmethod
    def _solution(self, pose: Array, near: Array) -> Array | None:
        """Joints (J,) within the ranges, the nearest that are found; None if none are."""

    def inverse(self, pose: ArrayLike, near: ArrayLike) -> Array:
        """Joints for a pose, close to where the arm is.

        Args:
            pose: (7,) of the hand in the base frame.
            near: (J,) joints, of the last call or measured.

        Returns:
            (J,) within the ranges of the contract.

        Raises:
            KinematicsError: out of reach, or only by a jump of a joint.
        """
        pose, near = np.asarray(pose, dtype=np.float64), np.asarray(near, dtype=np.float64)
        best = self._solution(pose, near)
        if best is None:
            where = ", ".join(f"{value:.3f}" for value in pose[:3])
            raise KinematicsError(
                f"pose ({where}) with this orientation is out of reach of {self._arm} "
                "within limits.joint_position"
            )
        jump = np.abs(best - near)
        joint = int(np.argmax(jump))
        if jump[joint] > MAX_JUMP_RAD:
            raise KinematicsError(
                f"joint{joint + 1} would jump by {jump[joint]:.2f} rad between two targets, "
                f"allowed {MAX_JUMP_RAD}"
            )
        return best

    def inverse_path(self, poses: Array, near: ArrayLike) -> Array:
        """Joints (N, J) for poses (N, 7), each close to the one before; raises as `inverse`."""
        path = []
        for pose in poses:
            near = self.inverse(pose, near)
            path.append(near)
        return np.array(path)
