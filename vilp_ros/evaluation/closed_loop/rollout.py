"""The closed loop in lock-step: observe, plan, act the first actions, again; no ROS, no clock.

One function runs every row of a table (policies, ablations, scripts, oracles), so that rows differ
in nothing but the agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from vilp_ros.cluster import Cluster, processes
from vilp_ros.errors import VilpError
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
        measured: the most that the task's measure came to, such as coverage; None without one.
    """

    seed: int
    success: bool
    steps: int
    notes: Any = None
    measured: float | None = None


def make_env(recipe: Recipe, task: str, variation: str = "none") -> SimEnv:
    """The simulator with the views that the agent needs."""
    views = recipe.views
    if not views:
        return SimEnv(task, views=(), variation=variation)
    sizes = set(views.values())
    if len(sizes) > 1:
        raise VilpError(f"the simulator renders all views at one size; the bundle has {views}")
    return SimEnv(
        task,
        views=tuple(views),
        size=sizes.pop(),
        variation=variation,
        depth_range_m=getattr(recipe, "depth_range_m", None),  # of what looks at depth
    )


def run_episode(env: SimEnv, agent: Agent, seed: int) -> EpisodeResult:
    """One episode; success is latched at the first step that shows it."""
    obs, previous = env.reset(seed), None
    agent.reset(seed)
    steps = 0
    most = env.measured()
    while steps < env.max_steps:
        chunk = agent.act_chunk(obs, previous)[: env.max_steps - steps]
        if not len(chunk):
            raise VilpError(f"no action came at step {steps} of seed {seed}: expected at least one")
        for left, action in zip(reversed(range(len(chunk))), chunk, strict=True):
            env.apply(action)
            if left == 1:
                previous = env.state()
            elif left == 0:  # the agent looks again: only now are pictures drawn
                previous = obs if len(chunk) == 1 else previous
                obs = env.observe()
            steps += 1
            if most is not None:
                most = max(most, env.measured() or 0.0)
            if env.success():
                return EpisodeResult(seed, True, steps, getattr(agent, "notes", None), most)
    return EpisodeResult(seed, False, steps, getattr(agent, "notes", None), most)


def rollout(
    recipe: Recipe,
    task: str,
    seeds: Sequence[int],
    *,
    workers: int = 1,
    cluster: Cluster | None = None,
    label: str = "rollout",
    variation: str = "none",
) -> list[EpisodeResult]:
    """Runs an episode for every seed and shows the running success count.

    Args:
        recipe: what drives the arm.
        task: name of the task.
        seeds: one episode each; a result depends on its seed and the recipe alone.
        workers: processes; 1 runs in this one.
        cluster: whose processes run instead.
        label: what to call the row.
        variation: how the scene looks, one of `vilp_ros.sim.scene.VARIATIONS`.

    Returns:
        Results in the order of `seeds`.
    """
    done: dict[int, EpisodeResult] = {}
    with tqdm(total=len(seeds), desc=label, unit="ep", dynamic_ncols=True) as bar:
        for result in _results((recipe, task, variation), seeds, workers, cluster):
            done[result.seed] = result
            successes = sum(r.success for r in done.values())
            bar.set_postfix_str(f"{successes}/{len(done)} succeeded", refresh=False)
            bar.update()
    return [done[seed] for seed in seeds]


def summarise(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Counts, interval, seeds and, of a task that is measured, how far it came; ready for JSON."""
    successes = sum(r.success for r in results)
    won = [r.steps for r in results if r.success]
    measured = [r.measured for r in results if r.measured is not None]
    most = {"measured": measured, "mean_measured": float(np.mean(measured))} if measured else {}
    return {
        "episodes": len(results),
        "successes": successes,
        "wilson_95": list(wilson(successes, len(results))),
        "mean_steps": float(np.mean(won)) if won else None,
        "seeds": [r.seed for r in results],
        "failed_seeds": [r.seed for r in results if not r.success],
        **most,
    }


Stage = tuple[Recipe, str, str]


def _results(
    stage: Stage, seeds: Sequence[int], workers: int, cluster: Cluster | None
) -> Iterator[EpisodeResult]:
    if cluster is None and (workers == 1 or len(seeds) == 1):
        with closing(make_env(*stage)) as env:
            agent = stage[0].build(env)
            for seed in seeds:
                yield run_episode(env, agent, seed)
        return
    with processes(min(workers, len(seeds)), cluster) as pool:
        for future in as_completed([pool.submit(_in_worker, stage, seed) for seed in seeds]):
            yield future.result()


_built: dict[Stage, tuple[SimEnv, Agent]] = {}  # one per worker process: building it takes seconds


def _in_worker(stage: Stage, seed: int) -> EpisodeResult:
    if stage not in _built:
        for env, _ in _built.values():
            env.close()
        _built.clear()
        env = make_env(*stage)
        _built[stage] = env, stage[0].build(env)
    return run_episode(*_built[stage], seed)
