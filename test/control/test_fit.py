"""A tool that is not the contract's is found, and what to set is said."""

import dataclasses
import re

import numpy as np
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import FR3, HOME_JOINTS

from vilp_ros.contract import Tool
from vilp_ros.contract.tool import FRANKA_HAND
from vilp_ros.control.fit import Fit
from vilp_ros.geometry import quat_angle
from vilp_ros.kinematics import kinematics_of
from vilp_ros.kinematics.franka import FrankaKinematics

HAND = kinematics_of(FR3)
tools = st.builds(
    Tool,
    st.tuples(*[st.floats(-0.2, 0.3)] * 3),
    st.tuples(*[st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3)]),
)


def with_tool(tool):
    return FrankaKinematics("fr3", FR3.limits.joint_position, tool)


def test_ten_centimetres_more_are_said():
    longer = with_tool(Tool((0.0, 0.0, 0.2034), FRANKA_HAND.rpy))
    says = Fit(FR3, HAND).misfit(HOME_JOINTS, longer.forward(HOME_JOINTS), 0.0)
    assert "ee_pose is 100 mm and 0.0 degrees from where the joints put fr3_hand_tcp" in says
    assert "set `tool: {xyz: [0.0000, 0.0000, 0.2034], rpy: [0.0000, 0.0000, -0.7854]}`" in says


@settings(max_examples=60, deadline=None)
@given(tools)
def test_what_is_said_to_set_fits_and_leads_there(tool):
    other = with_tool(tool)
    pose = other.forward(HOME_JOINTS)
    says = Fit(FR3, HAND).misfit(HOME_JOINTS, pose, 0.0)
    if says:
        keys = yaml.safe_load(re.search(r"`tool: (.*?)`", says)[1])
        said = Tool(tuple(keys["xyz"]), tuple(keys["rpy"]))
        contract = dataclasses.replace(FR3, tool=said)
        assert Fit(contract, kinematics_of(contract)).misfit(HOME_JOINTS, pose, 0.0) == ""
    moved = HOME_JOINTS + 0.05
    joints = other.inverse(other.forward(moved), HOME_JOINTS)
    reached = other.forward(joints)
    np.testing.assert_allclose(reached[:3], other.forward(moved)[:3], atol=1e-6)
    assert quat_angle(reached[3:], other.forward(moved)[3:]) < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.06))
def test_an_arm_in_motion_may_report_its_pose_later_than_its_joints(seed, late_s):
    rng, fit = np.random.default_rng(seed), Fit(FR3, HAND)
    speed = rng.uniform(-1, 1, 7) * FR3.limits.joint_velocity * 0.5
    for k in range(50):
        time_s = 0.02 * k
        joints, before = (HOME_JOINTS + speed * max(t, 0) for t in (time_s, time_s - late_s))
        assert fit.misfit(joints, HAND.forward(before), time_s) == ""


def test_what_is_not_finite_is_left_to_those_who_refuse_it():
    assert Fit(FR3, HAND).misfit(np.full(7, np.nan), HAND.forward(HOME_JOINTS), 0.0) == ""


def test_one_odd_pose_is_no_tool_and_odd_poses_for_longer_are():
    fit, pose = Fit(FR3, HAND), HAND.forward(HOME_JOINTS)
    other = with_tool(Tool((0.0, 0.0, 0.2034), FRANKA_HAND.rpy)).forward(HOME_JOINTS)
    assert fit.misfit(HOME_JOINTS, pose, 0.0) == ""
    assert fit.misfit(HOME_JOINTS, other, 0.01) == ""
    assert fit.misfit(HOME_JOINTS, pose, 0.02) == ""
    said = [fit.misfit(HOME_JOINTS, other, 0.02 + 0.01 * tick) for tick in range(1, 20)]
    assert said[8] == ""
    assert "100 mm" in said[11]
