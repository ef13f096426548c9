"""How long one whole replan takes: engine x threads x DDIM steps, and whether engines agree.

Thread counts belong to a process, so every engine x threads pair runs in a fresh one, see
`vilp_ros.evaluation.bench_process`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.bench_process import Job
from vilp_ros.geometry import ee_proprio, quat_angle

if TYPE_CHECKING:
    from vilp_ros.policy.bundle import BundleSpec

Tell = Callable[[dict[str, Any]], None]


def record_observations(bundle: str | Path, path: Path, n: int = 16) -> None:
    """Writes `n` observations along an episode of the bundle's task, to plan on."""
    from vilp_ros.policy.bundle import load_spec
    from vilp_ros.sim.env import SimEnv
    from vilp_ros.sim.experts import make_expert

    spec = load_spec(bundle)
    size = next(iter(spec.views.values()))
    env = SimEnv(spec.task, views=tuple(spec.views), size=size, depth_range_m=spec.depth_range_m)
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


def difference(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Largest difference between two sets of actions `(..., 8)`, in units a person can judge."""
    return {
        "position_mm": float(np.linalg.norm(a[..., :3] - b[..., :3], axis=-1).max() * 1e3),
        "rotation_deg": float(np.degrees(quat_angle(a[..., 3:7], b[..., 3:7]).max())),
        "gripper_mm": float(np.abs(a[..., 7] - b[..., 7]).max() * 1e3),
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on: processor, usable cores, load, GPU, versions."""
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
    import torch

    facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
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
    budget_s: float = 10.0,
    warmup: int = 20,
    device: str = "auto",
    against: str | Path | None = None,
    tell: Tell = lambda row: None,
) -> dict[str, Any]:
    """The whole table.

    Args:
        bundle: folder of the policy bundle.
        engines: of `vilp_ros.policy.engines.ENGINES`.
        threads: thread counts.
        steps: DDIM step counts.
        repeats: timed replans a row, `n`, and as many with decoding, `n_decoded`.
        budget_s: seconds after which a row has enough of either, from three replans on.
        warmup: replans before the first timed one, for at most a tenth of the budget.
        device: as in `load_policy`.
        against: a recipe whose networks, untrained, are timed in the same run with the last of
            `threads`: at the bundle's own number of steps and at the recipe's.
        tell: called with every row as soon as it is measured.

    Returns:
        `{bundle, machine, rows}`; a row has the name of what it times (`of`), p50/p99 of every
        part in ms, plans a second (the same with every frame of each plan decoded: `decode_ms`,
        `total_decoded_ms`, `plans_per_s_decoded`, timed apart unless the actions themselves come
        from decoded frames), seconds to load and compile, peak memory, and for engines other than
        torch the largest difference of the actions against torch at equal steps and noise, on as
        many of 16 observations as both reached.

    Raises:
        VilpError: an engine or the device is not here, steps beyond the schedule, or a process
            failed; its last lines are in the message.
    """
    from vilp_ros.policy.bundle import load_spec
    from vilp_ros.policy.config import TRAIN_TIMESTEPS
    from vilp_ros.policy.engines import choose_device, require_engine

    device = choose_device(device)
    for engine in engines:
        require_engine(engine, "cpu" if engine == "openvino" else device)
    if wrong := [n for n in steps if not 1 <= n <= TRAIN_TIMESTEPS]:
        raise VilpError(f"{wrong[0]} denoising steps: expected 1 to {TRAIN_TIMESTEPS}")
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
            budget_s=budget_s,
            warmup=warmup,
            device=device,
            observations=str(folder / "observations.npz"),
            actions=str(folder / "actions.npz"),
        )
        rows = _rows(job, engines, threads, tell)
        if against is not None:
            other = folder / Path(against).stem
            own = _untrained(against, bundle, other), load_spec(bundle)
            few = tuple(sorted({spec.policy.sampler.planner_steps for spec in own}))
            rows += _rows(replace(job, bundle=str(other), steps=few), engines, threads[-1:], tell)
    return {"bundle": str(bundle), "machine": facts, "rows": rows}


def _rows(
    job: Job, engines: Sequence[str], threads: Sequence[int], tell: Tell
) -> list[dict[str, Any]]:
    """The rows of one bundle; a job's engine, threads and device are filled in."""
    rows: list[dict[str, Any]] = []
    reference: dict[int, np.ndarray] = {}
    of = {"of": Path(job.bundle).name}
    for engine in sorted(engines, key=lambda e: e != "torch"):  # torch first: the reference
        for n in threads:
            device = "cpu" if engine == "openvino" else job.device
            one = replace(job, engine=engine, threads=n, device=device)
            measured = run_job(one, lambda row: tell(of | row))
            with np.load(job.actions) as data:
                for row in measured:
                    found = data[f"actions_{row['steps']}"]
                    expected = reference.setdefault(row["steps"], found)
                    if engine != "torch" and "torch" in engines:
                        both = min(len(found), len(expected))
                        apart = difference(found[:both], expected[:both])
                        row["against_torch"] = apart | {"observations": both}
            rows += [of | row for row in measured]
    return rows


def _untrained(recipe: str | Path, bundle: str | Path, folder: Path) -> BundleSpec:
    """Writes the networks of a recipe, for the views and the task of a bundle."""
    from vilp_ros.policy.bundle import load_spec, save_untrained
    from vilp_ros.policy.config import read_policy

    spec = load_spec(bundle)
    return save_untrained(folder, spec.views, task=spec.task, policy=read_policy(recipe))


def run_job(job: Job, tell: Tell = lambda row: None) -> list[dict[str, Any]]:
    """The rows of `job`, measured in a fresh process; `tell` hears of each as it comes.

    Raises:
        VilpError: it failed.
    """
    rows = []
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [sys.executable, "-m", "vilp_ros.evaluation.bench_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(job.threads)},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin as job_to:
            json.dump(asdict(job), job_to)
        for line in process.stdout:
            if line.startswith('{"engine"'):  # libraries print, too
                rows.append(json.loads(line))
                tell(rows[-1])
        if process.wait() != 0:
            complaints.seek(0)
            tail = "".join(complaints.readlines()[-5:]).rstrip()
            raise VilpError(f"bench of {job.engine} with {job.threads} thread(s) failed:\n{tail}")
    return rows
