"""Rotations and poses in numpy: quaternions xyzw, poses xyz + quaternion, any leading dimensions.

Inputs are any array-likes; results are float64 unless stated. Functions that read a rotation from a
quaternion normalise it first, so one that came through float32 or a message is fine; a zero one
gives NaN, and refusing it is the caller's business (see `vilp_ros.control.limits`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def _unit(vector: ArrayLike) -> Array:
    vector = np.asarray(vector, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def quat_to_matrix(quat: ArrayLike) -> Array:
    """Rotation matrices of quaternions.

    Args:
        quat: (..., 4) xyzw.

    Returns:
        (..., 3, 3).
    """
    x, y, z, w = np.moveaxis(_unit(quat), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quat(matrix: ArrayLike) -> Array:
    """Quaternions of rotation matrices, with w >= 0.

    Args:
        matrix: (..., 3, 3), orthonormal.

    Returns:
        (..., 4) xyzw, unit.
    """
    m = np.asarray(matrix, dtype=np.float64)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Each row is the quaternion times four of its own components; the row of the largest component
    # is the one whose norm is far from zero.
    xx = 1 + m00 - m11 - m22
    yy = 1 - m00 + m11 - m22
    zz = 1 - m00 - m11 + m22
    ww = 1 + m00 + m11 + m22
    even, odd = m + np.swapaxes(m, -1, -2), m - np.swapaxes(m, -1, -2)
    xy, xz, yz = even[..., 0, 1], even[..., 0, 2], even[..., 1, 2]
    xw, yw, zw = odd[..., 2, 1], odd[..., 0, 2], odd[..., 1, 0]
    rows = np.stack(
        [
            np.stack([xx, xy, xz, xw], axis=-1),
            np.stack([xy, yy, yz, yw], axis=-1),
            np.stack([xz, yz, zz, zw], axis=-1),
            np.stack([xw, yw, zw, ww], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.stack([xx, yy, zz, ww], axis=-1), axis=-1)
    quat = _unit(np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(quat[..., 3:] < 0, -quat, quat)


def quat_to_rot6d(quat: ArrayLike) -> Array:
    """First two columns of the rotation matrix in a row: a representation without jumps.

    Args:
        quat: (..., 4) xyzw.

    Returns:
        (..., 6) = [R[:, 0], R[:, 1]].
    """
    matrix = quat_to_matrix(quat)
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def rot6d_to_quat(rot6d: ArrayLike) -> Array:
    """Quaternion of two approximate columns, orthonormalised by Gram-Schmidt.

    Args:
        rot6d: (..., 6), as a network predicts it; the columns need only be independent.

    Returns:
        (..., 4) xyzw with w >= 0.
    """
    rot6d = np.asarray(rot6d, dtype=np.float64)
    first = _unit(rot6d[..., :3])
    second = rot6d[..., 3:]
    second = _unit(second - np.sum(first * second, axis=-1, keepdims=True) * first)
    return matrix_to_quat(np.stack([first, second, np.cross(first, second)], axis=-1))


def quat_multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """Hamilton product: the rotation `b` followed by the rotation `a`.

    Args:
        a: (..., 4) xyzw.
        b: (..., 4) xyzw.

    Returns:
        (..., 4) xyzw.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = aw * bv + bw * av + np.cross(av, bv)
    scalar = aw * bw - np.sum(av * bv, axis=-1, keepdims=True)
    return np.concatenate([vector, scalar], axis=-1)


def quat_inverse(quat: ArrayLike) -> Array:
    """Inverse rotation, unit.

    Args:
        quat: (..., 4) xyzw.

    Returns:
        (..., 4) xyzw.
    """
    return _unit(quat) * np.array([-1.0, -1.0, -1.0, 1.0])


