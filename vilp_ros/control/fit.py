"""Whether the kinematics that joints are commanded by are those of the arm that reports its pose.

A tool that is 10 cm longer than the contract says makes an arm sink by 10 cm when it is told to
stay where it is: it is where its pose says, and is sent where the joints put another tool.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.control.action import Array
from vilp_ros.geometry import quat_angle, quat_to_rpy
from vilp_ros.kinematics import Kinematics

MOST_M, MOST_RAD = 0.005, math.radians(2)
RECENT_S = 0.1


class Fit:
    """Compares a stream of states with the kinematics of a contract.

    An arm that moves may report joints and pose of different instants: as far as it moved in the
    last `RECENT_S` may they be apart on top. Tools do not change in a moment: what fitted within
    `RECENT_S` fits, so that one odd pose stops no arm.

    Args:
        contract: names the frames and keys.
        kinematics: its arm and tool.
        source: who says where the pose is; the contract's topic, if not told.
    """

    def __init__(self, contract: Contract, kinematics: Kinematics, source: str = "") -> None:
        self._contract, self._kinematics = contract, kinematics
        self._source = source or contract.proprio.ee_pose_topic
        self._past: deque[tuple[float, Array]] = deque()
        self._fitted_s = -math.inf

    def misfit(self, joints: Array, pose: Array, now_s: float) -> str:
        """What does not fit, and what to set; or "".

        Args:
            joints: (J,) rad as reported.
            pose: (7,) of `ee_frame` in `base_frame` as reported.
            now_s: of a steady clock.
        """
        if not (np.isfinite(joints).all() and np.isfinite(pose).all()):
            return ""  # refused elsewhere, by name
        expected = self._kinematics.forward(joints)
        off, turned = _apart(expected, pose)
        self._past.append((now_s, expected))
        while self._past[0][0] < now_s - RECENT_S:
            self._past.popleft()
        moved, rotated = np.max([_apart(past, expected) for _, past in self._past], axis=0)
        if off <= MOST_M + moved and turned <= MOST_RAD + rotated:
            self._fitted_s = now_s
        if now_s - self._fitted_s <= RECENT_S:
            return ""
        tool = self._kinematics.tool(joints, pose)
        xyz, rpy = (
            ", ".join(f"{value:.4f}" for value in np.round(values, 4) + 0.0)
            for values in (tool[:3], quat_to_rpy(tool[3:]))
        )
        frames = f"{self._contract.ee_frame} in {self._contract.base_frame}"
        return (
            f"{self._source} is {1e3 * off:.0f} mm and "
            f"{math.degrees(turned):.1f} degrees from where the joints put {frames}: if the tool "
            f"is another, set `tool: {{xyz: [{xyz}], rpy: [{rpy}]}}` in the contract; else correct "
            "ee_frame, base_frame or joint_names, or what the arm's driver takes for its tool"
        )


def _apart(a: Array, b: Array) -> tuple[float, float]:
    """Metres and radians between two poses."""
    return float(np.linalg.norm(a[:3] - b[:3])), float(quat_angle(a[3:], b[3:]))
