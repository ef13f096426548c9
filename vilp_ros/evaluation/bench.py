"""How long one whole replan takes: engine x threads x DDIM steps, and whether engines agree.

Thread counts belong to a process, so every engine x threads pair runs in a fresh one
(`python -m vilp_ros.evaluation.bench`), which reads its job from stdin and prints JSON.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.statistics import percentiles
from vilp_ros.geometry import ee_proprio, quat_angle

if TYPE_CHECKING:
    from vilp_ros.policy.bundle import BundleSpec
    from vilp_ros.policy.policy import Noise, Policy

PARTS = ("encode", "plan", "idm", "total")
DECODED_PARTS = ("decode", "total_decoded")


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        bundle: folder of the policy bundle.
        engine: `torch` or `openvino`.
        threads: threads of that engine.
        steps: DDIM step counts, one row each.
        repeats: measured replans a row, and as many again with decoding.
        warmup: replans before the first measured one.
        device: as in `load_policy`.
        observations: .npz file with `images` (N, V, H, W, 3) uint8 and `proprio` (N, 10).
        actions: .npz file to write, `actions_<steps>` (N, horizon, 8) each.
    """

    bundle: str
    engine: str
    threads: int
    steps: tuple[int, ...]
    repeats: int
    warmup: int
    device: str
    observations: str
    actions: str


def record_observations(bundle: str | Path, path: Path, n: int = 16) -> None:
    """Writes `n` observations along an episode of the bundle's task, to plan on."""
    from vilp_ros.policy.bundle import load_spec
    from vilp_ros.sim.env import SimEnv
    from vilp_ros.sim.experts import make_expert

    spec = load_spec(bundle)
    env = SimEnv(spec.task, views=tuple(spec.views), size=next(iter(spec.views.values())))
    try:
        obs = env.reset(600_000)
        expert = make_expert(env, np.random.default_rng(0))
        images, proprio = [], []
        for _ in range(n):
            images.append(np.stack([obs.images[view] for view in spec.views]))
            proprio.append(ee_proprio(obs.ee_pose, np.asarray(obs.gripper_width)))
            for _ in range(3):
                obs = env.step(expert.act(obs))
    finally:
        env.close()
    np.savez(path, images=np.stack(images), proprio=np.stack(proprio))


