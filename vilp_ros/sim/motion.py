"""Small steps towards a pose: the vocabulary of the scripted experts."""

from __future__ import annotations

import numpy as np

from vilp_ros.geometry import quat_multiply, quat_to_matrix, yaw_quat
from vilp_ros.sim.env import Observation

STEP = 0.03  # m ahead of the arm: it then moves at about 0.18 m/s
TURN = 0.15  # rad ahead of the arm
# Orientation at yaw 0: pointing straight down, fingers opening along the y axis of the base.
_DOWN = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])


def wrap(angle: float, period: float = 2 * np.pi) -> float:
    """The angle moved by whole periods into [-period / 2, period / 2)."""
    return (angle + period / 2) % period - period / 2


def ramp(value: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, linear between."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def gripper_yaw(quat: np.ndarray) -> float:
    """Yaw of a gripper that points roughly down: 0 when its fingers open along the base's y.

    Args:
        quat: (4,) xyzw, base frame.

    Returns:
        radians in [-pi, pi].
    """
    opening = quat_to_matrix(quat)[:, 0]
    return float(np.arctan2(-opening[0], opening[1]))


def object_yaw(pose: np.ndarray) -> float:
    """Heading of an object's x axis in the plane of the table, radians.

    Args:
        pose: (7,) xyz and xyzw, base frame.
    """
    axis = quat_to_matrix(pose[3:])[:, 0]
    return float(np.arctan2(axis[1], axis[0]))


def downward(position: np.ndarray, yaw: float, width: float) -> np.ndarray:
    """Action (8,) with the gripper pointing straight down at a position and yaw."""
    return np.concatenate([position, quat_multiply(yaw_quat(yaw), _DOWN), [width]])


def towards(
    observation: Observation,
    position: np.ndarray,
    yaw: float,
    width: float,
    step: float = STEP,
    turn: float = TURN,
) -> np.ndarray:
    """Action one limited step from the present pose towards another one.

    Args:
        observation: where the arm is.
        position: (3,) goal, metres, base frame.
        yaw: goal, radians; approached without passing the far side of the wrist's range.
        width: gripper target, metres, passed on as it is.
        step: largest distance of the target from the arm, metres.
        turn: largest turn of the target from the arm, radians.

    Returns:
        (8,) action.
    """
    way = position - observation.ee_pose[:3]
    way = way * min(1.0, step / max(float(np.linalg.norm(way)), 1e-9))
    now = gripper_yaw(observation.ee_pose[3:])
    spin = float(np.clip(yaw - now, -turn, turn))
    return downward(observation.ee_pose[:3] + way, now + spin, width)
