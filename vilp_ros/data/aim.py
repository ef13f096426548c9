"""Do targets lie where the arm then went? What was read as targets may be something else."""

from __future__ import annotations

import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.geometry import quat_angle

FAR_M, FAR_RAD = 0.25, np.radians(45)
"""Targets this far from the pose that follows them, in the middle, are no targets."""
ODD_M, ODD_RAD = 0.03, np.radians(10)
"""From here on they are named; a soft controller is led by targets ahead of it."""
_TIMES = 3.0
LOOK_AT = "their kind, unit, rotation or frame is another"


def aim(episode: Episode, kind: str = "ee_pose", look_at: str = LOOK_AT) -> str:
    """A sentence where targets lie oddly far from what follows them; empty where they do not.

    Args:
        episode: of any source.
        kind: of its actions: `ee_pose`, or `joint_position`, which are held against the joints.
        look_at: what may be wrong, for the error.

    Raises:
        DatasetError: so far that they cannot be targets.
    """
    if episode.actions is None:
        return ""
    if kind == "joint_position":
        return _joints(episode.actions[:, :-1], episode.joint_position, look_at)
    pose = episode.ee_pose
    off_m, off_rad = _between(episode.actions[:, :7], pose[1:])
    moved_m, moved_rad = _between(pose[:-1], pose[1:])
    said = (
        f"targets lie {1e3 * off_m:.0f} mm and {np.degrees(off_rad):.0f} degrees from the poses "
        f"that follow them (median), which moved {1e3 * moved_m:.0f} mm and "
        f"{np.degrees(moved_rad):.0f} degrees"
    )
    far = off_m > FAR_M or off_rad > FAR_RAD
    odd = off_m > max(ODD_M, _TIMES * moved_m) or off_rad > max(ODD_RAD, _TIMES * moved_rad)
    return _judge(said, far, odd, look_at)


def _joints(targets: np.ndarray, joints: np.ndarray, look_at: str) -> str:
    """Of targets `(T, J)` and positions `(T+1, J)`; the joint that is furthest off counts."""
    off = np.median(np.abs(targets - joints[1:]), axis=0)
    worst = int(off.argmax())
    off_rad = float(off[worst])
    moved_rad = float(np.median(np.abs(np.diff(joints[:, worst]))))
    said = (
        f"targets of joint {worst + 1} lie {np.degrees(off_rad):.0f} degrees from the positions "
        f"that follow them (median), which moved {np.degrees(moved_rad):.0f} degrees"
    )
    return _judge(said, off_rad > FAR_RAD, off_rad > max(ODD_RAD, _TIMES * moved_rad), look_at)


def _judge(said: str, far: bool, odd: bool, look_at: str) -> str:
    if far:
        raise DatasetError(f"{said}: {look_at}")
    return f"{said}: right for a soft arm, otherwise their kind or unit is another" if odd else ""


def _between(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Median distance m, and turn rad, of poses `(N, 7)`."""
    metres = np.linalg.norm(first[:, :3] - second[:, :3], axis=1)
    return float(np.median(metres)), float(np.median(quat_angle(first[:, 3:], second[:, 3:])))
