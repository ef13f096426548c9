"""Stacks: what is read of them, the shortest way, and that the expert goes it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from vilp_ros.data.depth import grey_depth
from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.experts import make_expert
from vilp_ros.sim.towers import first_move, read_stacks


def apply(stacks, move):
    block, target = move
    rest = [tuple(b for b in stack if b != block) for stack in stacks]
    rest[target] = (*rest[target], block)
    return tuple(rest)


def test_the_whole_game_of_three_slabs_takes_seven_moves_none_on_a_smaller_one():
    stacks, moves = ((0, 1, 2), (), ()), 0
    while (move := first_move(stacks, 3, larger_below=True)) is not None:
        stacks, moves = apply(stacks, move), moves + 1
        assert all(list(stack) == sorted(stack) for stack in stacks)
    assert stacks == ((), (), (0, 1, 2))
    assert moves == 7


def test_every_legal_start_is_solved_in_seven_moves_or_fewer():
    for on in product(range(3), repeat=3):
        stacks = tuple(tuple(b for b in range(3) if on[b] == n) for n in range(3))
        moves = 0
        while (move := first_move(stacks, 3, larger_below=True)) is not None:
            stacks, moves = apply(stacks, move), moves + 1
        assert stacks[2] == (0, 1, 2)
        assert moves <= 7


def test_cubes_are_moved_one_by_one_and_a_lost_one_is_fetched():
    assert first_move(((2, 0, 1), ()), 2, larger_below=False) == (1, 1)
    assert first_move(((2, 0), (), (1,)), 2, larger_below=False) is not None
    assert first_move(((), (2, 0), (1,)), 2, larger_below=False) == (1, 1)
    assert first_move(((), (2, 0, 1)), 2, larger_below=False) is None


@pytest.mark.parametrize("task", ["hanoi", "move_stack"])
def test_what_stands_where_is_read_from_the_scene(sim, task):
    env = sim(task)
    rules = env.spec.environment
    seen = set()
    for seed in range(12):
        env.reset(seed)
        stacks = read_stacks(env.truth(), 3, rules.PLACES)
        assert len(stacks) == rules.PLACES  # none lies beside
        assert sorted(b for stack in stacks for b in stack) == [0, 1, 2]
        if rules.LARGER_BELOW:
            assert all(list(stack) == sorted(stack) for stack in stacks)
        assert not env.success()
        seen.add(stacks)
    assert len(seen) > 3


def test_the_places_stay_where_they_are_and_are_part_of_a_state(sim):
    env = sim("move_stack")
    env.reset(3)
    state, places = env.data.qpos.copy(), [env.truth()[f"place{n}"] for n in range(2)]
    rest = np.concatenate([env.state().ee_pose, [0.08]])
    for _ in range(40):
        env.apply(rest)
    for n in range(2):
        np.testing.assert_allclose(env.truth()[f"place{n}"], places[n], atol=1e-6)
    env.reset(4)
    env.place(state)
    np.testing.assert_allclose(env.truth()["place0"], places[0], atol=1e-9)


def test_the_expert_moves_the_stack(sim):
    env = sim("move_stack")
    demonstrator = Demonstrator(env, Job(1002, "direct", "expert", 0.25))
    observation = demonstrator.observation
    while not demonstrator.done:
        env.apply(demonstrator.act(observation)[0])
        observation = env.state()
        demonstrator.after(env.success())
    assert env.success()
    assert observation.gripper_width > 0.045  # let go


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1000, 1002])
def test_the_expert_plays_hanoi(sim, seed):
    env = sim("hanoi")
    observation = env.reset(seed)
    expert = make_expert(env, np.random.default_rng(seed))
    for _ in range(env.max_steps):
        env.apply(expert.act(observation))
        observation = env.state()
        if env.success():
            break
    assert env.success()


def test_a_stack_in_the_hand_or_in_the_wrong_order_is_not_done(sim):
    env = sim("hanoi")

    def stand(order, height=0.0):
        env.reset(0)
        goal = env.truth()["place2"][:2] + [-0.56, 0.0]  # world frame
        for level, block in enumerate(order):
            address = env.model.joint(f"block{block}_joint0").qposadr[0]
            z = 0.8 + height + 0.015 + 0.03 * level
            env.data.qpos[address : address + 7] = [*goal, z, 1, 0, 0, 0]
        env.place(env.data.qpos.copy())
        return env.success()

    assert stand((0, 1, 2))
    assert not stand((0, 2, 1))
    assert not stand((0, 1, 2), height=0.02)


def test_greys_of_depth_are_of_the_task_or_as_a_policy_learnt_them():
    with SimEnv("hanoi", views=("agentview_depth",)) as env:
        usual = env.reset(0)
        assert env.depth_range_m("agentview_depth") == (0.55, 1.15)
    ranges = {"agentview_depth": (0.4, 1.6)}
    with SimEnv("hanoi", views=("agentview_depth",), depth_range_m=ranges) as env:
        other = env.reset(0)
    np.testing.assert_array_equal(
        usual.depth_m["agentview_depth"], other.depth_m["agentview_depth"]
    )
    np.testing.assert_array_equal(
        other.images["agentview_depth"], grey_depth(other.depth_m["agentview_depth"], (0.4, 1.6))
    )
    contrast = [np.ptp(o.images["agentview_depth"][40:70, 40:120]) for o in (usual, other)]
    assert contrast[0] > 1.5 * contrast[1]
