"""Absolute actions to and from what the networks learn: the change asked of the present pose."""

from __future__ import annotations

import numpy as np

from vilp_ros.geometry import quat_inverse, quat_multiply, quat_to_rotvec, rotvec_to_quat

ACTION_DIM = 7


def relative_actions(actions: np.ndarray, ee_pose: np.ndarray) -> np.ndarray:
    """Targets relative to the pose they were given at.

    Args:
        actions: `(..., 8)` absolute xyz (m), quaternion xyzw, gripper width (m); base frame.
        ee_pose: `(..., 7)` pose of the end effector at the observation; base frame.

    Returns:
        `(..., 7)` translation (m) and rotation vector (rad) in the base frame, absolute width (m).
    """
    turn = quat_to_rotvec(quat_multiply(actions[..., 3:7], quat_inverse(ee_pose[..., 3:7])))
    return np.concatenate(
        [actions[..., :3] - ee_pose[..., :3], turn, actions[..., 7:]], axis=-1
    ).astype(np.float32)


def absolute_actions(relative: np.ndarray, ee_pose: np.ndarray) -> np.ndarray:
    """Inverse of `relative_actions`: `(..., 7)` and `(..., 7)` to `(..., 8)`."""
    quat = quat_multiply(rotvec_to_quat(relative[..., 3:6]), ee_pose[..., 3:7])
    return np.concatenate(
        [ee_pose[..., :3] + relative[..., :3], quat, relative[..., 6:]], axis=-1
    ).astype(np.float32)
