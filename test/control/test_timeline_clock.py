"""The timeline when the clock is set: it holds, and takes the first plan of the new time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plans import DT, FADE, STEPS, pose, ramp

from vilp_ros.control.timeline import BACKWARD_TOLERANCE_S, Accepted, ActionTimeline


@settings(deadline=None)
@given(st.floats(BACKWARD_TOLERANCE_S + 1e-3, 1e4))
def test_clock_stepped_back_holds_then_takes_the_first_new_plan(size):
    timeline = ActionTimeline("ee_pose", DT, STEPS, FADE)
    timeline.submit(99.95, [pose(0.4)] * 8, 100.0)
    timeline.sample(100.0)
    now = 100.0 - size
    held = timeline.sample(now)
    assert held.exhausted
    assert held.action[0] == 0.4
    assert isinstance(timeline.submit(now - 0.01, [pose(0.5)] * 8, now + 0.01), str), "old clock"
    assume(now + 0.02 < 100.0)
    assert isinstance(timeline.submit(now + 0.01, [pose(0.5)] * 8, now + 0.05), Accepted)
    resumed = timeline.sample(now + 0.05)
    assert not resumed.exhausted
    assert 0.4 <= resumed.action[0] < 0.5, "fades from where it was held"


def test_a_clock_step_noticed_by_a_plan_fades_from_where_the_arm_is_held():
    timeline = ActionTimeline("ee_pose", DT, STEPS, FADE)
    timeline.submit(100.0, [pose(0.4)] * 8, 100.05)
    timeline.sample(100.05)
    timeline.submit(89.9, ramp(0.5, 0.4), 90.0)
    timeline.submit(90.0, ramp(0.5, 0.4), 90.02)
    assert timeline.sample(90.02).action[0] == pytest.approx(0.8 * 0.4 + 0.2 * 0.5 + 0.4 * 0.02)


def test_clock_stepped_back_while_cleared_does_not_lock_plans_out():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.sample(100.0)
    timeline.clear(not_before_s=100.0)
    timeline.sample(90.0)
    assert isinstance(timeline.submit(90.01, [pose(0.5)] * 8, 90.05), Accepted)


def test_clock_jitter_between_threads_is_no_epoch():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.submit(100.0, ramp(0.4, 0.2), 100.0)
    there = timeline.sample(100.02).action
    back = timeline.sample(100.015)
    assert not back.exhausted
    np.testing.assert_array_equal(back.action, there)


def test_clock_stepped_forwards_ends_the_plan_and_takes_the_next():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    timeline.submit(100.0, ramp(0.4, 0.2), 100.05)
    timeline.sample(100.05)
    assert timeline.sample(110.0).exhausted
    assert "stale" in timeline.submit(100.04, ramp(0.4, 0.2), 110.0)
    assert isinstance(timeline.submit(110.0, ramp(0.4, 0.2), 110.05), Accepted)
    assert not timeline.sample(110.05).exhausted
