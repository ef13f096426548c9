"""The closed loop in lock-step: observe, plan, act the first actions, again; no ROS, no clock.

One function runs every row of a table (policies, ablations, scripts, oracles), so that rows differ
in nothing but the agent.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from vilp_ros.evaluation.statistics import wilson
from vilp_ros.sim.env import Observation, SimEnv


class Agent(Protocol):
    """Something that drives the arm."""

    def reset(self, seed: int) -> None:
        """Prepares for the episode of `seed`; the simulator has been reset to it."""

    def act_chunk(self, obs: Observation, previous: Observation | None) -> np.ndarray:
        """Actions to execute before the next observation is shown.

        Args:
            obs: what the robot sees now.
            previous: what it knew one control period earlier, perhaps without pictures; None at
                the first call.

        Returns:
            `(n, 8)` absolute targets, n >= 1.
        """


class Recipe(Protocol):
    """How to make an agent; hashable and picklable, so that every worker makes its own."""

    def __hash__(self) -> int: ...

    @property
    def views(self) -> dict[str, tuple[int, int]]:
        """Views that the agent looks at, name -> (height, width); empty: no rendering."""

    def build(self, env: SimEnv) -> Agent:
        """Makes the agent for `env`."""


@dataclass(frozen=True)
class EpisodeResult:
    """Outcome of one episode.

    Attributes:
        seed: seed that placed the objects.
        success: whether the task was done at any step.
        steps: control periods until success, or until the episode ran out.
        notes: what the agent wrote down on the way; None of most agents.
    """

    seed: int
    success: bool
    steps: int
    notes: Any = None


def make_env(recipe: Recipe, task: str, variation: str = "none") -> SimEnv:
    """The simulator with the views that the agent needs."""
    views = recipe.views
    if not views:
        return SimEnv(task, views=(), variation=variation)
    sizes = set(views.values())
    if len(sizes) > 1:
        raise ValueError(f"the simulator renders all views at one size; found {views}")
    return SimEnv(task, views=tuple(views), size=sizes.pop(), variation=variation)


def run_episode(env: SimEnv, agent: Agent, seed: int) -> EpisodeResult:
    """One episode; success is latched at the first step that shows it."""
    obs, previous = env.reset(seed), None
    agent.reset(seed)
    steps = 0
    while steps < env.max_steps:
        chunk = agent.act_chunk(obs, previous)[: env.max_steps - steps]
        for left, action in zip(reversed(range(len(chunk))), chunk, strict=True):
            env.apply(action)
            if left == 1:
                previous = env.state()
            elif left == 0:  # the agent looks again: only now are pictures drawn
                previous = obs if len(chunk) == 1 else previous
                obs = env.observe()
            steps += 1
            if env.success():
                return EpisodeResult(seed, True, steps, getattr(agent, "notes", None))
    return EpisodeResult(seed, False, steps, getattr(agent, "notes", None))


def rollout(
    recipe: Recipe,
    task: str,
    seeds: Sequence[int],
    *,
    workers: int = 1,
    label: str = "rollout",
    variation: str = "none",
) -> list[EpisodeResult]:
    """Runs an episode for every seed and shows the running success count.

    Args:
        recipe: what drives the arm.
        task: name of the task.
        seeds: one episode each; a result depends on its seed and the recipe alone.
        workers: processes; 1 runs in this one.
        label: what to call the row.
        variation: how the scene looks, one of `vilp_ros.sim.scene.VARIATIONS`.

    Returns:
        Results in the order of `seeds`.
    """
    done: dict[int, EpisodeResult] = {}
    with tqdm(total=len(seeds), desc=label, unit="ep", dynamic_ncols=True) as bar:
        for result in _results((recipe, task, variation), seeds, workers):
            done[result.seed] = result
            successes = sum(r.success for r in done.values())
            bar.set_postfix_str(f"{successes}/{len(done)} succeeded", refresh=False)
            bar.update()
    return [done[seed] for seed in seeds]


def summarise(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Counts, interval and seeds of a row, ready for JSON."""
    successes = sum(r.success for r in results)
    won = [r.steps for r in results if r.success]
    return {
        "episodes": len(results),
        "successes": successes,
        "wilson_95": list(wilson(successes, len(results))),
        "mean_steps": float(np.mean(won)) if won else None,
        "seeds": [r.seed for r in results],
        "failed_seeds": [r.seed for r in results if not r.success],
    }


Stage = tuple[Recipe, str, str]


def _results(stage: Stage, seeds: Sequence[int], workers: int) -> Iterator[EpisodeResult]:
    if workers == 1 or len(seeds) == 1:
        with closing(make_env(*stage)) as env:
            agent = stage[0].build(env)
            for seed in seeds:
                yield run_episode(env, agent, seed)
        return
    # spawn: a forked child would inherit a rendering context and OpenMP threads that do not survive
    pool = ProcessPoolExecutor(
        min(workers, len(seeds)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),  # Ctrl-C ends a worker without a traceback
    )
    try:
        for future in as_completed([pool.submit(_in_worker, stage, seed) for seed in seeds]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _built(stage: Stage) -> tuple[SimEnv, Agent]:
    env = make_env(*stage)
    return env, stage[0].build(env)


def _in_worker(stage: Stage, seed: int) -> EpisodeResult:
    return run_episode(*_built(stage), seed)
