"""The closed loop when plans come late: success, and how smooth the motion stays where they switch.

Time is virtual: a plan made from the observation of t arrives at t + delay, whatever the machine
does. Stamps may jitter, as those of a camera on a loaded host. Plans go through the timeline and
the horizon of the controller, under the limits of a robot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from vilp_ros.contract import Limits
from vilp_ros.control.horizon import PERIOD_S, Horizon
from vilp_ros.control.resampler import Motion
from vilp_ros.control.timeline import Accepted, ActionTimeline
from vilp_ros.evaluation.closed_loop.agents import NOISE_STRIDE, PolicyRecipe, encode
from vilp_ros.evaluation.closed_loop.rollout import make_env
from vilp_ros.evaluation.statistics import wilson
from vilp_ros.policy.policy import Policy
from vilp_ros.sim.env import CONTROL_PERIOD_S, SimEnv

CROSSFADE_S, SLOW_S, FADE_IN_S = 0.1, 0.2, 1.0  # of the controller


class _Trace:
    """Jerk of the hand, m/s^3, at switches from one plan to the next, and elsewhere.

    It is taken from velocities, half a period to each side. Accelerations at the ends of periods
    say little: within one the resampler may speed up and be done with it. What comes before the
    first switch, from rest into the first plan, is neither.
    """

    def __init__(self) -> None:
        self.switch: list[float] = []
        self.within: list[float] = []
        self.ages: list[float] = []  # s, of commands: since the stamp that they came from

    def add(self, motions: Sequence[Motion], switches: set[int]) -> None:
        """Count one motion, a state every `PERIOD_S`; `switches` are the last states of a plan."""
        if not switches:
            return
        velocity = np.array([motion.velocity[:3] for motion in motions])
        jerks = np.linalg.norm(np.diff(velocity, 2, axis=0), axis=1) / PERIOD_S**2
        for index in range(min(switches), len(motions) - 1):
            (self.switch if index in switches else self.within).append(float(jerks[index - 1]))


def bench_delay(
    recipe: PolicyRecipe,
    task: str,
    limits: Limits,
    delays_s: Sequence[float],
    seeds: Sequence[int],
    jitter_s: float = 0.0,
    tell: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """A row a delay.

    Args:
        recipe: the bundle.
        task: to simulate.
        limits: of a robot, with accelerations and jerks of the end effector.
        delays_s: from an observation to the arrival of its plan, beyond the first period.
        seeds: an episode each.
        jitter_s: standard deviation of an observation's stamp from its instant.
        tell: called with the table so far as soon as a row is measured.

    Returns:
        `rows` of {delay_ms, jitter_ms, episodes, successes, wilson_95, jerk_switch, jerk_within,
        ratio, age_ms_p50, age_ms_p99}; jerks are root mean squares, ages those of commands.
    """
    policy = recipe.load()
    rows: list[dict[str, Any]] = []
    report = {"task": task, "seeds": list(seeds), "rows": rows}
    with closing(make_env(recipe, task)) as env:
        for delay_s in delays_s:
            trace, won = _Trace(), 0
            for seed in seeds:
                noise = policy.noise(seed + NOISE_STRIDE * recipe.noise_seed)
                won += _episode(env, policy, noise, seed, delay_s, jitter_s, limits, trace)
            switch, within = _rms(trace.switch), _rms(trace.within)
            rows.append(
                {
                    "delay_ms": 1e3 * delay_s,
                    "jitter_ms": 1e3 * jitter_s,
                    "episodes": len(seeds),
                    "successes": won,
                    "wilson_95": list(wilson(won, len(seeds))),
                    "jerk_switch": switch,
                    "jerk_within": within,
                    "ratio": switch / within if within else float("nan"),
                    "age_ms_p50": 1e3 * float(np.percentile(trace.ages, 50)),
                    "age_ms_p99": 1e3 * float(np.percentile(trace.ages, 99)),
                }
            )
            tell(report)
    return report


def _episode(
    env: SimEnv,
    policy: Policy,
    noise: Any,
    seed: int,
    delay_s: float,
    jitter_s: float,
    limits: Limits,
    trace: _Trace,
) -> bool:
    observation, previous = env.reset(seed), None
    rng = np.random.default_rng(seed)
    timeline = ActionTimeline(
        "ee_pose",
        CONTROL_PERIOD_S,
        policy.spec.n_action_steps,
        CROSSFADE_S,
        slow_s=SLOW_S,
        fade_in_s=FADE_IN_S,
    )
    horizon = Horizon(limits, "ee_pose")
    flying: list[tuple[float, float, np.ndarray]] = []
    motions: list[Motion] = []
    switches: set[int] = set()
    origin_s = now_s = 0.0
    for step in range(env.max_steps):
        now_s = step * CONTROL_PERIOD_S
        plan = policy.plan(encode(policy, observation, previous), noise)
        stamp_s = now_s + rng.normal(0, jitter_s)
        flying.append((now_s + delay_s, stamp_s, policy.act(plan, noise)))
        here = np.append(observation.ee_pose, observation.gripper_width)
        for due in [f for f in flying if f[0] <= now_s + 1e-9]:
            flying.remove(due)
            if isinstance(timeline.submit(due[1], due[2], now_s, here), Accepted):
                timeline.sample(now_s)
                horizon.follow(timeline, now_s, here)
                origin_s = origin_s if motions else horizon.start_s
                begun = round((horizon.start_s - origin_s) / PERIOD_S)
                if motions:  # the first plan follows none
                    switches.add(begun + horizon.begun)
                motions = motions[:begun] + horizon.motions
        sample = timeline.sample(now_s)
        command = here
        if sample is not None:
            command = np.append(horizon.at(now_s)[:-1], sample.action[-1])
            trace.ages.append(now_s - sample.source_stamp_s)
        observation, previous = env.step(command), observation
        if env.success():
            break
    trace.add(motions[: round((now_s - origin_s) / PERIOD_S)], switches)
    return env.success()


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else 0.0
