"""The T of Push-T: seven cells of 3 cm, a bar of four on a stem of three; frame at its middle."""

from __future__ import annotations

import numpy as np

CELL = 0.03
THICKNESS = 0.025
STICK_LENGTH, TIP_HEIGHT = 0.10, 0.008  # m below the point between the fingertips; above the table
_BAR_Y, _STEM_Y = 3 * 0.06 / 7, 3 * 0.06 / 7 - 2 * CELL  # the centre of mass is the origin
RECTANGLES = (
    ((0.0, _BAR_Y), (2 * CELL, CELL / 2)),
    ((0.0, _STEM_Y), (CELL / 2, 1.5 * CELL)),
)
"""(middle, half size), metres: the bar and the stem, which points to -y."""

_HIGH, _INNER, _LOW = _BAR_Y + CELL / 2, _BAR_Y - CELL / 2, _STEM_Y - 1.5 * CELL
OUTLINE = np.array(
    [
        (-2 * CELL, _HIGH),
        (-2 * CELL, _INNER),
        (-CELL / 2, _INNER),
        (-CELL / 2, _LOW),
        (CELL / 2, _LOW),
        (CELL / 2, _INNER),
        (2 * CELL, _INNER),
        (2 * CELL, _HIGH),
    ]
)
"""(8, 2) corners, metres, counter-clockwise."""

_PER_CELL = 15  # sample points along a cell: 2 mm apart


def turned(points: np.ndarray, yaw: float) -> np.ndarray:
    """Points (..., 2) turned counter-clockwise about the origin by `yaw` radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[c, s], [-s, c]])


def _samples() -> np.ndarray:
    step = CELL / _PER_CELL
    points = []
    for middle, half in RECTANGLES:
        axes = [np.arange(-h + step / 2, h, step) + m for m, h in zip(middle, half, strict=True)]
        points.append(np.stack(np.meshgrid(*axes), -1).reshape(-1, 2))
    return np.concatenate(points)


_SAMPLES = _samples()


def coverage(pose: np.ndarray) -> float:
    """Share of the outline that a T covers which lies at `pose` (x, y, yaw) in its frame."""
    points = turned(_SAMPLES, pose[2]) + pose[:2]
    inside = np.zeros(len(points), bool)
    for middle, half in RECTANGLES:
        inside |= (np.abs(points - middle) <= half).all(1)
    return float(inside.mean())


def seen_from(goal: np.ndarray, tee: np.ndarray) -> np.ndarray:
    """Pose (x, y, yaw) of a T in the frame of its outline, yaw in [-pi, pi)."""
    offset = turned(tee[:2] - goal[:2], -goal[2])
    return np.array([*offset, (tee[2] - goal[2] + np.pi) % (2 * np.pi) - np.pi])
