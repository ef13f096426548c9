"""No command leaves faster or further than the contract allows, and what acted is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vilp_ros.contract import Limits
from vilp_ros.contract.limits import GRIPPER_SLACK_M
from vilp_ros.control.limits import MAX_STEP_S, SafetyLimits, UnsafeCommandError
from vilp_ros.geometry import quat_angle, yaw_quat

LIMITS = Limits(
    workspace={"x": (0.2, 0.8), "y": (-0.5, 0.5), "z": (0.0, 0.6)},
    ee_speed=0.5,
    ee_angular_speed=1.5,
    gripper_width=(0.0, 0.08),
    joint_position=tuple((-2.0 + 0.1 * i, 2.0) for i in range(7)),
    joint_velocity=tuple(1.0 + 0.1 * i for i in range(7)),
)
LOW = np.array([0.2, -0.5, 0.0])
HIGH = np.array([0.8, 0.5, 0.6])
EE = SafetyLimits(LIMITS, "ee_pose")
JOINT = SafetyLimits(LIMITS, "joint_position")

number = st.floats(-2, 2)
times = st.floats(0, 0.3)
quats = arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)


@st.composite
def poses(draw):
    quat = draw(quats)
    xyz = draw(st.tuples(number, number, number))
    return np.concatenate([xyz, quat / np.linalg.norm(quat), [draw(number)]])


def pose(x=0.5, y=0.0, z=0.3, yaw=0.0, width=0.04):
    return np.concatenate([[x, y, z], yaw_quat(yaw), [width]])


joints = arrays(np.float64, 8, elements=st.floats(-7, 7))


@settings(deadline=None)
@given(poses(), poses(), times)
def test_no_step_is_faster_or_further_than_allowed(target, previous, dt):
    command, acted = EE.clamp(target, previous, previous, dt)
    allowed_s = min(dt, MAX_STEP_S)
    step = command[:3] - previous[:3]
    assert np.linalg.norm(step) <= 0.5 * allowed_s + 1e-9
    assert quat_angle(command[3:7], previous[3:7]) <= 1.5 * allowed_s + 1e-6
    assert -1e-9 <= command[7] <= 0.08 + 1e-9
    assert np.linalg.norm(command[3:7]) == pytest.approx(1)
    assert command[3:7] @ previous[3:7] >= -1e-9, "the sign of the quaternion jumped"
    outside = np.maximum(LOW - command[:3], 0) + np.maximum(command[:3] - HIGH, 0)
    was = np.maximum(LOW - previous[:3], 0) + np.maximum(previous[:3] - HIGH, 0)
    assert np.all(outside <= was), "led out of the workspace"
    reachable = np.clip(target[:3], LOW, HIGH)
    assert ("ee_speed" in acted) == (np.linalg.norm(reachable - previous[:3]) > 0.5 * allowed_s)
    for axis, low, high, value in zip("xyz", LOW, HIGH, target):
        assert (f"workspace.{axis}" in acted) == (not low <= value <= high)
    taken = np.abs(np.clip(target[7], 0, 0.08) - target[7])
    assert ("gripper_width" in acted) == (taken > GRIPPER_SLACK_M)


@settings(deadline=None)
@given(joints, joints, times)
def test_no_joint_moves_faster_or_further_than_allowed(target, previous, dt):
    command, acted = JOINT.clamp(target, previous, previous, dt)
    allowed_s = min(dt, MAX_STEP_S)
    velocity = np.array(LIMITS.joint_velocity)
    low, high = np.array(LIMITS.joint_position).T
    step = command[:7] - previous[:7]
    assert np.all(np.abs(step) <= velocity * allowed_s + 1e-9)
    wanted = np.clip(target[:7], low, high) - previous[:7]
    assert np.all(np.abs(np.cross(step[:3], wanted[:3])) < 1e-9), "the path bends"
    over = np.flatnonzero(np.abs(wanted) > velocity * allowed_s)
    beyond = np.flatnonzero((target[:7] < low) | (target[:7] > high))
    expected = {f"joint_velocity[{i}]" for i in over} | {f"joint_position[{i}]" for i in beyond}
    assert set(acted) - {"gripper_width"} == expected
    assert -1e-9 <= command[7] <= 0.08 + 1e-9


def test_what_is_within_the_limits_passes_unchanged_and_unnamed():
    command, acted = EE.clamp(pose(0.51, yaw=0.01), pose(0.5), pose(0.9), 0.05)
    np.testing.assert_allclose(command, pose(0.51, yaw=0.01), atol=1e-12)
    assert acted == []
    target = np.array([0.02] * 7 + [0.04])
    command, acted = JOINT.clamp(target, np.zeros(8), np.ones(8), 0.05)
    np.testing.assert_allclose(command, target)
    assert acted == []


def test_a_speed_limit_shortens_the_step_and_keeps_its_direction():
    command, acted = EE.clamp(pose(0.5, 0.3, 0.7), pose(), pose(), 0.05)
    np.testing.assert_allclose(command[:3], [0.5, 0.025 / math.sqrt(2), 0.3 + 0.025 / math.sqrt(2)])
    assert acted == ["workspace.z", "ee_speed"]
    command, acted = EE.clamp(pose(yaw=2.0), pose(yaw=0.0), pose(), 0.05)
    assert quat_angle(command[3:7], yaw_quat(0.075)) < 1e-6
    assert acted == ["ee_angular_speed"]


def test_the_first_command_starts_from_where_the_arm_is():
    command, acted = EE.clamp(pose(0.7), None, pose(0.3), 0.05)
    assert command[0] == pytest.approx(0.325)
    assert acted == ["ee_speed"]
    command, _ = JOINT.clamp(np.ones(8), None, np.full(8, -1.0), 0.05)
    assert command[0] == pytest.approx(-0.95)


def test_an_arm_outside_its_workspace_is_led_back_slowly():
    command = pose(0.95)
    for _ in range(6):
        before = command
        command, acted = EE.clamp(pose(0.95), command, pose(0.95), 0.05)
        assert 0 < before[0] - command[0] <= 0.025 + 1e-12
    assert "workspace.x" in acted
    assert command[0] == pytest.approx(0.8)


def test_rounding_does_not_lead_out_of_the_range():
    for width in np.linspace(0.0, 0.08, 100):
        command, _ = EE.clamp(pose(width=0.2), pose(width=width), pose(), 0.05)
        assert command[7] <= 0.08


def test_a_stalled_loop_has_not_earned_a_leap():
    command, _ = EE.clamp(pose(0.8), pose(0.3), pose(0.3), 3.0)
    assert command[0] == pytest.approx(0.3 + 0.5 * MAX_STEP_S)
    command, _ = EE.clamp(pose(0.8), pose(0.3), pose(0.3), 0.0)
    assert command[0] == 0.3


@settings(max_examples=15, deadline=None)
@given(poses(), poses())
def test_a_constant_target_is_reached(target, start):
    command = start
    for _ in range(400):
        command, acted = EE.clamp(target, command, start, 0.05)
    np.testing.assert_allclose(command[:3], np.clip(target[:3], LOW, HIGH))
    assert quat_angle(command[3:7], target[3:7]) < 1e-6
    assert "ee_speed" not in acted


def test_float32_input_is_fine_and_input_stays_untouched():
    target = pose(0.9, yaw=1.0).astype(np.float32)
    kept = target.copy()
    EE.clamp(target, pose().astype(np.float32), pose(), 0.05)
    np.testing.assert_array_equal(target, kept)


def with_value(index, value):
    action = pose()
    action[index] = value
    return action


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (with_value(0, math.nan), "target x is nan"),
        (with_value(2, -math.inf), "target z is -inf"),
        (with_value(4, math.nan), "target qy is nan"),
        (with_value(7, math.inf), "target gripper_width is inf"),
        (with_value(6, 1.5), "target quaternion has norm 1.5, allowed 1 +- 0.01"),
        (with_value(6, 0.0), "target quaternion has norm 0, allowed 1 +- 0.01"),
        (np.zeros(7), "target has shape (7,), allowed (8,)"),
        (np.zeros((1, 8)), "target has shape (1, 8), allowed (8,)"),
    ],
)
def test_what_no_clamp_makes_safe_is_refused_by_name(target, says):
    with pytest.raises(UnsafeCommandError) as refusal:
        EE.clamp(target, pose(), pose(), 0.05)
    assert says in str(refusal.value)


def test_a_joint_is_refused_by_name():
    with pytest.raises(UnsafeCommandError, match="target joint4 is nan"):
        JOINT.clamp([0, 0, 0, math.nan, 0, 0, 0, 0], np.zeros(8), np.zeros(8), 0.05)


def test_without_a_sound_start_nothing_is_sent():
    with pytest.raises(UnsafeCommandError, match="measured state y is nan"):
        EE.clamp(pose(), None, with_value(1, math.nan), 0.05)
    with pytest.raises(UnsafeCommandError, match="previous command z is nan"):
        EE.clamp(pose(), with_value(2, math.nan), pose(), 0.05)
    EE.clamp(pose(), pose(), with_value(1, math.nan), 0.05)


@pytest.mark.parametrize("dt", [-0.01, math.nan])
def test_time_does_not_run_backwards(dt):
    with pytest.raises(UnsafeCommandError, match="time step is"):
        EE.clamp(pose(), pose(), pose(), dt)