def quat_to_rotvec(quat: ArrayLike) -> Array:
    """Axis times angle, radians; the same for q and -q, angle at most pi.

    Args:
        quat: (..., 4) xyzw.

    Returns:
        (..., 3).
    """
    quat = _unit(quat)
    quat = np.where(quat[..., 3:] < 0, -quat, quat)
    sine = np.linalg.norm(quat[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quat[..., 3:])
    small = sine < 1e-9
    return quat[..., :3] * np.where(small, 2.0, angle / np.where(small, 1.0, sine))


def rotvec_to_quat(rotvec: ArrayLike) -> Array:
    """Quaternion of a rotation vector.

    Args:
        rotvec: (..., 3) axis times angle, radians.

    Returns:
        (..., 4) xyzw, unit.
    """
    rotvec = np.asarray(rotvec, dtype=np.float64)
    half = np.linalg.norm(rotvec, axis=-1, keepdims=True) / 2
    # np.sinc is sin(pi x) / (pi x): no division by a zero angle.
    return np.concatenate([rotvec * np.sinc(half / np.pi) / 2, np.cos(half)], axis=-1)


def slerp(q0: ArrayLike, q1: ArrayLike, u: ArrayLike) -> Array:
    """Rotation a fraction of the shorter way from one quaternion to another.

    Args:
        q0: (..., 4) xyzw.
        q1: (..., 4) xyzw; its sign does not matter.
        u: (...) fraction: 0 gives `q0` as it is, 1 gives `q1` up to its sign.

    Returns:
        (..., 4) xyzw, unit, in the half-sphere of `q0` for u in [0, 1].
    """
    delta = quat_to_rotvec(quat_multiply(quat_inverse(q0), _unit(q1)))
    step = rotvec_to_quat(np.asarray(u, dtype=np.float64)[..., None] * delta)
    return quat_multiply(_unit(q0), step)


def quat_angle(a: ArrayLike, b: ArrayLike) -> Array:
    """Angle between two rotations.

    Args:
        a: (..., 4) xyzw.
        b: (..., 4) xyzw.

    Returns:
        (...) radians, 0 to pi.
    """
    return np.linalg.norm(quat_to_rotvec(quat_multiply(quat_inverse(a), _unit(b))), axis=-1)


def rpy_to_quat(rpy: ArrayLike) -> Array:
    """Quaternion of turns about the fixed axes x, then y, then z, as URDF and ROS say rotations.

    Args:
        rpy: (..., 3) roll, pitch, yaw, radians.

    Returns:
        (..., 4) xyzw, unit.
    """
    turns = rotvec_to_quat(np.asarray(rpy, np.float64)[..., None] * np.eye(3))
    roll, pitch, yaw = np.moveaxis(turns, -2, 0)
    return quat_multiply(yaw, quat_multiply(pitch, roll))


def quat_to_rpy(quat: ArrayLike) -> Array:
    """Roll, pitch, yaw (3,) radians of a quaternion (4,) xyzw; see `rpy_to_quat`."""
    m = quat_to_matrix(quat)
    pitch = np.arctan2(-m[2, 0], np.hypot(m[0, 0], m[1, 0]))
    if np.hypot(m[0, 0], m[1, 0]) < 1e-9:  # roll and yaw turn about one axis
        return np.array([np.arctan2(-m[1, 2], m[1, 1]), pitch, 0.0])
    return np.array([np.arctan2(m[2, 1], m[2, 2]), pitch, np.arctan2(m[1, 0], m[0, 0])])


def continuous_quats(quats: ArrayLike, like: ArrayLike | None = None) -> Array:
    """The same rotations (N, 4) with signs that do not jump: each in the half-sphere of the last.

    The first one comes into that of `like` (4,), or is left as it is.
    """
    quats = np.array(quats, np.float64)
    if like is not None and np.dot(quats[0], like) < 0:
        quats = -quats
    turned = np.sign(np.sum(quats[1:] * quats[:-1], axis=-1))
    quats[1:] *= np.cumprod(np.where(turned < 0, -1.0, 1.0))[:, None]
    return quats


def yaw_quat(yaw: ArrayLike) -> Array:
    """Rotation about z.

    Args:
        yaw: (...) radians.

    Returns:
        (..., 4) xyzw.
    """
    half = np.asarray(yaw, dtype=np.float64) / 2
    zero = np.zeros_like(half)
    return np.stack([zero, zero, np.sin(half), np.cos(half)], axis=-1)


def ee_proprio(ee_pose: ArrayLike, gripper_width: ArrayLike) -> NDArray[np.float32]:
    """Proprioception vector that policies read.

    Args:
        ee_pose: (..., 7) xyz m + quaternion xyzw in the robot base frame.
        gripper_width: (...) metres.

    Returns:
        (..., 10) float32 = [xyz, rot6d, gripper width].
    """
    ee_pose = np.asarray(ee_pose, dtype=np.float64)
    width = np.asarray(gripper_width, dtype=np.float64)[..., None]
    rot6d = quat_to_rot6d(ee_pose[..., 3:])
    return np.concatenate([ee_pose[..., :3], rot6d, width], axis=-1).astype(np.float32)


def proprio_to_ee(proprio: ArrayLike) -> tuple[Array, Array]:
    """Inverse of `ee_proprio`, for measured or predicted vectors.

    Args:
        proprio: (..., 10).

    Returns:
        ee_pose (..., 7) xyz + quaternion xyzw with w >= 0, and gripper width (...).
    """
    proprio = np.asarray(proprio, dtype=np.float64)
    ee_pose = np.concatenate([proprio[..., :3], rot6d_to_quat(proprio[..., 3:9])], axis=-1)
    return ee_pose, proprio[..., 9]
