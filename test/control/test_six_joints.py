"""Limits, pre-check, motion and plans of an arm with six joints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import UR5E, UR5E_HOME

from vilp_ros.control.horizon import PERIOD_S, Horizon
from vilp_ros.control.limits import SafetyLimits, UnsafeCommandError
from vilp_ros.control.precheck import PreCheck
from vilp_ros.control.timeline import Accepted, ActionTimeline

KIND, HERE = "joint_position", np.append(UR5E_HOME, 0.04)
LIMITS = UR5E.limits


def ramp(joint, speed, steps=8):
    return HERE + np.outer(0.05 * speed * np.arange(steps), np.eye(7)[joint])


def test_the_sixth_joint_is_clamped_like_the_first():
    limits = SafetyLimits(LIMITS, KIND)
    command, acted = limits.clamp(HERE + np.eye(7)[5], HERE, HERE, 0.02)
    assert acted == ["joint_velocity[5]"]
    assert command[5] == pytest.approx(0.02 * LIMITS.joint_velocity[5])
    command, acted = limits.clamp(HERE + 9 * np.eye(7)[5], None, HERE, 0.02)
    assert "joint_position[5]" in acted
    with pytest.raises(UnsafeCommandError, match=r"shape \(8,\), allowed \(7,\) = \('joint1'"):
        limits.clamp(np.append(HERE, 0.0), None, HERE, 0.02)


def test_a_plan_that_is_too_fast_names_the_sixth_joint_and_is_stretched():
    check = PreCheck(LIMITS, KIND, 0.05)
    judgement = check.judge(ramp(5, 2 * LIMITS.joint_velocity[5]), 0, HERE)
    assert judgement.findings[0] == "velocity of joint6 would be 3.14, limit 1.57 rad/s"
    assert judgement.slowdown == pytest.approx(2.0, rel=0.11)
    far = check.judge(ramp(5, 0) + np.eye(7)[5], 0, HERE)
    assert far.findings == ("starts too far from the arm: joint6 by 1.000, limit 0.5 rad",)
    jerk = ramp(5, 0)
    jerk[4:, 5] += 0.05
    assert "jerk of joint6" in " ".join(check.judge(jerk, 0, HERE).findings)


def test_a_plan_of_another_number_of_joints_is_refused():
    timeline = ActionTimeline(KIND, 0.05, 4, size=UR5E.action_size(KIND))
    said = timeline.submit(1.0, np.zeros((8, 8)), 1.0)
    assert "plan action 0 has shape (8,), allowed (7,)" in said
    assert isinstance(timeline.submit(1.0, ramp(0, 0.1), 1.0), Accepted)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_leaves_keeps_velocity_acceleration_and_jerk_of_all_six(seed):
    rng = np.random.default_rng(seed)
    timeline = ActionTimeline(KIND, 0.05, 4, slow_s=0.2, size=7)
    horizon, now_s, here = Horizon(LIMITS, KIND), 10.0, HERE
    path = []
    for _ in range(6):
        actions = HERE + np.cumsum(rng.uniform(-0.1, 0.1, (8, 7)), axis=0)
        timeline.submit(now_s, actions, now_s, here)
        timeline.sample(now_s)
        horizon.follow(timeline, now_s, here)
        path += [horizon.at(now_s + k * PERIOD_S) for k in range(7)]
        now_s += 7 * PERIOD_S
        here = path[-1]
    steps = np.array([motion.velocity for motion in horizon.motions])
    assert (abs(steps) <= np.array(LIMITS.joint_velocity) + 1e-9).all()
    for order, most in ((1, LIMITS.joint_velocity), (2, LIMITS.joint_acceleration)):
        moved = np.diff(np.array(path)[:, :-1], order, axis=0) / PERIOD_S**order
        assert (abs(moved) <= 1.02 * np.array(most) + 1e-6).all()
    assert horizon.motions[-1].still
