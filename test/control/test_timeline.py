"""The timeline under delays, drops, reordering, duplicates and clock steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vilp_ros.contract import Limits
from vilp_ros.control.limits import SafetyLimits
from vilp_ros.control.timeline import BACKWARD_TOLERANCE_S, Accepted, ActionTimeline
from vilp_ros.geometry import quat_angle, rotvec_to_quat, slerp, yaw_quat

DT = 0.05
STEPS = 4
LIFE, LENGTH = STEPS * DT, 8 * DT  # of a plan that came at once; of one that came late, at most
FADE = 0.1
KINDS = ("ee_pose", "joint_position")
LIMITS = Limits(
    workspace={"x": (0.2, 0.8), "y": (-0.5, 0.5), "z": (0.0, 0.6)},
    ee_speed=0.5,
    ee_angular_speed=1.5,
    gripper_width=(0.0, 0.08),
    joint_position=((-2.0, 2.0),) * 7,
    joint_velocity=(1.0,) * 7,
)


def wild_plan(kind: str, seed: int, steps: int = 8) -> np.ndarray:
    """Anywhere in a unit box, any orientation, any quaternion sign: nothing an arm can follow."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(size=(steps, 8))
    if kind == "ee_pose":
        quats = rng.normal(size=(steps, 4))
        actions[:, 3:7] = quats / np.linalg.norm(quats, axis=-1, keepdims=True)
    return actions


def pose(x: float, yaw: float = 0.0, width: float = 0.04) -> np.ndarray:
    return np.concatenate([[x, 0.0, 0.2], yaw_quat(yaw), [width]])


def ramp(start: float, speed: float, steps: int = 8) -> np.ndarray:
    """A plan along x at constant speed, m/s."""
    return np.array([pose(start + speed * DT * k) for k in range(steps)])


@dataclass(frozen=True)
class Event:
    at: float  # true time
    stamp: float | None = None  # of the plan that arrives; None: take a sample
    seed: int = 0


@dataclass(frozen=True)
class Traffic:
    events: list[Event]
    steps: list[tuple[float, float]]  # (true time, size)

    def clock(self, at: float) -> float:
        return clock(self.steps, at)


def clock(steps: list[tuple[float, float]], at: float) -> float:
    return 1000.0 + at + sum(size for when, size in steps if when <= at)


SIZES = st.one_of(st.floats(-12, 12), st.floats(-0.3, 0.3), st.floats(-0.02, 0.02))


@st.composite
def traffic(draw, clock_steps: bool) -> Traffic:
    steps = draw(st.lists(st.tuples(st.floats(0, 2), SIZES), max_size=3)) if clock_steps else []
    captures = np.cumsum(draw(st.lists(st.floats(0.01, 0.25), min_size=1, max_size=20)))
    events = []
    for capture in captures:
        stamp = clock(steps, capture)
        copies = draw(st.lists(st.floats(0, 0.4), max_size=2))  # none: dropped, two: duplicate
        seed = draw(st.integers(0, 2**20))
        events += [Event(capture + delay, stamp, seed) for delay in copies]
    ticks = np.cumsum(draw(st.lists(st.floats(0.002, 0.06), min_size=30, max_size=60)))
    events += [Event(tick) for tick in ticks]
    return Traffic(sorted(events, key=lambda event: event.at), steps)


def play(timeline: ActionTimeline, kind: str, traffic: Traffic):
    """Yields (true time, clock time, sample) of every sample."""
    for event in traffic.events:
        now = traffic.clock(event.at)
        if event.stamp is None:
            yield event.at, now, timeline.sample(now)
        else:
            timeline.submit(event.stamp, wild_plan(kind, event.seed), now)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(traffic(clock_steps=True), st.integers(0, 100))
