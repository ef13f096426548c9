"""The arm's own state at one instant, and the state between two. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.data.synchroniser import HISTORY_S, Track
from vilp_ros.geometry import ee_proprio, slerp

Array = NDArray[np.float64]
REACH = 1.75
"""Control periods; bridges two lost frames between two that are up to half a period off."""


class RobotState(NamedTuple):
    """Pose (7,) xyz + quaternion xyzw in the base frame, gripper width m, joints (J,) rad."""

    ee_pose: Array
    gripper_width: float
    joint_position: Array

    @property
    def proprio(self) -> NDArray[np.float32]:
        """(10,) what policies read."""
        return ee_proprio(self.ee_pose, self.gripper_width)

    def as_action(self, kind: str) -> Array:
        """(A,) the action that would keep the arm here."""
        arm = self.ee_pose if kind == "ee_pose" else self.joint_position
        return np.append(arm, self.gripper_width)


def blend_linear(a: Array, b: Array, u: float) -> Array:
    """Between two vectors."""
    return a + u * (b - a)


def blend_pose(a: Array, b: Array, u: float) -> Array:
    """Between two poses (7,): position on a line, rotation on the shorter arc."""
    return np.concatenate([blend_linear(a[:3], b[:3], u), slerp(a[3:], b[3:], u)])


def blend_state(a: RobotState, b: RobotState, u: float) -> RobotState:
    """Between two robot states."""
    return RobotState(
        blend_pose(a.ee_pose, b.ee_pose, u),
        a.gripper_width + u * (b.gripper_width - a.gripper_width),
        blend_linear(a.joint_position, b.joint_position, u),
    )


class Past(Track[RobotState]):
    """The states of the latest observations; what policies call the state before is found here.

    The planner asks it live, the converter when it makes training data: a lost frame or a camera
    that is not quite on time then changes what is learned as it changes what is seen.

    Args:
        period_s: control period.
    """

    def __init__(self, period_s: float) -> None:
        super().__init__(blend_state, max(HISTORY_S, 4 * period_s))
        self._period_s = period_s

    def before(self, stamp_s: float) -> RobotState | None:
        """The state of one control period before an observation; None if it is not known.

        Between two observations up to `2 * REACH` periods apart it is interpolated.
        """
        found = self.at(stamp_s - self._period_s, REACH * self._period_s)
        return found[1] if found else None
