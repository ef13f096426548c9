from __future__ import annotations

import mujoco
import numpy as np
import pytest

from vilp_ros.sim.block_expert import BlockExpert
from vilp_ros.sim.env import SimError
from vilp_ros.sim.experts import make_expert
from vilp_ros.sim.motion import gripper_yaw, object_yaw, wrap
from vilp_ros.sim.noise import NoiseBursts


def run(env, seed, mode=None, noise=0.0):
    """Success, and the observations, of one episode of the expert."""
    rng = np.random.default_rng(seed)
    observation = env.reset(seed)
    expert = make_expert(env, rng, mode)
    bursts = NoiseBursts(rng, noise)
    seen = [observation]
    while len(seen) <= env.max_steps and not env.success():
        action, _ = bursts.apply(expert.act(seen[-1]), 1.0, expert.phase == "approach")
        seen.append(env.step(action))
    return env.success(), seen


@pytest.mark.parametrize(("task", "seed"), [("lift", 40), ("can", 40), ("square", 40)])
def test_the_expert_does_its_task(sim, task, seed):
    assert run(sim(task), seed)[0]


@pytest.mark.parametrize("seed", [50, 51])
def test_either_pair_of_faces_lifts_the_wide_block_and_their_mean_does_not(sim, seed):
    env = sim("lift_wide")
    yaws = {}
    for mode in env.spec.modes:
        done, seen = run(env, seed, mode)
        assert done, mode
        yaws[mode] = gripper_yaw(seen[-1].ee_pose[3:])
        assert abs(wrap(yaws[mode] - object_yaw(env.truth()["cube"]), np.pi / 2)) < 0.1
    assert abs(abs(yaws["nearest"] - yaws["other"]) - np.pi / 2) < 0.2
    assert not run(env, seed, "mean")[0]


@pytest.mark.parametrize(("task", "seed"), [("lift_wide", 60), ("lift_wide", 61), ("square", 60)])
def test_the_expert_recovers_from_bursts(sim, task, seed):
    assert run(sim(task), seed, noise=0.3)[0]


@pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
def test_the_way_there_passes_the_chosen_side(sim, side, sign):
    env = sim("lift_wide")
    observation = env.reset(70)
    expert = BlockExpert(env, np.random.default_rng(0), "nearest", side)
    block = env.truth()["cube"]
    lateral = []
    while expert.phase == "approach":
        observation = env.step(expert.act(observation))
        lateral.append(sign * (observation.ee_pose[1] - block[1]))
    assert max(lateral) > 0.04
    assert abs(lateral[-1]) < 0.01


def test_the_sides_are_drawn_evenly(sim):
    env = sim("lift_wide")
    env.reset(0)
    sides = [BlockExpert(env, np.random.default_rng(seed)).side for seed in range(200)]
    assert 70 < sides.count("left") < 130


def test_a_lost_block_is_grasped_again(sim):
    env = sim("lift_wide")
    rng = np.random.default_rng(0)
    observation = env.reset(80)
    expert = make_expert(env, rng, "nearest")
    while expert.phase != "carry":
        observation = env.step(expert.act(observation))
    for _ in range(8):  # someone opens the fingers
        observation = env.step(np.concatenate([observation.ee_pose, [0.08]]))
    address = env.model.joint("cube_joint0").qposadr[0]
    env.data.qpos[address : address + 2] += [0.04, 0.05]
    mujoco.mj_forward(env.model, env.data)
    for _ in range(env.max_steps):
        observation = env.step(expert.act(observation))
    assert env.success()


def test_an_unknown_mode_is_answered_with_the_known_ones(sim):
    env = sim("lift_wide")
    env.reset(0)
    with pytest.raises(SimError, match="nearest, other"):
        make_expert(env, np.random.default_rng(0), "sideways")
    with pytest.raises(SimError, match="joint_position"):
        make_expert(sim("lift", action_kind="joint_position"), np.random.default_rng(0))
