"""Poses to joints and back, continuous, or refused by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import FR3, HOME_JOINTS, HOME_POSE

from vilp_ros.geometry import quat_angle, quat_multiply, rotvec_to_quat
from vilp_ros.kinematics import KinematicsError
from vilp_ros.kinematics.franka import FrankaKinematics

ARM = FrankaKinematics("fr3", FR3.limits.joint_position)
slow = settings(max_examples=60, deadline=None)


def near(a, b):
    return np.linalg.norm(a[:3] - b[:3]) < 1e-6 and quat_angle(a[3:], b[3:]) < 1e-5


def test_home():
    assert near(ARM.forward(HOME_JOINTS), HOME_POSE)
    np.testing.assert_allclose(ARM.inverse(HOME_POSE, HOME_JOINTS), HOME_JOINTS, atol=1e-6)


@slow
@given(st.integers(0, 2**32 - 1))
def test_inverse_and_forward_agree(seed):
    rng = np.random.default_rng(seed)
    joints = HOME_JOINTS + rng.uniform(-0.3, 0.3, 7)
    pose = ARM.forward(joints)
    found = ARM.inverse(pose, joints + rng.uniform(-0.05, 0.05, 7))
    assert near(ARM.forward(found), pose)


@slow
@given(st.integers(0, 2**32 - 1))
def test_a_smooth_path_of_poses_is_a_smooth_path_of_joints(seed):
    """Circles of 8 cm with turns of the hand; joints move in proportion to the hand."""
    rng = np.random.default_rng(seed)
    phase, turn = rng.uniform(0, 2 * np.pi, 2)
    angles = np.linspace(0, 4 * np.pi, 400)
    poses = []
    for angle in angles:
        reach = np.sin(min(angle, np.pi / 2))  # begins at home
        circle = 0.08 * np.array([np.cos(angle + phase), np.sin(angle + phase), np.sin(angle)])
        offset = reach * (np.array([0.2, 0, -0.1]) + circle)
        turned = reach * np.sin(angle + turn) * np.array([0.2, 0.1, 0.5])
        quat = quat_multiply(rotvec_to_quat(turned), HOME_POSE[3:])
        poses.append(np.concatenate([HOME_POSE[:3] + offset, quat]))
    path = ARM.inverse_path(np.array(poses), HOME_JOINTS)
    steps = abs(np.diff(path, axis=0))
    assert steps.max() < 0.06  # 7 mm and 0.02 rad a step
    assert abs(np.diff(path, 2, axis=0)).max() < 0.03
    for pose, joints in zip(poses[::40], path[::40]):
        assert near(ARM.forward(joints), pose)


@slow
@given(st.integers(0, 2**32 - 1))
def test_nothing_jumps_between_places_over_a_table(seed):
    """Joint 2 passes 0, where the shoulder is stretched and joints 1 and 3 turn about one axis."""
    arm = FrankaKinematics(
        "fr3",
        [(-2.9, 2.9), (-1.8, 1.8), (-2.9, 2.9), (-3.0, -0.15), (-2.8, 2.8), (0.5, 4.5), (-3, 3)],
    )
    rng, joints = np.random.default_rng(seed), HOME_JOINTS
    here = np.append(HOME_POSE[:3], np.zeros(3))  # m, and the turn of the hand from home
    for _ in range(6):
        place = np.array([rng.uniform(0.4, 0.6), *rng.uniform([-0.15, 0.02], [0.15, 0.35])])
        there = np.append(place, rng.uniform(-1, 1, 3) * [0.2, 0.2, 0.6])
        for u in np.linspace(1 / 40, 1, 40):
            way = here + u * (there - here)
            quat = quat_multiply(rotvec_to_quat(way[3:]), HOME_POSE[3:])
            pose = np.append(way[:3], quat)
            after = arm.inverse(pose, joints)
            assert np.abs(after - joints).max() < 0.15  # at most 12 mm and 0.04 rad of the hand
            joints = after
        here = there


def test_standing_still_does_not_move_the_elbow():
    rng = np.random.default_rng(0)
    joints = HOME_JOINTS + rng.uniform(-0.3, 0.3, 7)
    pose = ARM.forward(joints)
    path = ARM.inverse_path(np.repeat(pose[None], 100, axis=0), joints)
    np.testing.assert_allclose(path[-1], joints, atol=1e-6)


def test_out_of_reach_is_refused_by_name():
    with pytest.raises(KinematicsError, match=r"pose \(1.200, 0.000, 0.487\) .* out of reach"):
        ARM.inverse([1.2, 0, 0.487, 1, 0, 0, 0], HOME_JOINTS)


def test_a_jump_is_refused_by_name():
    with pytest.raises(KinematicsError, match=r"joint\d would jump by \d\.\d\d rad"):
        ARM.inverse([0.4, 0.5, 0.3, 1, 0, 0, 0], HOME_JOINTS)
