"""Whatever the targets do, the motion keeps its limits and ends in rest."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import FR3, HOME_JOINTS, HOME_POSE

from vilp_ros.control.action import difference
from vilp_ros.control.resampler import Resampler
from vilp_ros.errors import VilpError

STARTS = {
    "joint_position": np.append(HOME_JOINTS, 0.04),
    "ee_pose": np.append(HOME_POSE, 0.04),
}
DT_S = 0.01
kinds = st.sampled_from(sorted(STARTS))
slow = settings(max_examples=40, deadline=None)


def run(kind, targets, dt_s=DT_S, hold_steps=3):
    """Motions while chasing targets (N, D) relative to the start, each for a few steps."""
    resampler = Resampler(FR3.limits, kind)
    motion = resampler.rest(STARTS[kind])
    motions = [motion]
    for offset in targets:
        target = STARTS[kind].copy()
        target[: 7 if kind == "joint_position" else 3] += offset
        for _ in range(hold_steps):
            zero = np.zeros(len(motion.velocity))
            motion = resampler.follow(motion, target, zero, 0.05, dt_s)
            motions.append(motion)
    return resampler, motions


def offsets(kind, rng, count, size):
    return rng.uniform(-size, size, (count, 7 if kind == "joint_position" else 3))


@slow
@given(kinds, st.integers(0, 2**32 - 1), st.floats(0.001, 0.3))
def test_velocity_acceleration_and_jerk_stay_within_the_limits(kind, seed, size):
    targets = offsets(kind, np.random.default_rng(seed), 15, size)
    resampler, motions = run(kind, targets)
    for before, after in zip(motions, motions[1:]):
        assert (abs(after.velocity) <= resampler.velocity * (1 + 1e-6)).all()
        assert (abs(after.acceleration) <= resampler.acceleration * (1 + 1e-6)).all()
        jerk = (after.acceleration - before.acceleration) / DT_S
        assert (abs(jerk) <= resampler.jerk * (1 + 1e-6)).all()
        change = difference(kind, before.action, after.action)[: len(after.velocity)]
        bound = np.maximum(abs(before.velocity), abs(after.velocity)) * DT_S
        # No further than the fastest instant between two states of limited acceleration allows.
        assert (abs(change) <= bound + resampler.acceleration * DT_S**2 + 1e-9).all()


@slow
@given(kinds, st.integers(0, 2**32 - 1))
def test_it_comes_to_rest_within_the_limits_and_stays(kind, seed):
    targets = offsets(kind, np.random.default_rng(seed), 8, 0.2)
    resampler, motions = run(kind, targets)
    motion = motions[-1]
    braking_s = np.max(resampler.velocity / resampler.acceleration)
    braking_s += 2 * np.max(resampler.acceleration / resampler.jerk)
    for _ in range(int(np.ceil(braking_s / DT_S)) + 2):
        before, motion = motion, resampler.stop(motion, DT_S)
        jerk = (motion.acceleration - before.acceleration) / DT_S
        assert (abs(jerk) <= resampler.jerk * (1 + 1e-6)).all()
    assert np.allclose(motion.velocity, 0, atol=1e-9)
    stayed = resampler.stop(motion, 0.5)
    np.testing.assert_allclose(stayed.action, motion.action, atol=1e-9)


@slow
@given(kinds, st.integers(0, 2**32 - 1))
def test_it_arrives(kind, seed):
    target = offsets(kind, np.random.default_rng(seed), 1, 0.1)
    _, motions = run(kind, target, hold_steps=200)
    goal = STARTS[kind].copy()
    goal[: target.shape[1]] += target[0]
    np.testing.assert_allclose(motions[-1].action, goal, atol=1e-6)


def test_a_target_that_moves_evenly_is_followed_without_lag():
    resampler = Resampler(FR3.limits, "joint_position")
    motion = resampler.rest(STARTS["joint_position"])
    speed, ahead_s = np.full(7, 0.2), 0.1
    for step in range(200):
        time_s = step * DT_S
        target = STARTS["joint_position"].copy()
        target[:7] += speed * (time_s + ahead_s)
        motion = resampler.follow(motion, target, speed, ahead_s, DT_S)
    np.testing.assert_allclose(motion.action[:7], HOME_JOINTS + speed * (time_s + DT_S), atol=1e-4)
    np.testing.assert_allclose(motion.acceleration, 0, atol=1e-3)


def test_turns_go_the_shorter_way_and_keep_unit_quaternions():
    resampler = Resampler(FR3.limits, "ee_pose")
    motion = resampler.rest(STARTS["ee_pose"])
    target = STARTS["ee_pose"].copy()
    target[3:7] = [-np.cos(0.4), -np.sin(0.4), 0, 0]  # 0.8 rad about z of the hand, negated
    for _ in range(200):
        motion = resampler.follow(motion, target, np.zeros(6), 0.05, DT_S)
        assert np.linalg.norm(motion.action[3:7]) == pytest.approx(1)
    assert abs(motion.action[3:7] @ target[3:7]) == pytest.approx(1, abs=1e-9)


def test_the_gripper_passes():
    resampler = Resampler(FR3.limits, "joint_position")
    motion = resampler.rest(STARTS["joint_position"])
    target = np.append(HOME_JOINTS, 0.0)
    assert resampler.follow(motion, target, np.zeros(7), 0.05, DT_S).action[7] == 0.0


def test_a_contract_without_accelerations_is_refused_by_name():
    limits = dataclasses.replace(FR3.limits, ee_jerk=None, joint_jerk=None)
    for kind, name in (("ee_pose", "ee_jerk"), ("joint_position", "joint_jerk")):
        with pytest.raises(VilpError, match=name):
            Resampler(limits, kind)
