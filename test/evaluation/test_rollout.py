"""The harness itself: scripts that must succeed do, the blind one does not, equal seeds agree."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import (
    OracleRecipe,
    PolicyAgent,
    PolicyRecipe,
    ScriptRecipe,
)
from vilp_ros.evaluation.closed_loop.rollout import EpisodeResult, rollout, run_episode, summarise
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.sim.env import Observation

SEEDS = range(700_000, 700_006)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_untrained(folder, task="lift_wide")
    return str(folder)


def test_expert_succeeds_through_the_harness():
    results = rollout(ScriptRecipe(), "lift_wide", SEEDS)
    assert [r.seed for r in results] == list(SEEDS)
    assert sum(r.success for r in results) >= len(SEEDS) - 1


def test_blind_script_fails_on_the_wide_task():
    assert sum(r.success for r in rollout(ScriptRecipe(blind=True), "lift_wide", SEEDS)) <= 1


class _Trace:
    """Wraps an agent and keeps its actions."""

    def __init__(self, agent):
        self.agent, self.actions = agent, []

    def reset(self, seed):
        self.agent.reset(seed)

    def act_chunk(self, obs, previous):
        chunk = self.agent.act_chunk(obs, previous)
        self.actions.append(chunk)
        return chunk


def test_an_episode_depends_on_its_seed_alone(untrained):
    from vilp_ros.evaluation.closed_loop.rollout import make_env

    recipe = PolicyRecipe(untrained)
    traces = []
    for history in ([700_003, 700_004], [700_004]):
        with make_env(recipe, "lift_wide") as env:
            agent = _Trace(recipe.build(env))
            for seed in history:
                agent.actions.clear()
                run_episode(env, agent, seed)
            traces.append(np.concatenate(agent.actions))
    assert len(traces[0]) == 200
    np.testing.assert_array_equal(traces[0], traces[1])


def test_two_workers_give_what_one_gives():
    seeds = SEEDS[:4]
    one = rollout(ScriptRecipe(blind=True), "lift", seeds)
    assert rollout(ScriptRecipe(blind=True), "lift", seeds, workers=2) == one


class _FakeEnv:
    """Succeeds at step 7 for one step only, and counts what was rendered."""

    max_steps = 12

    def __init__(self):
        self.steps, self.rendered = 0, 0

    def reset(self, seed):
        self.steps = 0
        return self.steps

    def apply(self, action):
        self.steps += 1

    def state(self):
        return self.steps

    def observe(self):
        self.rendered += 1
        return self.steps

    def success(self):
        return self.steps == self.winning

    def measured(self):
        return None

    winning = 7


class _FakeAgent:
    def __init__(self, n):
        self.n, self.seen = n, []

    def reset(self, seed):
        pass

    def act_chunk(self, obs, previous):
        self.seen.append((obs, previous))
        return np.zeros((self.n, 8))


@pytest.mark.parametrize("n", [1, 4, 5])
def test_success_inside_a_chunk_counts(n):
    assert run_episode(_FakeEnv(), _FakeAgent(n), 1) == EpisodeResult(1, True, 7)


def test_an_agent_that_gives_no_action_does_not_run_for_ever():
    with pytest.raises(VilpError, match="no action came at step 0 of seed 1"):
        run_episode(_FakeEnv(), _FakeAgent(0), 1)


def test_observations_are_those_of_the_end_of_the_chunk_and_one_period_before():
    env, agent = _FakeEnv(), _FakeAgent(5)
    env.winning = None
    assert run_episode(env, agent, 1) == EpisodeResult(1, False, 12)
    assert agent.seen == [(0, None), (5, 4), (10, 9)]
    assert env.rendered == 3  # one a chunk


def test_a_policy_is_given_its_last_plan_until_the_next_episode():
    given = []

    class Plans:
        spec = SimpleNamespace(
            name="plans",
            views={},
            n_action_steps=4,
            control_period_s=0.05,
            action_kind="ee_pose",
        )

        def noise(self, seed):
            return seed

        def encode(self, images, proprio, previous):
            return np.zeros(3)

        def plan(self, state, noise, previous):
            given.append(previous)
            return np.full((2, 3), len(given))

        def act(self, plan, noise):
            return np.zeros((8, 8))

    seen = Observation({}, np.array([0.4, 0, 0.3, 1, 0, 0, 0]), 0.08, np.zeros(7), np.zeros(7))
    agent = PolicyAgent(Plans())
    for seed in (1, 2):
        agent.reset(seed)
        for _ in range(2):
            assert agent.act_chunk(seen, None).shape == (4, 8)
    assert [previous is None for previous in given] == [True, False, True, False]
    assert given[1].elapsed_s == pytest.approx(0.2)
    assert (given[3].plan == 3).all()


def test_summary_counts_and_names_failures():
    results = [EpisodeResult(5, True, 40), EpisodeResult(6, False, 200), EpisodeResult(7, True, 60)]
    row = summarise(results)
    assert (row["episodes"], row["successes"], row["mean_steps"]) == (3, 2, 50.0)
    assert row["failed_seeds"] == [6]
    assert row["wilson_95"][0] < 2 / 3 < row["wilson_95"][1]
    assert summarise([EpisodeResult(6, False, 200)])["mean_steps"] is None


def test_oracle_names_the_seed_that_was_not_recorded(untrained, tmp_path):
    from vilp_ros.data.episode_writer import EpisodeWriter
    from vilp_ros.errors import VilpError

    path = tmp_path / "empty.hdf5"
    with EpisodeWriter(path, task="lift_wide"):
        pass
    with pytest.raises(VilpError, match="no episode of seed 700000"):
        rollout(OracleRecipe(PolicyRecipe(untrained), str(path)), "lift_wide", SEEDS[:1])
