"""Arrange-Blocks: what a row is, where blocks start, and that the expert makes one."""

from __future__ import annotations

import numpy as np
import pytest

from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.row_expert import BLOCKS, HALF_SIZE
from vilp_ros.sim.tasks.arrange_blocks import APART, NEAR, OFF, REACH


def lay(env, off, along=(-0.1, 0.0, 0.1), yaw=0.3):
    """Puts the middles of the blocks `off` the line, metres; success and share."""
    env.reset(0)
    for n in range(BLOCKS):
        address = env.model.joint(f"block{n}_joint0").qposadr[0]
        turn = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        env.data.qpos[address : address + 7] = [off[n], along[n], 0.8 + HALF_SIZE[2], *turn]
    env.place(env.data.qpos.copy())
    return env.success(), env.measured()


def test_a_row_is_every_middle_over_the_line_wherever_along_it(sim):
    env = sim("arrange_blocks")
    inside, outside = NEAR - 1e-4, NEAR + 1e-4
    assert lay(env, (inside, -inside, 0.0)) == (True, 1.0)
    assert lay(env, (inside, -inside, 0.0), along=(0.15, -0.05, 0.02), yaw=2.0) == (True, 1.0)
    assert lay(env, (inside, outside, 0.0)) == (False, pytest.approx(2 / 3))
    assert lay(env, (-outside, outside, 0.05)) == (False, 0.0)


def test_a_block_that_stands_on_another_is_in_no_row(sim):
    env = sim("arrange_blocks")
    lay(env, (0.0, 0.0, 0.0))
    address = env.model.joint("block2_joint0").qposadr[0]
    env.data.qpos[address + 1 : address + 3] = [0.0, 0.8 + 3 * HALF_SIZE[2]]
    env.place(env.data.qpos.copy())
    assert not env.success()


def test_starts_are_off_the_line_apart_on_both_sides_and_equal_for_equal_seeds(sim):
    env = sim("arrange_blocks")
    seen = []
    for seed in (*range(20), 0):
        env.reset(seed)
        truth = env.truth()
        blocks = np.array([truth[f"block{n}"][:2] for n in range(BLOCKS)]) - truth["row"][:2]
        assert env.measured() == 0.0
        assert (np.abs(blocks[:, 0]) > OFF[0] - 0.001).all()
        assert (np.abs(blocks[:, 0]) < OFF[1] + 0.001).all()
        assert (np.abs(blocks[:, 1]) < REACH + 0.001).all()
        assert np.diff(np.sort(blocks[:, 1])).min() > APART - 0.001
        seen.append(blocks)
    np.testing.assert_array_equal(seen[0], seen[-1])
    assert len({tuple(np.sign(blocks[:, 0])) for blocks in seen}) > 4


@pytest.mark.parametrize(("mode", "noise"), [("left_first", 0.25), ("right_first", 0.0)])
def test_the_expert_makes_a_row_with_a_closed_hand_from_the_side_it_names(sim, mode, noise):
    env = sim("arrange_blocks")
    demonstrator = Demonstrator(env, Job(1000, mode, "expert", noise))
    observation, first = demonstrator.observation, None
    starts = np.array([env.truth()[f"block{n}"][1] for n in range(BLOCKS)])
    while not demonstrator.done:
        env.apply(demonstrator.act(observation)[0])
        observation = env.state()
        demonstrator.after(env.success())
        if first is None and demonstrator.expert.phase == "push":
            first = observation.ee_pose[1]
        assert observation.gripper_width < 0.01
    assert env.success()
    expected = starts.max() if mode == "left_first" else starts.min()
    assert abs(first - expected) < 0.03


def test_a_spoiled_expert_makes_no_row(sim):
    env = sim("arrange_blocks")
    demonstrator = Demonstrator(env, Job(5, "left_first", "suboptimal", 0.0))
    observation = demonstrator.observation
    while not demonstrator.done:
        env.apply(demonstrator.act(observation)[0])
        observation = env.state()
    assert not env.success()
