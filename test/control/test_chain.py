"""Poses to the joints of arms with a URDF and back: six joints, seven, and those of a Franka."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import FR3, FR3_CHAIN, HOME_JOINTS, UR5E, UR5E_HOME

from vilp_ros.errors import VilpError
from vilp_ros.geometry import quat_angle, quat_multiply, rotvec_to_quat
from vilp_ros.kinematics import KinematicsError, kinematics_of

SIX, SEVEN, FRANKA = kinematics_of(UR5E), kinematics_of(FR3_CHAIN), kinematics_of(FR3)
ARMS = [(SIX, UR5E_HOME), (SEVEN, HOME_JOINTS)]
both = pytest.mark.parametrize(("arm", "home"), ARMS, ids=["ur5e", "fr3"])
slow = settings(max_examples=40, deadline=None)


def near(a, b):
    return np.linalg.norm(a[:3] - b[:3]) < 1e-6 and quat_angle(a[3:], b[3:]) < 1e-5


@slow
@given(st.integers(0, 2**32 - 1))
def test_the_urdf_of_a_franka_is_the_franka(seed):
    joints = np.random.default_rng(seed).uniform(-1.5, 1.5, 7)
    assert near(SEVEN.forward(joints), FRANKA.forward(joints))
    tool = FRANKA.tool(joints, FRANKA.forward(joints))
    assert near(SEVEN.tool(joints, FRANKA.forward(joints)), tool)


@both
@slow
@given(seed=st.integers(0, 2**32 - 1))
def test_inverse_and_forward_agree(arm, home, seed):
    rng = np.random.default_rng(seed)
    joints = home + rng.uniform(-0.3, 0.3, len(home))
    pose = arm.forward(joints)
    found = arm.inverse(pose, joints + rng.uniform(-0.05, 0.05, len(home)))
    assert near(arm.forward(found), pose)


@both
@slow
@given(seed=st.integers(0, 2**32 - 1))
def test_a_smooth_path_of_poses_is_a_smooth_path_of_joints(arm, home, seed):
    rng, start = np.random.default_rng(seed), arm.forward(home)
    phase, turn = rng.uniform(0, 2 * np.pi, 2)
    poses = []
    for angle in np.linspace(0, 2 * np.pi, 200):
        reach = np.sin(min(angle, np.pi / 2))
        circle = 0.06 * np.array([np.cos(angle + phase), np.sin(angle + phase), np.sin(angle)])
        turned = reach * np.sin(angle + turn) * np.array([0.2, 0.1, 0.5])
        quat = quat_multiply(rotvec_to_quat(turned), start[3:])
        offset = reach * (np.array([0.12, 0, -0.05]) + circle)
        poses.append(np.concatenate([start[:3] + offset, quat]))
    path = arm.inverse_path(np.array(poses), home)
    assert abs(np.diff(path, axis=0)).max() < 0.08
    assert abs(np.diff(path, 2, axis=0)).max() < 0.03
    for pose, joints in zip(poses[::20], path[::20]):
        assert near(arm.forward(joints), pose)


def test_joints_may_be_named_in_any_order():
    names, ranges = UR5E.proprio.joint_names[::-1], UR5E.limits.joint_position[::-1]
    proprio = dataclasses.replace(UR5E.proprio, joint_names=names)
    limits = dataclasses.replace(UR5E.limits, joint_position=ranges)
    turned = kinematics_of(dataclasses.replace(UR5E, proprio=proprio, limits=limits))
    pose, start = SIX.forward(UR5E_HOME), UR5E_HOME[::-1]
    np.testing.assert_allclose(turned.forward(start), pose, atol=1e-12)
    pose[:3] += [0.03, 0.02, -0.01]
    wanted = SIX.inverse(pose, UR5E_HOME)
    np.testing.assert_allclose(turned.inverse(pose, start), wanted[::-1], atol=1e-7)


@both
def test_standing_still_moves_nothing(arm, home):
    path = arm.inverse_path(np.repeat(arm.forward(home)[None], 20, axis=0), home)
    np.testing.assert_array_equal(path[-1], home)


@both
def test_out_of_reach_is_refused_by_name(arm, home):
    with pytest.raises(KinematicsError, match=r"pose \(1.600, 0.000, 0.400\) .* out of reach of"):
        arm.inverse([1.6, 0, 0.4, 1, 0, 0, 0], home)


def test_a_range_is_kept_and_a_jump_refused():
    limits = dataclasses.replace(
        UR5E.limits, joint_position=(*UR5E.limits.joint_position[:5], (-0.05, 0.05))
    )
    narrow = kinematics_of(dataclasses.replace(UR5E, limits=limits))
    pose = narrow.forward(UR5E_HOME)
    pose[3:] = quat_multiply(rotvec_to_quat([0, 0, 0.2]), pose[3:])
    with pytest.raises(KinematicsError, match="out of reach of ur5e_ros2_control within limits"):
        narrow.inverse(pose, UR5E_HOME)
    pose = SIX.forward(UR5E_HOME)
    pose[3:] = quat_multiply(rotvec_to_quat([0, 0, 0.9]), pose[3:])
    with pytest.raises(KinematicsError, match=r"joint6 would jump by 0.90 rad"):
        SIX.inverse(pose, UR5E_HOME)


def test_a_redundant_arm_goes_round_a_joint_at_its_end():
    """Joint 1 may not turn: the others take the hand aside."""
    ranges = [*FR3_CHAIN.limits.joint_position]
    ranges[0] = (-1e-3, 1e-3)
    limits = dataclasses.replace(FR3_CHAIN.limits, joint_position=tuple(ranges))
    held, joints = kinematics_of(dataclasses.replace(FR3_CHAIN, limits=limits)), HOME_JOINTS
    start = held.forward(HOME_JOINTS)
    for aside in np.linspace(0, 0.05, 20):
        pose = start + np.array([0, aside, 0, 0, 0, 0, 0])
        joints = held.inverse(pose, joints)
    assert near(held.forward(joints), pose)
    assert abs(joints[0]) <= 1e-3


def test_joints_at_their_ends_do_not_keep_the_others_from_the_pose():
    rng, (low, high) = np.random.default_rng(0), np.array(FR3_CHAIN.limits.joint_position).T
    found = 0
    for _ in range(60):
        joints, ends = rng.uniform(low, high), rng.integers(7, size=2)
        joints[ends] = np.where(rng.random(2) < 0.5, low[ends], high[ends])
        near = (joints + rng.uniform(-0.2, 0.2, 7)).clip(low, high)
        found += SEVEN._solution(SEVEN.forward(joints), near) is not None
    assert found > 55


def test_what_a_contracts_arm_lacks_is_named():
    for changes, says in (
        ({"urdf": "package://no_such/arm.urdf"}, "no workspace that is sourced has the package"),
        ({"urdf": "/nowhere/arm.urdf"}, "no URDF at /nowhere/arm.urdf"),
        ({"tip": "flange"}, "has no link 'flange'; it has"),
        ({"tip": "wrist_1_link"}, "joint 'wrist_2_joint' does not lie between"),
    ):
        arm = dataclasses.replace(UR5E.arm, **changes)
        with pytest.raises(VilpError, match=says):
            kinematics_of(dataclasses.replace(UR5E, arm=arm))
    with pytest.raises(VilpError, match="names no arm"):
        kinematics_of(dataclasses.replace(UR5E, arm=None))
