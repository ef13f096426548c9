"""Poses of the hand to joint angles of a Franka arm and back, continuous from call to call.

Analytic inverse kinematics by frankik (MIT; after He and Liu, "Analytical Inverse Kinematics for
Franka Emika Panda", 2021): given the pose and joint 7 the other six follow, in 5 us. Joint 7 is
chosen here, by a Newton step, for the least motion of all joints: a choice that is continuous,
which the nearest of a grid of values is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.contract import Tool
from vilp_ros.contract.tool import FRANKA_HAND
from vilp_ros.errors import VilpError
from vilp_ros.geometry import Array
from vilp_ros.kinematics.base import CENTRING, MAX_JUMP_RAD, Kinematics, to_matrix, to_pose

_EPSILON = 1e-6  # rad
_DAMPING = 1e-17 * np.eye(6)  # of columns that are _EPSILON long
_STEP = 0.02  # rad between values of joint 7 that are tried when the first has no solution
_BISECTIONS = 8
_POLISHING, _EXACT = 20, 1e-8


_HAND = to_matrix(FRANKA_HAND.pose)
"""From the flange to the grip site: frankik's forward kinematics end there."""
_FROM_HAND = np.linalg.inv(_HAND)


def _change(start: Array, end: Array) -> Array:
    """(6,) from one matrix (4, 4) to another: m, and the sine of the turn as a vector, rad."""
    spin = end[:3, :3] @ start[:3, :3].T
    x, y, z = spin[2, 1] - spin[1, 2], spin[0, 2] - spin[2, 0], spin[1, 0] - spin[0, 1]
    return np.array([*(end[:3, 3] - start[:3, 3]), x / 2, y / 2, z / 2])


class FrankaKinematics(Kinematics):
    """Forward and inverse kinematics of one arm with its tool.

    Args:
        arm: "fr3" or "panda"; they differ in the ranges of their joints.
        joint_position: (lo, hi) rad for each joint, of the contract.
        tool: from the flange to the hand; None: a Franka Hand.

    Raises:
        VilpError: frankik is not installed.
    """

    def __init__(self, arm: str, joint_position: ArrayLike, tool: Tool | None = None) -> None:
        try:
            import frankik
        except ImportError:
            raise VilpError(
                "inverse kinematics needs frankik: pip install '.[franka]' in the checkout"
            ) from None
        self._frankik: Any = frankik
        super().__init__(arm)
        self._low, self._high = np.array(joint_position, dtype=np.float64).T
        tool_matrix = to_matrix((tool or FRANKA_HAND).pose)
        self._to_site, self._to_tool = np.linalg.inv(tool_matrix) @ _HAND, _FROM_HAND @ tool_matrix
        self._middle, self._span = (self._low + self._high) / 2, self._high - self._low

    def forward(self, joints: ArrayLike) -> Array:
        """Pose (7,) of the hand in the base frame for joints (7,)."""
        return to_pose(self._frankik.fk(np.asarray(joints, dtype=np.float64)) @ self._to_tool)

    def tool(self, joints: ArrayLike, pose: ArrayLike) -> Array:
        """(7,) of the tool with which joints (7,) would put the hand at a pose (7,)."""
        flange = self._frankik.fk(np.asarray(joints, dtype=np.float64)) @ _FROM_HAND
        return to_pose(np.linalg.inv(flange) @ to_matrix(pose))

    def _solution(self, pose: Array, near: Array) -> Array | None:
        matrix = to_matrix(pose) @ self._to_site
        return self._search(matrix @ _FROM_HAND, matrix, near)

    def _search(self, flange: Array, target: Array, near: Array) -> Array | None:
        """Where the least motion of all joints leads; where that fails, the solution near it."""
        here = self._frankik.fk(near)
        jacobian: Array = np.array([_change(here, self._nudged(near, i)) for i in range(7)]).T
        inverse: Array = np.matmul(jacobian.T, np.linalg.inv(jacobian @ jacobian.T + _DAMPING))
        step = _EPSILON * (inverse @ _change(here, target))
        joints = near + np.clip(step, -MAX_JUMP_RAD, MAX_JUMP_RAD)
        # While the hand moves, and only then, the elbow drifts to the middle of the ranges.
        distance = float(np.linalg.norm(joints - near))
        drift = -CENTRING * distance * (joints - self._middle) / self._span
        joints = joints + drift - inverse @ (jacobian @ drift)
        # Not by frankik first: about a stretched shoulder (joint 2 near 0, where hands that reach
        # down to a table pass) joints 1 and 3 hardly follow from joint 7, and would jump.
        least = self._polished(joints, target, inverse)
        if least is not None and self._within(least):
            return least
        found = self._solve(flange, joints, joints[6])
        if found is None:
            found = self._rescue(flange, joints)
        return None if found is None else self._polished(found, target, inverse)

    def _polished(self, joints: Array, target: Array, inverse: Array) -> Array | None:
        """Frankik calls a shoulder within millimetres of its singularity singular: go on to exact.

        Args:
            joints: (7,) nearly right.
            target: (4, 4) grip site.
            inverse: (7, 6) of a Jacobian nearby.
        """
        for _ in range(_POLISHING):
            error = _change(self._frankik.fk(joints), target)
            if np.abs(error).max() < _EXACT:
                return joints
            joints = joints + _EPSILON * (inverse @ error)
        return None

    def _nudged(self, joints: Array, index: int) -> Array:
        there = joints.copy()
        there[index] += _EPSILON
        matrix: Array = self._frankik.fk(there)
        return matrix

    def _rescue(self, flange: Array, near: Array) -> Array | None:
        """A joint at the end of its range: the value of joint 7 next to where that is left."""
        for k in range(1, 1 + round(MAX_JUMP_RAD / _STEP)):
            for side in (-_STEP, _STEP):
                found = self._solve(flange, near, near[6] + k * side)
                if found is None:
                    continue
                good, bad = near[6] + k * side, near[6] + (k - 1) * side
                for _ in range(_BISECTIONS):
                    middle = (good + bad) / 2
                    closer = self._solve(flange, near, middle)
                    found, good, bad = (
                        (found, good, middle) if closer is None else (closer, middle, bad)
                    )
                return found
        return None

    def _solve(self, flange: Array, near: Array, joint7: float) -> Array | None:
        joints = self._frankik.ik(flange, near, joint7, is_fr3=self._arm == "fr3")
        return joints if self._within(joints) else None

    def _within(self, joints: Array) -> bool:
        """Whether all are in their ranges; none is that is NaN."""
        return bool((joints >= self._low).all() and (joints <= self._high).all())
