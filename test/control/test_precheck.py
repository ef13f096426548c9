"""A chunk that would break a limit is refused or slowed, and what would break is named."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import FR3, HOME_JOINTS, HOME_POSE

from vilp_ros.control.action import difference
from vilp_ros.control.precheck import GRAZE, MAX_SLOWDOWN, PreCheck

PERIOD_S = 0.05
JOINTS, POSE = np.append(HOME_JOINTS, 0.04), np.append(HOME_POSE, 0.04)


def ramp(start, column, speed, count=8):
    """A chunk in which one number changes evenly."""
    actions = np.tile(start, (count, 1))
    actions[:, column] += speed * PERIOD_S * np.arange(count)
    return actions


def joints(slow=True, **changes):
    limits = dataclasses.replace(FR3.limits, **changes)
    return PreCheck(limits, "joint_position", PERIOD_S, slow)


def hand(slow=True):
    return PreCheck(FR3.limits, "ee_pose", PERIOD_S, slow)


def test_a_good_chunk_passes_as_it_is():
    actions = ramp(JOINTS, 0, 0.3)
    judgement = joints().judge(actions, 0, JOINTS)
    np.testing.assert_array_equal(judgement.actions, actions)
    assert (judgement.slowdown, judgement.findings) == (1.0, ())


def test_what_is_too_fast_is_slowed_on_its_path():
    actions = ramp(JOINTS, 3, 2 * FR3.limits.joint_velocity[3])
    judgement = joints().judge(actions, 0, JOINTS)
    assert judgement.slowdown == pytest.approx(2, rel=0.01)
    speeds = np.diff(judgement.actions[:, 3]) / PERIOD_S
    assert speeds.max() <= FR3.limits.joint_velocity[3] * (1 + 1e-6)
    assert judgement.findings == (
        f"velocity of joint4 would be {2 * FR3.limits.joint_velocity[3]:.3g}, "
        f"limit {FR3.limits.joint_velocity[3]:g} rad/s",
    )


def test_or_refused():
    actions = ramp(JOINTS, 3, 2 * FR3.limits.joint_velocity[3])
    judgement = joints(slow=False).judge(actions, 0, JOINTS)
    assert judgement.actions is None
    assert "joint4" in judgement.findings[0]


def test_what_cannot_be_slowed_enough_is_refused():
    actions = ramp(JOINTS, 5, 10 * FR3.limits.joint_velocity[5], 4)
    judgement = joints(joint_position=((-9.0, 9.0),) * 7).judge(actions, 0, JOINTS)
    assert judgement.actions is None


@pytest.mark.parametrize(
    ("check", "start", "actions", "says"),
    [
        (joints(), JOINTS, ramp(JOINTS, 1, -3), "joint2 would reach -1.835, limit -1.4633"),
        (hand(), POSE, ramp(POSE, 2, -2), "z would reach -0.213, limit 0"),
        (
            joints(),
            JOINTS + 0.6 * np.eye(8)[2],
            ramp(JOINTS, 0, 0),
            "from the arm: joint3 by 0.600",
        ),
        (hand(), POSE - 0.2, ramp(POSE, 0, 0), "too far from the arm: hand by 0.346"),
    ],
)
def test_ranges_and_start_are_refused_by_name(check, start, actions, says):
    judgement = check.judge(actions, 0, start)
    assert judgement.actions is None
    assert any(says in finding for finding in judgement.findings), judgement.findings


@pytest.mark.parametrize("what", ["z", "joint2"])
def test_a_plan_that_grazes_a_range_is_held_in_it(what):
    check, start, column, unit = (hand, POSE, 2, "m") if what == "z" else (joints, JOINTS, 1, "rad")
    ranges = FR3.limits.workspace["z"] if what == "z" else FR3.limits.joint_position[1]
    start = start.copy()
    start[column] = ranges[0] + 1e-3
    actions = ramp(start, column, -GRAZE[unit] / 7 / PERIOD_S)  # out by the graze less 1e-3
    judgement = check().judge(actions, 0, start)
    np.testing.assert_array_equal(judgement.actions[:, column], actions[:, column].clip(ranges[0]))
    assert judgement.slowdown == 1
    assert judgement.findings[0].startswith(f"{what} would be out of its range by 0.0")
    assert check(slow=False).judge(actions, 0, start).actions is None
    actions[:, column] -= 2e-3
    assert check().judge(actions, 0, start).actions is None


def test_the_hand_is_judged_by_its_speed():
    speed = FR3.limits.ee_speed
    judgement = hand().judge(ramp(POSE, 0, 1.5 * speed), 0, POSE)
    assert judgement.findings == (
        f"velocity of hand would be {1.5 * speed:.3g}, limit {speed:g} m/s",
    )
    assert judgement.actions is not None


def test_what_is_past_is_not_judged():
    actions = ramp(JOINTS, 0, 0.1)
    actions[0] += 1.0
    judgement = joints().judge(actions, 1, JOINTS)
    np.testing.assert_array_equal(judgement.actions, actions)


def test_a_jerk_is_named():
    actions = np.tile(JOINTS, (8, 1))
    actions[4:, 0] += 0.04
    judgement = joints(joint_jerk=(100.0,) * 7).judge(actions, 0, JOINTS)
    assert judgement.findings[0].startswith("acceleration of joint1") or (
        judgement.findings[0].startswith("jerk of joint1")
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.1), st.sampled_from(["joints", "hand"]))
def test_what_passes_breaks_nothing(seed, size, what):
    check, start = (joints(), JOINTS) if what == "joints" else (hand(), POSE)
    rng, columns = np.random.default_rng(seed), slice(0, 7 if what == "joints" else 3)
    actions = np.tile(start, (8, 1))
    actions[:, columns] += np.cumsum(rng.normal(0, size, actions[:, columns].shape), axis=0)
    judgement = check.judge(actions, 0, start)
    if judgement.actions is None:
        assert judgement.findings
        return
    assert 1 <= judgement.slowdown <= MAX_SLOWDOWN
    assert check.judge(judgement.actions, 0, start).findings == ()
    # The same path, or less of it: every action lies between two neighbours of the plan.
    kind = "joint_position" if what == "joints" else "ee_pose"
    if any("held in it" in finding for finding in judgement.findings):
        return
    for action in judgement.actions:
        off = min(
            np.linalg.norm(difference(kind, a, action))
            + np.linalg.norm(difference(kind, action, b))
            - np.linalg.norm(difference(kind, a, b))
            for a, b in zip(actions, actions[1:])
        )
        assert off < 1e-6
