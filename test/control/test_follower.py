"""No sequence of finite trajectories, and no late command, makes an arm leap."""

import numpy as np
import pytest
from franky import DT_S, IN_TIME, LATE, LOST, STALE, Franky, TrippedError
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import HOME_JOINTS

from vilp_ros.contract import Contract
from vilp_ros.control.follower import Follower
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.franka.arm import MOST_ACCELERATION, MOST_JERK

LIMITS = Contract.load(find_contract("fr3_direct")).limits
ROOM = 1.2
AHEAD_S, EVERY = 0.1, 40  # as franka_driver has them; ms
BRIDGE_S, FADE_S = 0.2, 0.5


def drive(messages, jerk, seconds=3.0, heard=lambda k: IN_TIME):
    """Commands (T, 7) of an arm that follows messages (arrival s, stamp s, times, positions)."""
    limits = np.array([LIMITS.joint_velocity, LIMITS.joint_acceleration, np.full(7, 1e4)])
    most = np.array([np.inf, MOST_ACCELERATION if jerk == MOST_JERK else np.inf, jerk])
    arm = Franky(HOME_JOINTS, np.minimum(ROOM * limits, most[:, None]))
    follower, begun, messages = (
        Follower(LIMITS, BRIDGE_S, FADE_S),
        False,
        sorted(messages, key=lambda m: m[0]),
    )
    commands, since = [], 0
    for k in range(round(seconds / DT_S)):
        now_s = 100 + k * DT_S
        while messages and messages[0][0] <= now_s:
            _, stamp_s, times, positions = messages.pop(0)
            follower.path.submit(stamp_s, times, positions, None, now_s)
        since += 1
        if since >= EVERY:
            aim = follower.aim(now_s + AHEAD_S, now_s, arm.command)
            since = 0
            if aim is not None:
                rest = [(aim.rest, np.zeros(7), None)] if aim.velocity.any() else []
                arm.move([(aim.position, aim.velocity, AHEAD_S), *rest])
                begun = True
        if begun:
            arm.step(heard(k))
        commands.append(arm.command)
    return np.array(commands)


def chunks(rng, jitter_s, step_rad, loss):
    """20 Hz of chunks of a path that wanders and jumps: jittered, delayed, lost, out of order."""
    walk = np.cumsum(rng.normal(0, 0.01, (80, 7)), axis=0)
    jumps = np.cumsum((rng.uniform(size=(80, 1)) < 0.1) * rng.uniform(-1, 1, (80, 7)), axis=0)
    path = HOME_JOINTS + np.clip(walk + step_rad * jumps, -0.4, 0.4)
    for k in range(60):
        if rng.uniform() < loss:
            continue
        stamp_s = 100 + 0.05 * k + rng.normal(0, jitter_s)
        late_s = min(0.05 * (1 + rng.pareto(1.0)), 0.8)
        yield 100 + 0.05 * k + late_s, stamp_s, 0.05 * np.arange(8), path[k : k + 8]


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.02),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.floats(0, 0.5),
)
def test_jitter_losses_delays_and_steps_keep_all_limits_of_the_arm(seed, jitter_s, step_rad, loss):
    rng = np.random.default_rng(seed)
    drive(chunks(rng, jitter_s, step_rad, loss), MOST_JERK)


WAYS = [(LATE,), (STALE,), (LOST,), (LATE, LOST), (LOST, STALE)]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from(WAYS))
def test_six_commands_in_a_row_may_come_too_late_one_or_two_be_lost(seed, row, way):
    rng = np.random.default_rng(seed)
    run = row * [LATE] if way == (LATE,) else list(way)
    heard = [h for _ in range(3000) for h in run + [IN_TIME] * int(rng.integers(4, 40))]
    drive(chunks(rng, 0.01, 0.1, 0.2), MOST_JERK, heard=lambda k: heard[k])


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 2.5),
            st.floats(-0.3, 0.3),
            st.integers(1, 6),
            st.floats(0.001, 0.2),
            st.integers(0, 2**32 - 1),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_sequence_of_finite_trajectories_makes_it_leap(sent):
    """Anywhere in the ranges, however close the points, whatever they have in common."""
    low, high = np.array(LIMITS.joint_position).T
    messages = []
    for arrival_s, early_s, count, apart_s, seed in sent:
        points = np.random.default_rng(seed).uniform(low - 0.2, high + 0.2, (count, 7))
        stamp_s = 100 + arrival_s + early_s
        messages.append((100 + arrival_s, stamp_s, apart_s * np.arange(count), points))
    commands = drive(messages, MOST_JERK)
    assert np.isfinite(commands).all()


def test_it_arrives_at_rest_where_it_is_led():
    goal = HOME_JOINTS + 0.2
    times = 0.05 * np.arange(1, 40)
    u = np.clip(times / 1.5, 0, 1)[:, None]
    line = HOME_JOINTS + (goal - HOME_JOINTS) * (3 - 2 * u) * u * u
    commands = drive([(100.0, 100.0, times, line)], MOST_JERK, 4.0)
    np.testing.assert_allclose(commands[-300:], np.tile(goal, (300, 1)), atol=1e-6)


def test_the_model_trips_as_the_arm_did():
    """With the jerk that the contract allows, where each motion begins on a guess."""
    sent = list(chunks(np.random.default_rng(0), 0.004, 0.1, 0.1))
    with pytest.raises(TrippedError, match=r"jerk|acceleration"):
        drive(sent, ROOM * 500.0, heard=lambda k: LATE if k % EVERY > 33 else IN_TIME)
    drive(sent, MOST_JERK, heard=lambda k: LATE if k % EVERY > 33 else IN_TIME)