def test_with_limits_the_command_never_jumps(kind, traffic, seed):
    limits, timeline = SafetyLimits(LIMITS, kind), ActionTimeline(kind, DT, STEPS, FADE)
    measured = wild_plan(kind, seed, 1)[0]
    command, before = None, 0.0
    for at, _, sample in play(timeline, kind, traffic):
        if sample is None or sample.exhausted:
            before = at
            continue
        last = measured if command is None else command
        command, _ = limits.clamp(sample.action, command, measured, at - before)
        step, slack = at - before, 1e-9
        before = at
        if kind == "joint_position":
            assert np.all(np.abs(command[:7] - last[:7]) <= 1.0 * step + slack)
        else:
            assert np.linalg.norm(command[:3] - last[:3]) <= 0.5 * step + slack
            assert quat_angle(last[3:7], command[3:7]) <= 1.5 * step + 1e-6


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(traffic(clock_steps=True))
def test_samples_are_continuous_without_any_limits(kind, traffic):
    """Between two samples: what the plan moves in that time, and the part of the fade that passes.

    Plans stay in a unit box and so move at most 1 / DT; repeated switches can carry the command at
    most FADE / DT out of the box, so no fade is larger than 1 + FADE / DT. Turns are at most pi.
    """
    timeline = ActionTimeline(kind, DT, STEPS, FADE)
    previous = None
    for at, now, sample in play(timeline, kind, traffic):
        if sample is None:
            assert previous is None
            continue
        if previous is not None:
            last_at, last_now, last = previous
            elapsed = max(at - last_at, now - last_now)
            bound = elapsed * (1 / DT + (1 + FADE / DT) / FADE) + 1e-9
            step = np.abs(sample.action - last)
            if kind == "ee_pose":
                turn = quat_angle(sample.action[3:7], last[3:7])
                assert turn <= elapsed * (math.pi / DT + math.pi / FADE) + 1e-6
                assert sample.action[3:7] @ last[3:7] >= 0, "the sign of the quaternion jumped"
                step = np.delete(step, slice(3, 7))
            assert np.all(step <= bound)
            if sample.exhausted:
                np.testing.assert_array_equal(sample.action, last)
        previous = at, now, sample.action


@settings(max_examples=100, deadline=None)
@given(traffic(clock_steps=True))
def test_no_command_from_the_future_and_none_from_a_plan_that_is_over(traffic):
    timeline = ActionTimeline("joint_position", DT, STEPS, FADE)
    for _, now, sample in play(timeline, "joint_position", traffic):
        if sample is not None and not sample.exhausted:
            assert sample.source_stamp_s <= now + BACKWARD_TOLERANCE_S
            assert now < sample.source_stamp_s + LENGTH


@settings(max_examples=100, deadline=None)
@given(traffic(clock_steps=False))
def test_the_newest_stamp_that_arrived_alive_is_in_force(traffic):
    timeline = ActionTimeline("joint_position", DT, STEPS, FADE)
    arrived: list[tuple[float, float]] = []
    for event in traffic.events:
        now = traffic.clock(event.at)
        if event.stamp is not None:
            known = [stamp for stamp, _ in arrived]
            answer = timeline.submit(event.stamp, wild_plan("joint_position", event.seed), now)
            if now - event.stamp < LENGTH:
                newest = max(known, default=-math.inf)
                assert isinstance(answer, Accepted) == (event.stamp > newest)
                arrived.append((event.stamp, now))
            else:
                assert isinstance(answer, str)
        else:
            sample = timeline.sample(now)
            if not arrived:
                assert sample is None
                continue
            newest = max(stamp for stamp, _ in arrived)
            age = min(when for stamp, when in arrived if stamp == newest) - newest
            over = now >= newest + min(max(LIFE, 2 * age), LENGTH)
            assert sample is None or sample.exhausted == over
            assert sample is not None or over
            if not over:
                assert sample.source_stamp_s == newest


@settings(max_examples=150, deadline=None)
@given(traffic(clock_steps=True))
def test_no_disorder_of_the_clock_freezes_it_for_ever(traffic):
    timeline = ActionTimeline("joint_position", DT, STEPS, FADE)
    list(play(timeline, "joint_position", traffic))
    start = max(traffic.events[-1].at, *(when for when, _ in traffic.steps), 0.0)
    for k in range(1, 6):
        capture = start + 0.07 * k
        timeline.submit(
            traffic.clock(capture), wild_plan("joint_position", k), traffic.clock(capture + 0.05)
        )
    sample = timeline.sample(traffic.clock(capture + 0.06))
    assert not sample.exhausted
    assert sample.source_stamp_s == traffic.clock(capture)


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


def test_a_sample_cannot_be_changed_by_its_reader():
    timeline = ActionTimeline("ee_pose", DT, STEPS)
    actions = ramp(0.4, 0.2)
    timeline.submit(5.0, actions, 5.0)
    actions[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        timeline.sample(5.0).action[0] = 9.0
    assert timeline.sample(5.0).action[0] == pytest.approx(0.4)