def measure(job: Job) -> list[dict[str, Any]]:
    """Times `job` in this process; writes its actions and returns a row for every step count."""
    from vilp_ros.policy.bundle import load_policy
    from vilp_ros.policy.engines import choose_device

    with np.load(job.observations) as data:
        images, proprio = data["images"], data["proprio"]
    rows: list[dict[str, Any]] = []
    actions: dict[str, np.ndarray] = {}
    for steps in job.steps:
        began = time.perf_counter()
        policy = load_policy(
            job.bundle, device=job.device, engine=job.engine, threads=job.threads, steps=steps
        )
        load_s = time.perf_counter() - began
        noise = policy.noise(0)
        inputs = list(zip(images, proprio, strict=True))
        plain, decoded = (_times(policy, noise, inputs, job, decode=d) for d in (False, True))
        row: dict[str, Any] = {
            "engine": job.engine,
            "device": choose_device(job.device),
            "threads": job.threads,
            "steps": steps,
        }
        row |= {f"{p}_ms": percentiles(plain[:, i], 1e3) for i, p in enumerate(PARTS)}
        row["plans_per_s"] = 1.0 / float(plain[:, -1].mean())
        for i, part in enumerate(DECODED_PARTS, -len(DECODED_PARTS)):
            row[f"{part}_ms"] = percentiles(decoded[:, i], 1e3)
        row["plans_per_s_decoded"] = 1.0 / float(decoded[:, -1].mean())
        row["load_s"] = load_s
        row["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(row)
        states = [policy.encode(*x) for x in inputs]
        actions[f"actions_{steps}"] = np.stack(
            [policy.act(policy.plan(state, noise), noise) for state in states]
        )
    np.savez(job.actions, **actions)
    return rows


def _times(
    policy: Policy,
    noise: Noise,
    inputs: Sequence[tuple[np.ndarray, np.ndarray]],
    job: Job,
    decode: bool,
) -> np.ndarray:
    """Seconds of every measured replan, a column a part, the whole last."""
    times = []
    for i in range(job.warmup + job.repeats):
        clock = [time.perf_counter()]
        state = policy.encode(*inputs[i % len(inputs)])
        clock.append(time.perf_counter())
        plan = policy.plan(state, noise)
        clock.append(time.perf_counter())
        policy.act(plan, noise)
        clock.append(time.perf_counter())
        if decode:
            policy.decode(plan)
            clock.append(time.perf_counter())
        times.append([*np.diff(clock), clock[-1] - clock[0]])
    return np.array(times[job.warmup :])


def difference(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Largest difference between two sets of actions `(..., 8)`, in units a person can judge."""
    return {
        "position_mm": float(np.linalg.norm(a[..., :3] - b[..., :3], axis=-1).max() * 1e3),
        "rotation_deg": float(np.degrees(quat_angle(a[..., 3:7], b[..., 3:7]).max())),
        "gripper_mm": float(np.abs(a[..., 7] - b[..., 7]).max() * 1e3),
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on: processor, usable cores, load, versions."""
    import importlib.metadata as metadata

    model = platform.processor() or "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    facts = {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": list(os.getloadavg()),
        "python": platform.python_version(),
    }
    for package in ("torch", "openvino"):
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = None
    return facts


def bench(
    bundle: str | Path,
    *,
    engines: Sequence[str],
    threads: Sequence[int],
    steps: Sequence[int],
    repeats: int = 200,
    warmup: int = 20,
    device: str = "auto",
    against: str | Path | None = None,
) -> dict[str, Any]:
    """The whole table.

    Args:
        bundle: folder of the policy bundle.
        engines: of `vilp_ros.policy.engines.ENGINES`.
        threads: thread counts.
        steps: DDIM step counts.
        repeats: timed replans a row.
        warmup: replans before the first timed one.
        device: as in `load_policy`.
        against: a recipe whose networks, untrained, are timed in the same run with the most
            threads: a tenth of the repeats, at the first and the last of `steps` and its own.

    Returns:
        `{bundle, machine, rows}`; a row has the name of what it times (`of`), p50/p99 of every
        part in ms, plans a second (the same with every frame of each plan decoded: `decode_ms`,
        `total_decoded_ms`, `plans_per_s_decoded`, timed apart), seconds to load, peak memory, and
        for engines other than torch the largest difference of the actions against torch at equal
        steps, noise and observations.

    Raises:
        VilpError: unknown engine, or a process failed; its last lines are in the message.
    """
    from vilp_ros.policy.engines import ENGINES

    if unknown := set(engines) - set(ENGINES):
        raise VilpError(f"unknown engine {min(unknown)!r}; available: {', '.join(ENGINES)}")
    facts = machine()  # before we load the machine ourselves
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record_observations(bundle, folder / "observations.npz")
        job = Job(
            bundle=str(bundle),
            engine="torch",
            threads=1,
            steps=tuple(steps),
            repeats=repeats,
            warmup=warmup,
            device=device,
            observations=str(folder / "observations.npz"),
            actions=str(folder / "actions.npz"),
        )
        rows = _rows(job, engines, threads)
        if against is not None:
            other = _untrained(against, bundle, folder / "against")
            few = tuple(sorted({steps[0], steps[-1], other.policy.sampler.planner_steps}))
            job = replace(
                job,
                bundle=str(folder / "against"),
                steps=few,
                repeats=max(3, repeats // 10),
                warmup=1,
            )
            rows += [row | {"of": Path(against).stem} for row in _rows(job, engines, threads[-1:])]
    return {"bundle": str(bundle), "machine": facts, "rows": rows}


def _rows(job: Job, engines: Sequence[str], threads: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of one bundle; a job's engine, threads and device are filled in."""
    rows: list[dict[str, Any]] = []
    reference: dict[int, np.ndarray] = {}
    for engine in sorted(engines, key=lambda e: e != "torch"):  # torch first: the reference
        for n in threads:
            device = "cpu" if engine == "openvino" else job.device
            measured = run_job(replace(job, engine=engine, threads=n, device=device))
            with np.load(job.actions) as data:
                for row in measured:
                    found = data[f"actions_{row['steps']}"]
                    expected = reference.setdefault(row["steps"], found)
                    if engine != "torch" and "torch" in engines:
                        row["against_torch"] = difference(found, expected)
            rows += [{"of": Path(job.bundle).name} | row for row in measured]
    return rows


def _untrained(recipe: str | Path, bundle: str | Path, folder: Path) -> BundleSpec:
    """Writes the networks of a recipe, for the views and the task of a bundle."""
    from vilp_ros.policy.bundle import load_spec, save_untrained
    from vilp_ros.policy.config import read_policy

    spec = load_spec(bundle)
    return save_untrained(folder, spec.views, task=spec.task, policy=read_policy(recipe))


def run_job(job: Job) -> list[dict[str, Any]]:
    """`measure` in a fresh process.

    Raises:
        VilpError: it failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(job.threads)}
    done = subprocess.run(
        [sys.executable, "-m", "vilp_ros.evaluation.bench"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise VilpError(f"bench of {job.engine} with {job.threads} thread(s) failed:\n{tail}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    _job = json.load(sys.stdin)
    sys.stdout.write(json.dumps(measure(Job(**_job | {"steps": tuple(_job["steps"])}))) + "\n")
