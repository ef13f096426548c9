"""Plans come late, differ and stop coming: what is rolled out is one motion within the limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import FR3, HOME_JOINTS, HOME_POSE

from vilp_ros.control.action import difference
from vilp_ros.control.horizon import PERIOD_S, Horizon
from vilp_ros.control.resampler import Resampler
from vilp_ros.control.timeline import Accepted, ActionTimeline

STARTS = {"joint_position": np.append(HOME_JOINTS, 0.04), "ee_pose": np.append(HOME_POSE, 0.04)}


def plan(kind, rng, start, size):
    actions = np.tile(start, (8, 1))
    columns = slice(0, 7 if kind == "joint_position" else 3)
    actions[:, columns] += np.cumsum(rng.normal(0, size, actions[:, columns].shape), axis=0)
    return actions


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(STARTS)), st.integers(0, 2**32 - 1), st.floats(0.002, 0.05))
def test_what_is_sent_is_one_motion_within_the_limits(kind, seed, size):
    rng, resampler = np.random.default_rng(seed), Resampler(FR3.limits, kind)
    timeline = ActionTimeline(kind, 0.05, 4, slow_s=0.2, fade_in_s=1.0)
    horizon, present, now_s = Horizon(FR3.limits, kind), STARTS[kind], 100.0
    followed: list = []  # what an arm that obeys goes through
    origin_s = None
    for _ in range(5):
        stamp_s, now_s = now_s, now_s + rng.uniform(0.01, 0.15)
        actions = plan(kind, rng, present, size)
        assert isinstance(timeline.submit(stamp_s, actions, now_s, present), Accepted)
        timeline.sample(now_s)
        assert horizon.follow(timeline, now_s, present)
        origin_s = horizon.start_s if origin_s is None else origin_s
        begun = round((horizon.start_s - origin_s) / PERIOD_S)
        followed = followed[:begun] + horizon.motions
        assert horizon.motions[-1].still
    horizon.stop(now_s + 0.1, STARTS[kind])
    assert horizon.motions[-1].still
    for before, after in zip(followed, followed[1:]):
        assert (abs(after.velocity) <= resampler.velocity * (1 + 1e-6)).all()
        assert (abs(after.acceleration) <= resampler.acceleration * (1 + 1e-6)).all()
        jerk = abs(after.acceleration - before.acceleration) / PERIOD_S
        assert (jerk <= resampler.jerk * (1 + 1e-6)).all()
        step = difference(kind, before.action, after.action)[: len(after.velocity)]
        assert (abs(step) <= resampler.velocity * PERIOD_S * (1 + 1e-6)).all()


def test_it_ends_where_the_plan_slows_to():
    timeline = ActionTimeline("joint_position", 0.05, 4, slow_s=0.2)
    start = STARTS["joint_position"]
    actions = np.tile(start, (8, 1))
    actions[:, 0] += 0.01 * np.arange(8)
    timeline.submit(100.0, actions, 100.0)
    horizon = Horizon(FR3.limits, "joint_position")
    assert horizon.follow(timeline, 100.0, start)
    # 0.2 s by the clock, 0.1 s of plan while slowing: action 6.
    assert horizon.at(110.0)[0] == pytest.approx(start[0] + 0.06, abs=1e-6)
    assert horizon.at(100.0)[0] == start[0]


def test_with_a_lead_the_motion_in_force_goes_on_meanwhile():
    timeline = ActionTimeline("joint_position", 0.05, 4, slow_s=0.2)
    start, horizon = STARTS["joint_position"], Horizon(FR3.limits, "joint_position", 0.06)
    actions = np.tile(start, (8, 1))
    actions[:, 0] += 0.02 * np.arange(8)
    timeline.submit(100.0, actions, 100.0)
    horizon.follow(timeline, 100.0, start)
    before = [horizon.at(t) for t in (100.15, 100.17, 100.19)]
    timeline.submit(100.1, np.tile(start, (8, 1)), 100.15)
    horizon.follow(timeline, 100.15, start)
    np.testing.assert_allclose([horizon.at(t) for t in (100.15, 100.17, 100.19)], before, atol=1e-9)
    assert horizon.start_s <= 100.15
    assert horizon.start_s + horizon.begun * PERIOD_S >= 100.15 + 0.06


def test_without_a_plan_nothing_is_rolled_out():
    timeline = ActionTimeline("ee_pose", 0.05, 4)
    assert not Horizon(FR3.limits, "ee_pose").follow(timeline, 100.0, STARTS["ee_pose"])


def test_cleared_it_starts_where_the_arm_is():
    timeline = ActionTimeline("ee_pose", 0.05, 4)
    horizon = Horizon(FR3.limits, "ee_pose")
    timeline.submit(100.0, np.tile(STARTS["ee_pose"], (8, 1)), 100.0)
    horizon.follow(timeline, 100.0, STARTS["ee_pose"])
    horizon.clear()
    away = STARTS["ee_pose"] + [0.05, 0, 0, 0, 0, 0, 0, 0]
    horizon.follow(timeline, 100.1, away)
    np.testing.assert_allclose(horizon.at(100.1), away)
