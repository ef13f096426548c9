"""Which action of which plan is in force: at its instant, faded in, not when it is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import DT, FADE, KINDS, LIFE, STEPS, pose, ramp, wild_plan

from vilp_ros.control.timeline import Accepted, ActionTimeline
from vilp_ros.geometry import quat_angle, rotvec_to_quat, slerp, yaw_quat


@pytest.mark.parametrize("kind", KINDS)
def test_each_action_is_in_force_at_its_instant(kind):
    actions = wild_plan(kind, 0)
    timeline = ActionTimeline(kind, DT, STEPS)
    assert timeline.submit(5.0, actions, 5.0) == Accepted(5.0, 0.0)
    for k in range(STEPS):
        sample = timeline.sample(5.0 + k * DT)
        assert (sample.source_stamp_s, sample.exhausted) == (5.0, False)
        if kind == "ee_pose":
            assert quat_angle(sample.action[3:7], actions[k, 3:7]) < 1e-6
            np.testing.assert_allclose(sample.action[:3], actions[k, :3], atol=1e-9)
        else:
            np.testing.assert_allclose(sample.action, actions[k], atol=1e-9)
    halfway = timeline.sample(5.0 + 3.5 * DT).action
    np.testing.assert_allclose(halfway[:3], actions[3:5, :3].mean(0), atol=1e-9)
    if kind == "ee_pose":
        assert quat_angle(halfway[3:7], slerp(actions[3, 3:7], actions[4, 3:7], 0.5)) < 1e-6


def test_age_on_arrival_skips_what_is_past():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    accepted = timeline.submit(5.0, ramp(0.4, 0.2), 5.08)
    assert accepted.age_s == pytest.approx(0.08)
    assert timeline.sample(5.08).action[0] == pytest.approx(0.4 + 0.2 * 0.08)


def test_the_old_plan_goes_on_while_the_new_one_is_late_and_then_holds():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.submit(5.0, ramp(0.4, 0.2), 5.02)
    for now in np.arange(5.02, 5.199, 0.01):
        sample = timeline.sample(now)
        assert not sample.exhausted
        assert sample.action[0] == pytest.approx(0.4 + 0.2 * (now - 5.0))
    for now in (5.2, 5.3, 9.0):
        held = timeline.sample(now)
        assert held.exhausted
        assert held.source_stamp_s == 5.0
        np.testing.assert_array_equal(held.action, sample.action)


def test_after_the_last_action_of_a_short_plan_that_action_stays():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.submit(5.0, ramp(0.4, 0.2, STEPS), 5.0)
    assert timeline.sample(5.19).action[0] == pytest.approx(0.4 + 0.2 * 3 * DT)


def test_a_plan_of_one_action_is_a_plan():
    timeline = ActionTimeline("ee_pose", DT, 1)
    timeline.submit(5.0, [pose(0.3)], 5.0)
    assert timeline.sample(5.04).action[0] == pytest.approx(0.3)
    assert timeline.sample(5.05).exhausted


def test_a_plan_that_agrees_causes_no_lag():
    """Replanning at 14 Hz along the same line: the command stays on the line at every instant."""
    timeline = ActionTimeline("ee_pose", DT, STEPS, FADE)
    plans = [k * 0.07 for k in range(14)]
    for now in np.arange(0.06, 1.0, 0.01):
        while plans and plans[0] + 0.055 <= now:
            stamp = plans.pop(0)
            assert timeline.submit(stamp, ramp(0.3 + 0.2 * stamp, 0.2), now)
        assert timeline.sample(now).action[0] == pytest.approx(0.3 + 0.2 * now)


def test_a_plan_that_disagrees_fades_in_by_the_end_of_the_crossfade():
    timeline = ActionTimeline("ee_pose", DT, STEPS, FADE)
    timeline.submit(5.0, [pose(0.4)] * 8, 5.0)
    timeline.sample(5.05)
    timeline.submit(5.04, [pose(0.5, yaw=0.4, width=0.0)] * 8, 5.05)
    for elapsed in (0.0, 0.025, 0.05, 0.099, 0.1, 0.15):
        part = min(elapsed / FADE, 1.0)
        action = timeline.sample(5.05 + elapsed).action
        assert action[0] == pytest.approx(0.4 + 0.1 * part)
        assert quat_angle(action[3:7], yaw_quat(0.0)) == pytest.approx(0.4 * part, abs=1e-6)
        assert action[7] == pytest.approx(0.04 * (1 - part))


def test_no_crossfade_switches_at_once():
    timeline = ActionTimeline("ee_pose", DT, STEPS, crossfade_s=0.0)
    timeline.submit(5.0, [pose(0.4)] * 8, 5.0)
    timeline.sample(5.05)
    timeline.submit(5.04, [pose(0.5)] * 8, 5.05)
    assert timeline.sample(5.05).action[0] == 0.5


def test_many_switches_within_a_crossfade_still_converge():
    timeline = ActionTimeline("ee_pose", DT, STEPS, FADE)
    timeline.submit(5.0, [pose(0.4)] * 8, 5.0)
    timeline.sample(5.0)
    for now in np.arange(5.01, 5.6, 0.01):
        timeline.submit(now, [pose(0.5)] * 8, now)
        action = timeline.sample(now).action
    assert action[0] == pytest.approx(0.5, abs=1e-3)


def test_latency_samples_ahead():
    timeline = ActionTimeline("ee_pose", DT, STEPS, latency_s=0.1)
    timeline.submit(5.0, ramp(0.4, 0.2), 5.0)
    assert timeline.sample(5.05).action[0] == pytest.approx(0.4 + 0.2 * 0.15)
    assert not timeline.sample(5.099).exhausted
    assert timeline.sample(5.101).exhausted, "the arm would act on it after the plan is over"
    with pytest.raises(ValueError, match=r"lasts 0\.2 s, but commands act after 0\.2 s"):
        ActionTimeline("ee_pose", DT, STEPS, latency_s=0.2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 1000))
def test_the_sign_of_a_quaternion_changes_nothing(flips, seed):
    rng = np.random.default_rng(seed)
    actions = np.array([pose(0.4)] * 8)
    actions[:, 3:7] = rotvec_to_quat(rng.uniform(-1.0, 1.0, (8, 3)))
    flipped = actions.copy()
    flipped[flips, 3:7] *= -1
    plain, signed = (ActionTimeline("ee_pose", DT, STEPS) for _ in range(2))
    plain.submit(0.0, actions, 0.0)
    signed.submit(0.0, flipped, 0.0)
    previous = None
    for now in np.arange(0.0, LIFE, 0.013):
        a, b = plain.sample(now).action, signed.sample(now).action
        assert quat_angle(a[3:7], b[3:7]) < 1e-6
        assert previous is None or b[3:7] @ previous > 0
        previous = b[3:7]


def broken(index: int, component: int, value: float) -> np.ndarray:
    actions = np.array([pose(0.4)] * 8)
    actions[index, component] = value
    return actions


@pytest.mark.parametrize(
    ("stamp", "actions", "says"),
    [
        (5.0, broken(2, 1, math.nan), "plan action 2 y is nan"),
        (5.0, broken(7, 7, math.inf), "plan action 7 gripper_width is inf"),
        (5.0, broken(0, 5, math.nan), "plan action 0 qz is nan"),
        (5.0, broken(3, 6, 0.5), "plan action 3 quaternion has norm 0.5, allowed 1 +- 0.01"),
        (5.0, broken(3, 6, 0.0), "plan action 3 quaternion has norm 0, allowed 1 +- 0.01"),
        (5.0, np.zeros((3, 8)), "plan has shape (3, 8), allowed (4 or more, 8)"),
        (5.0, np.zeros(8), "plan has shape (8,), allowed (4 or more, 8)"),
        (5.0, np.zeros((8, 7)), "plan action 0 has shape (7,), allowed (8,)"),
        (math.nan, [pose(0.4)] * 8, "plan stamp is nan"),
        (5.05, [pose(0.4)] * 8, "plan is stamped 0.030 s in the future"),
        (4.9, [pose(0.4)] * 8, "plan is a duplicate of the one in force, stamped 4.900 s"),
        (4.88, [pose(0.4)] * 8, "plan is 0.020 s older than the one in force"),
        (4.75, [pose(0.4)] * 8, "plan was observed 0.050 s before plans were accepted"),
    ],
)
def test_refusals_say_why_and_leave_the_plan_in_force(stamp, actions, says):
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.clear(not_before_s=4.8)
    timeline.submit(4.9, [pose(0.7)] * 8, 5.0)
    answer = timeline.submit(stamp, actions, 5.02)
    assert isinstance(answer, str)
    assert says in answer
    assert timeline.sample(5.03).action[0] == pytest.approx(0.7)


def test_a_plan_that_is_over_on_arrival_is_refused_as_stale():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    assert timeline.submit(5.0, [pose(0.4)] * 8, 5.4).startswith("plan is stale: 0.400 s old")
    assert timeline.sample(5.4) is None
    impatient = ActionTimeline("ee_pose", DT, STEPS, staleness_s=0.3)
    assert isinstance(impatient.submit(5.01, [pose(0.4)] * 8, 5.3), Accepted)
    assert "staleness_s is 0.3 s" in impatient.submit(5.02, [pose(0.4)] * 8, 5.33)


@pytest.mark.parametrize("age_s", [0.12, 0.16, 0.2])
def test_late_plans_one_after_the_other_leave_no_hold_between_them(age_s):
    """A planner that needs `age_s` for each: the next one comes `age_s` after this one came."""
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    for k in range(5):
        stamp = 5.0 + k * age_s
        assert isinstance(timeline.submit(stamp, ramp(0.4, 0.2), stamp + age_s), Accepted)
        for now in np.arange(stamp + age_s, stamp + 2 * age_s - 1e-6, 0.01):
            assert not timeline.sample(now).exhausted
    assert timeline.sample(stamp + 2 * age_s + 1e-6).exhausted, "and none came any more"


def test_clear_forgets_and_takes_only_what_was_observed_after():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.submit(5.0, [pose(0.4)] * 8, 5.02)
    timeline.sample(5.02)
    timeline.clear(not_before_s=5.05)
    assert timeline.sample(5.06) is None
    assert "before plans were accepted" in timeline.submit(5.04, [pose(0.5)] * 8, 5.08)
    assert isinstance(timeline.submit(5.06, [pose(0.5)] * 8, 5.1), Accepted)
    assert timeline.sample(5.1).action[0] == 0.5, "nothing of the old command is left to fade from"


def test_a_sample_cannot_be_changed_by_its_reader():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    actions = ramp(0.4, 0.2)
    timeline.submit(5.0, actions, 5.0)
    actions[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        timeline.sample(5.0).action[0] = 9.0
    assert timeline.sample(5.0).action[0] == pytest.approx(0.4)
