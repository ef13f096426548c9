"""Geometry against scipy, and the identities that callers rely on."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from vilp_ros import geometry as geo

finite = st.floats(-1, 1, allow_nan=False, width=64)
quats = arrays(np.float64, 4, elements=finite).filter(lambda q: np.linalg.norm(q) > 0.1)
vectors = arrays(np.float64, 3, elements=st.floats(-4, 4, allow_nan=False))


def same_rotation(a, b, tolerance=1e-7):
    return np.all(geo.quat_angle(a, b) < tolerance)


@settings(deadline=None)
@given(quats)
def test_matrix_agrees_with_scipy_and_returns(quat):
    matrix = geo.quat_to_matrix(quat)
    np.testing.assert_allclose(matrix, Rotation.from_quat(quat).as_matrix(), atol=1e-12)
    back = geo.matrix_to_quat(matrix)
    assert back[3] >= 0
    assert same_rotation(back, quat)


def test_half_turns_survive_the_matrix():
    for axis in np.eye(3):
        half_turn = np.append(axis, 0.0)
        assert same_rotation(geo.matrix_to_quat(geo.quat_to_matrix(half_turn)), half_turn)


@settings(deadline=None)
@given(quats, quats)
def test_product_agrees_with_scipy(a, b):
    expected = Rotation.from_quat(a) * Rotation.from_quat(b)
    assert same_rotation(geo.quat_multiply(a, b), expected.as_quat())
    angle = (Rotation.from_quat(a).inv() * Rotation.from_quat(b)).magnitude()
    assert abs(geo.quat_angle(a, b) - angle) < 1e-6
    np.testing.assert_allclose(geo.quat_angle(a, -b), geo.quat_angle(a, b), atol=1e-9)


@settings(deadline=None)
@given(quats)
def test_inverse_undoes(quat):
    assert same_rotation(geo.quat_multiply(geo.quat_inverse(quat), quat), [0, 0, 0, 1])


@settings(deadline=None)
@given(vectors)
def test_rotvec_agrees_with_scipy(rotvec):
    quat = geo.rotvec_to_quat(rotvec)
    np.testing.assert_allclose(np.linalg.norm(quat), 1, atol=1e-12)
    assert same_rotation(quat, Rotation.from_rotvec(rotvec).as_quat())
    assert np.linalg.norm(geo.quat_to_rotvec(quat)) <= np.pi + 1e-9
    assert same_rotation(geo.rotvec_to_quat(geo.quat_to_rotvec(quat)), quat)


def test_tiny_rotvec_is_not_lost():
    tiny = np.array([3e-12, 0, -1e-12])
    np.testing.assert_allclose(geo.quat_to_rotvec(geo.rotvec_to_quat(tiny)), tiny, rtol=1e-6)


@settings(deadline=None)
@given(quats, quats, st.floats(0, 1))
def test_slerp_goes_the_short_way_at_constant_speed(a, b, u):
    middle = geo.slerp(a, b, u)
    total = geo.quat_angle(a, b)
    np.testing.assert_allclose(geo.quat_angle(a, middle), u * total, atol=1e-6)
    np.testing.assert_allclose(geo.quat_angle(middle, b), (1 - u) * total, atol=1e-6)
    if total < np.pi - 1e-3:
        assert same_rotation(middle, geo.slerp(a, -b, u), 1e-6)
    assert np.dot(middle, a) >= -1e-9, "stays in the half-sphere of the first"


@settings(deadline=None)
@given(quats, st.floats(0.1, 3), st.floats(0.1, 3))
def test_rot6d_ignores_lengths_and_returns(quat, p, q):
    rot6d = geo.quat_to_rot6d(quat)
    matrix = geo.quat_to_matrix(quat)
    np.testing.assert_allclose(rot6d, np.r_[matrix[:, 0], matrix[:, 1]])
    skewed = np.r_[p * rot6d[:3], q * rot6d[3:] + 0.3 * rot6d[:3]]
    assert same_rotation(geo.rot6d_to_quat(skewed), quat)


@settings(deadline=None)
@given(st.floats(-np.pi, np.pi))
def test_yaw_turns_x_in_the_plane(yaw):
    x_axis = geo.quat_to_matrix(geo.yaw_quat(yaw))[:, 0]
    np.testing.assert_allclose(x_axis, [np.cos(yaw), np.sin(yaw), 0], atol=1e-12)


@settings(deadline=None)
@given(vectors, quats, st.floats(0, 0.08))
def test_proprio_round_trip(position, quat, width):
    proprio = geo.ee_proprio(np.r_[position, quat], width)
    assert proprio.shape == (10,)
    assert proprio.dtype == np.float32
    pose, width_back = geo.proprio_to_ee(proprio)
    np.testing.assert_allclose(pose[:3], position, atol=1e-6)
    assert same_rotation(pose[3:], quat, 1e-5)
    np.testing.assert_allclose(width_back, width, atol=1e-7)


def test_everything_is_batched():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3, 4))
    u = rng.uniform(size=(5, 3))
    pairs = [
        (geo.quat_to_matrix, (a,)),
        (lambda q: geo.matrix_to_quat(geo.quat_to_matrix(q)), (a,)),
        (lambda q: geo.rot6d_to_quat(geo.quat_to_rot6d(q)), (a,)),
        (geo.quat_multiply, (a, b)),
        (geo.quat_inverse, (a,)),
        (geo.quat_to_rotvec, (a,)),
        (geo.slerp, (a, b, u)),
        (geo.quat_angle, (a, b)),
        (geo.yaw_quat, (u,)),
        (geo.ee_proprio, (np.concatenate([a[..., :3], b], -1), u)),
    ]
    for function, arguments in pairs:
        batched = function(*arguments)
        one_by_one = [function(*(x[i, j] for x in arguments)) for i in range(5) for j in range(3)]
        expected = np.reshape(one_by_one, batched.shape)
        np.testing.assert_allclose(batched, expected, atol=1e-7, err_msg=str(function))
