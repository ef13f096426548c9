"""Plans for a timeline: a straight line, and what no arm can follow."""

from __future__ import annotations

import numpy as np

from vilp_ros.geometry import yaw_quat

DT = 0.05
STEPS = 4
LIFE, LENGTH = STEPS * DT, 8 * DT  # of a plan that came at once; of one that came late, at most
FADE = 0.1
KINDS = ("ee_pose", "joint_position")


def wild_plan(kind: str, seed: int, steps: int = 8) -> np.ndarray:
    """Anywhere in a unit box, any orientation, any quaternion sign: nothing an arm can follow."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(size=(steps, 8))
    if kind == "ee_pose":
        quats = rng.normal(size=(steps, 4))
        actions[:, 3:7] = quats / np.linalg.norm(quats, axis=-1, keepdims=True)
    return actions


def pose(x: float, yaw: float = 0.0, width: float = 0.04) -> np.ndarray:
    return np.concatenate([[x, 0.0, 0.2], yaw_quat(yaw), [width]])


def ramp(start: float, speed: float, steps: int = 8) -> np.ndarray:
    """A plan along x at constant speed, m/s."""
    return np.array([pose(start + speed * DT * k) for k in range(steps)])
