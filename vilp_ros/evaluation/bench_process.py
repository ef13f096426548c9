"""The measuring process of `vilp bench`: a job as JSON on stdin, a row as a line of JSON on stdout.

Networks are loaded and compiled once, whatever the step counts: a step is a call of the same one.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.evaluation.statistics import percentiles

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Noise, Policy

PARTS = ("encode", "plan", "idm", "total")
FEWEST = 3
"""Replans behind a figure, however long they take."""


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        bundle: folder of the policy bundle.
        engine: of `vilp_ros.policy.engines.ENGINES`.
        threads: threads of that engine.
        steps: DDIM step counts, one row each.
        repeats: measured replans a row, and as many again with decoding.
        budget_s: seconds after which a row has enough of either, from `FEWEST` replans on; the
            warm-up before them ends after a tenth of it.
        warmup: replans before the first measured one, at least one.
        device: as in `load_policy`.
        observations: .npz file with `images` (N, V, H, W, 3) uint8 and `proprio` (N, 10).
        actions: .npz file to write, `actions_<steps>` `(n <= N, horizon, 8)` each.
    """

    bundle: str
    engine: str
    threads: int
    steps: tuple[int, ...]
    repeats: int
    budget_s: float
    warmup: int
    device: str
    observations: str
    actions: str


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Times `job` in this process: a row for every step count; writes its actions at the end."""
    from vilp_ros.policy.bundle import load_policy
    from vilp_ros.policy.engines import choose_device

    with np.load(job.observations) as data:
        inputs = list(zip(data["images"], data["proprio"], strict=True))
    began = time.perf_counter()
    policy = load_policy(
        job.bundle, device=job.device, engine=job.engine, threads=job.threads, steps=1
    )
    policy_spec, noise = policy.spec.policy, policy.noise(0)
    # Networks are compiled at their first call.
    plan = policy.plan(policy.encode(*inputs[0]), noise)
    policy.act(plan, noise)
    policy.decode(plan)
    load_s = time.perf_counter() - began
    actions: dict[str, np.ndarray] = {}
    for steps in job.steps:
        policy_spec.sampler.planner_steps = policy_spec.sampler.idm_steps = steps
        plain, actions[f"actions_{steps}"] = _times(policy, noise, inputs, job, decode=False)
        row: dict[str, Any] = {
            "engine": job.engine,
            "device": choose_device(job.device),
            "threads": job.threads,
            "steps": steps,
            "n": len(plain),
        }
        row |= {f"{p}_ms": percentiles(plain[:, i], 1e3) for i, p in enumerate(PARTS)}
        row["plans_per_s"] = 1.0 / float(plain[:, -1].mean())
        if policy.acts_on_frames:  # every frame was decoded for the actions
            decode, whole = np.empty(0), plain[:, -1]
        else:
            decode, whole = _times(policy, noise, inputs, job, decode=True)[0][:, -2:].T
        row["n_decoded"] = len(whole)
        row["decode_ms"] = percentiles(decode, 1e3)
        row["total_decoded_ms"] = percentiles(whole, 1e3)
        row["plans_per_s_decoded"] = 1.0 / float(whole.mean())
        row["load_s"] = load_s
        row["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield row
    np.savez(job.actions, **actions)


def _times(
    policy: Policy,
    noise: Noise,
    inputs: Sequence[tuple[np.ndarray, np.ndarray]],
    job: Job,
    decode: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of every measured replan, a column a part, the whole last; and the first actions.

    The actions are those for the observations that were reached, in their order.
    """
    times: list[list[float]] = []
    actions: list[np.ndarray] = []
    warm, began = False, time.perf_counter()
    while True:
        clock = [time.perf_counter()]
        state = policy.encode(*inputs[len(actions) % len(inputs)])
        clock.append(time.perf_counter())
        plan = policy.plan(state, noise)
        clock.append(time.perf_counter())
        actions.append(policy.act(plan, noise))
        clock.append(time.perf_counter())
        if decode:
            policy.decode(plan)
            clock.append(time.perf_counter())
        spent = clock[-1] - began
        if not warm:
            if len(actions) >= job.warmup or spent > job.budget_s / 10:
                warm, began = True, time.perf_counter()
            continue
        times.append([*np.diff(clock), clock[-1] - clock[0]])
        if len(times) >= job.repeats or (len(times) >= FEWEST and spent > job.budget_s):
            return np.array(times), np.stack(actions[: len(inputs)])


if __name__ == "__main__":
    _job = json.load(sys.stdin)
    for _row in measure(Job(**_job | {"steps": tuple(_job["steps"])})):
        sys.stdout.write(json.dumps(_row) + "\n")
        sys.stdout.flush()
