"""What an action is, what makes it unusable, and how far one is from another.

An action is a vector (A,), the gripper's width (m) last:
"ee_pose": xyz (m), quaternion xyzw, width, absolute in the base frame; A = 8.
"joint_position": the angles (rad) of J joints, width; A = J + 1.

Mixing is done on differences: a difference is a plain vector that may be scaled, and moving an
action by it gives an action again. A quaternion and its negative are the same rotation throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vilp_ros.geometry import quat_inverse, quat_multiply, quat_to_rotvec, rotvec_to_quat

Array = NDArray[np.float64]

POSE_SIZE = 8
"""A of "ee_pose"."""
_QUAT = slice(3, 7)
_NORM_TOLERANCE = 0.01  # float32 and a few renormalisations stay far below


def components(kind: str, size: int) -> tuple[str, ...]:
    """Names of an action's numbers; joints are counted from 1, at the base."""
    if kind == "ee_pose":
        return ("x", "y", "z", "qx", "qy", "qz", "qw", "gripper_width")
    return (*(f"joint{index}" for index in range(1, size)), "gripper_width")


def fault(kind: str, action: Array, size: int) -> str | None:
    """Say what makes an action unusable.

    Args:
        kind: "ee_pose" or "joint_position".
        action: any array; a good one is (A,).
        size: A.

    Returns:
        A phrase such as "y is nan", or None.
    """
    if action.shape != (size,):
        return f"has shape {action.shape}, allowed ({size},) = {components(kind, size)}"
    wrong = np.flatnonzero(~np.isfinite(action))
    if wrong.size:
        return f"{components(kind, size)[wrong[0]]} is {action[wrong[0]]}"
    norm = float(np.linalg.norm(action[_QUAT]))
    if kind == "ee_pose" and abs(norm - 1) > _NORM_TOLERANCE:
        return f"quaternion has norm {norm:.3g}, allowed 1 +- {_NORM_TOLERANCE}"
    return None


def difference(kind: str, start: Array, end: Array) -> Array:
    """The change that leads from one action to another, the shorter way round.

    Args:
        kind: "ee_pose" or "joint_position".
        start: (A,).
        end: (A,).

    Returns:
        (7,) = [xyz m, rotation vector rad in the base frame, gripper width m] for "ee_pose",
        (A,) for "joint_position".
    """
    if kind == "joint_position":
        return end - start
    turn = quat_to_rotvec(quat_multiply(end[_QUAT], quat_inverse(start[_QUAT])))
    return np.concatenate([end[:3] - start[:3], turn, end[7:] - start[7:]])


def moved(kind: str, start: Array, change: Array) -> Array:
    """The action that a change leads to.

    Args:
        kind: "ee_pose" or "joint_position".
        start: (A,).
        change: as `difference` returns it, possibly scaled.

    Returns:
        (A,); a quaternion is unit and, for turns up to pi, in the half-sphere of the start's.
    """
    if kind == "joint_position":
        return start + change
    quat = quat_multiply(rotvec_to_quat(change[3:6]), start[_QUAT])
    return np.concatenate(
        [start[:3] + change[:3], quat / np.linalg.norm(quat), start[7:] + change[6:]]
    )


def same_sign(kind: str, action: Array, reference: Array) -> Array:
    """The action with its quaternion in the half-sphere of the reference's.

    Args:
        kind: "ee_pose" or "joint_position".
        action: (A,).
        reference: (A,).

    Returns:
        (A,).
    """
    if kind == "ee_pose" and action[_QUAT] @ reference[_QUAT] < 0:
        action = action.copy()
        action[_QUAT] *= -1
    return action
