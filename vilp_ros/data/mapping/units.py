"""Numbers as others write them to ours: metres, radians, quaternions xyzw, widths."""

from __future__ import annotations

import numpy as np

from vilp_ros.data.mapping.column_map import ROTATIONS, GripperMap, JointMap
from vilp_ros.errors import VilpError
from vilp_ros.geometry import continuous_quats, rot6d_to_quat, rotvec_to_quat, rpy_to_quat

RAD_PER = {"rad": 1.0, "deg": np.pi / 180, "ticks": 2 * np.pi / 4096}
METRES_PER = {"m": 1.0, "mm": 1e-3}
BESIDE, MOST = 0.05, 0.5
"""Of an opening's range, by which a number may lie beside it; of a column, which may not."""
_ZERO = {"rad": 0.0, "deg": 0.0, "ticks": 2048.0}


def quats(rows: np.ndarray, rotation: str, angles: str, where: str) -> np.ndarray:
    """Unit quaternions xyzw `(N, 4)`, signs without jumps.

    Args:
        rows: `(N, K)` rotations.
        rotation: one of `ROTATIONS`, K columns.
        angles: `rad` or `deg`.
        where: names the columns in errors.

    Raises:
        VilpError: another number of columns, or a quaternion that is none.
    """
    if rows.shape[1] != ROTATIONS[rotation]:
        raise VilpError(
            f"{where}: a rotation as {rotation} has {ROTATIONS[rotation]} columns, found "
            f"{rows.shape[1]}"
        )
    if rotation.startswith("quaternion"):
        found = rows if rotation == "quaternion_xyzw" else np.roll(rows, -1, axis=1)
        length = np.linalg.norm(found, axis=1)
        if not (np.abs(length - 1) < 0.05).all():
            worst = int(np.nanargmax(np.abs(length - 1))) if np.isfinite(length).any() else 0
            raise VilpError(
                f"{where}: row {worst} is no unit quaternion, its length is {length[worst]:.3g}: "
                "is the rotation another one, or are its columns others?"
            )
        found = found / length[:, None]
    elif rotation == "rotation_vector":
        found = rotvec_to_quat(RAD_PER[angles] * rows)
    elif rotation == "rpy":
        found = rpy_to_quat(RAD_PER[angles] * rows)
    else:
        pairs = rows.reshape(-1, 2, 3) if rotation == "rot6d" else _columns_of_rows(rows)
        found = rot6d_to_quat(pairs.reshape(-1, 6))
    return continuous_quats(found)


def _columns_of_rows(rows: np.ndarray) -> np.ndarray:
    """The first two columns `(N, 2, 3)` of matrices whose first two rows are given `(N, 6)`."""
    first, second = rows[:, :3], rows[:, 3:]
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = second - np.sum(first * second, axis=1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    matrix = np.stack([first, second, np.cross(first, second)], axis=1)
    return np.swapaxes(matrix, 1, 2)[:, :2]


def radians(rows: np.ndarray, joints: JointMap, where: str) -> np.ndarray:
    """Joint positions `(N, J)` rad of measured or told ones.

    Raises:
        VilpError: `zero` or `sign` have another number of entries.
    """
    zero = np.asarray(joints.zero if joints.zero is not None else _ZERO[joints.unit])
    _fits(zero, rows, "joints.zero", where)
    return joint_change(rows - zero, joints.unit, joints, where)


def joint_change(rows: np.ndarray, unit: str, joints: JointMap, where: str) -> np.ndarray:
    """Differences or velocities `(N, J)` in radians."""
    sign = np.asarray(joints.sign if joints.sign is not None else 1.0)
    _fits(sign, rows, "joints.sign", where)
    return RAD_PER[unit] * sign * rows


def _fits(values: np.ndarray, rows: np.ndarray, name: str, where: str) -> None:
    if values.ndim and len(values) != rows.shape[1]:
        raise VilpError(f"{where}: {name} has {len(values)} entries for {rows.shape[1]} columns")


def widths(rows: np.ndarray, gripper: GripperMap, where: str) -> np.ndarray:
    """Metres between the fingers `(N,)` of one column `(N, 1)`, kept within the gripper's range.

    Raises:
        VilpError: another number of columns.
    """
    if rows.shape[1] != 1:
        raise VilpError(f"{where}: an opening is one column, found {rows.shape[1]}")
    share = (rows[:, 0] - gripper.closed) / (gripper.open - gripper.closed)
    return gripper.width_m * np.clip(share, 0.0, 1.0)


def clipped(rows: np.ndarray, gripper: GripperMap, where: str) -> str:
    """A sentence where numbers of a column `(N, 1)` lie beside its range; empty if none do.

    Raises:
        VilpError: most of them do.
    """
    low, high = sorted((gripper.open, gripper.closed))
    slack = BESIDE * (high - low)
    beside = int(((rows < low - slack) | (rows > high + slack)).sum())
    if not beside:
        return ""
    said = (
        f"{where}: {beside} of {rows.size} values of {', '.join(gripper.columns)} lie beside "
        f"{low:g} to {high:g}, which the map calls open and closed; they go from {rows.min():g} to "
        f"{rows.max():g}"
    )
    if beside > MOST * rows.size:
        raise VilpError(f"{said}: correct `open` and `closed` of that gripper")
    return f"{said}: those count as its end, or `open` and `closed` are others"
