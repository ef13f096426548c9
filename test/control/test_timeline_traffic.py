"""The timeline under delays, drops, reordering, duplicates and clock steps, at random."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import DT, FADE, KINDS, LENGTH, LIFE, STEPS, wild_plan

from vilp_ros.contract import Limits
from vilp_ros.control.limits import SafetyLimits
from vilp_ros.control.timeline import BACKWARD_TOLERANCE_S, Accepted, ActionTimeline
from vilp_ros.geometry import quat_angle

LIMITS = Limits(
    workspace={"x": (0.2, 0.8), "y": (-0.5, 0.5), "z": (0.0, 0.6)},
    ee_speed=0.5,
    ee_angular_speed=1.5,
    gripper_width=(0.0, 0.08),
    joint_position=((-2.0, 2.0),) * 7,
    joint_velocity=(1.0,) * 7,
)


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
