"""What methods cost at one size beside another: time and memory of a plan and of a training step.

Untrained networks of recipes, each plan and each training in a process of its own, on one thread
and noise for pictures: figures of work, not of skill. Beside the clock stand the seconds of the
processor, which a busy machine inflates less.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.data.digest import digest
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.bench import machine

if TYPE_CHECKING:
    from vilp_ros.training.config import Recipe
    from vilp_ros.training.work import Work

SIZE = (96, 160)
EPISODES, LENGTH = 2, 40
PROPRIO = np.array([0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.08])


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        recipe: its file.
        batch: samples of a training step.
        repeats: measured plans or steps, after one that is not.
        device: `cpu` or `cuda`.
    """

    recipe: str
    batch: int = 1
    repeats: int = 3
    device: str = "cpu"


def compare(
    recipes: Sequence[str | Path],
    batch: int,
    repeats: int,
    device: str,
    before: dict[str, Any] | None = None,
    tell: Callable[[dict[str, Any], str, bool], None] = lambda report, name, kept: None,
) -> dict[str, Any]:
    """The table, going on with one that was cut off.

    Args:
        recipes: files as in config/training.
        batch: samples of a training step, the same for all.
        repeats: measured plans and steps of each.
        device: `cpu` or `cuda`.
        before: an earlier table. Its rows stay where recipe, batch, repeats, device and machine
            are the same.
        tell: called after every recipe, with the table so far, the recipe's name and whether its
            row was kept.

    Returns:
        `{machine, batch, repeats, device, rows}`; a row has the recipe's name (`of`), a digest of
        what it says (`recipe`), the `load_average` that it began under, `method`, `parameters`,
        `steps` (denoising steps of a plan), `plan` and `train`, both with seconds (`wall_s`,
        `cpu_s`) and `memory_mb` at most: of the process on a CPU, of torch's allocator on CUDA. A
        plan is its encoding, all its steps and its actions, timed at one step and at two and
        counted up; a training step is one of the part that imagines or acts, the first of the
        recipe's method.

    Raises:
        VilpError: a recipe cannot be read or built, or a process died.
    """
    facts = machine()
    del facts["load_average"]  # of each row: it changes while they are measured
    report = {"machine": facts, "batch": batch, "repeats": repeats, "device": device}
    contents = [_content(recipe) for recipe in recipes]
    rows = _rows_alike(before or {}, report, contents)
    for recipe, content in zip(recipes, contents, strict=True):
        kept = content in rows
        if not kept:
            job = Job(str(recipe), batch, repeats, device)
            row = {"recipe": content, "load_average": os.getloadavg()[0]}
            rows[content] = row | _alone(_plan, job) | {"train": _alone(_train, job)}
        # With the kept rows that are still to come: cut off again, the table has lost none.
        report["rows"] = [
            {"of": Path(name).stem} | rows[known]
            for name, known in zip(recipes, contents, strict=True)
            if known in rows
        ]
        tell(report, Path(recipe).stem, kept)
    return report


def _content(recipe: str | Path) -> str:
    """Of all that a recipe says, its name aside."""
    from vilp_ros.training.config import load_recipe

    said = asdict(load_recipe(recipe, ["name=untrained"]))
    return digest([json.dumps(said, sort_keys=True)])


def _rows_alike(
    before: dict[str, Any], report: dict[str, Any], contents: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The rows of an earlier table that would be measured again, by their recipe."""
    if {key: before.get(key) for key in report} != report:
        return {}
    return {
        row["recipe"]: {key: row[key] for key in row if key != "of"}
        for row in before["rows"]
        if row["recipe"] in contents
    }


def _alone(measure: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
    """Runs it in a fresh process, whose memory is that of nothing else."""
    context = multiprocessing.get_context("spawn")
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        process = context.Process(target=_answer, args=(measure, job, answer.name))
        process.start()
        process.join()
        said = answer.read()
    if process.exitcode != 0:
        raise VilpError(
            f"{job.recipe}: the measuring process ended with {process.exitcode}; its error is "
            "printed above, and one that was killed (-9) lacked memory: lower --batch"
        )
    found = json.loads(said)
    if "error" in found:
        raise VilpError(f"{job.recipe}: {found['error']}")
    return found


def _answer(measure: Callable[[Job], dict[str, Any]], job: Job, path: str) -> None:
    import torch

    torch.set_num_threads(1)
    try:
        said = measure(job)
    except VilpError as error:
        said = {"error": str(error)}
    Path(path).write_text(json.dumps(said))


def _plan(job: Job) -> dict[str, Any]:
    from vilp_ros.policy.bundle import load_policy, save_untrained
    from vilp_ros.training.config import load_recipe

    recipe = load_recipe(job.recipe, ["name=untrained"])
    views = dict.fromkeys(recipe.views, SIZE)
    with tempfile.TemporaryDirectory() as folder:
        save_untrained(folder, views, policy=recipe.policy)
        policy = load_policy(folder, device=job.device, engine="torch")
    spec, noise = policy.spec, policy.noise(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (len(views), *SIZE, 3), dtype=np.uint8)

    def replan(steps: int) -> None:
        spec.policy.sampler.planner_steps = spec.policy.sampler.idm_steps = steps
        policy.act(policy.plan(policy.encode(images, PROPRIO), noise), noise)

    steps = recipe.policy.sampler.planner_steps if policy.denoises else 1
    one = _timed(lambda: replan(1), job.repeats)
    counted = one
    if steps > 1:
        two = _timed(lambda: replan(2), job.repeats)
        counted = {k: one[k] + (steps - 1) * max(0.0, two[k] - one[k]) for k in one}
    modules = spec.method_class.modules(spec).values()
    return {
        "method": spec.method,
        "parameters": sum(p.numel() for module in modules for p in module.parameters()),
        "steps": steps,
        "plan": counted | {"memory_mb": _memory_mb(job.device)},
    }


def _train(job: Job) -> dict[str, Any]:
    import torch

    from vilp_ros.training.config import load_recipe
    from vilp_ros.training.processes import has_bf16
    from vilp_ros.training.registry import TRAININGS
    from vilp_ros.training.work import Work

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "noise.hdf5"
        recipe = load_recipe(job.recipe, ["name=untrained", f"data.expert=[{{path: {data}}}]"])
        recipe.data.suboptimal, recipe.data.action_free = [], []
        _write_episodes(data, recipe)
        work = Work(recipe, Path(folder))
        _write_autoencoders(work)
        training = TRAININGS.find(recipe.policy.method)(work)
        name = training.stages[0][0]
        objective = training.objective(name, training.features()).to(job.device).train()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-5)
    device = torch.device(job.device)

    def step() -> None:
        batch = objective.place(objective.batch(np.random.default_rng(0), job.batch))
        with torch.autocast(job.device, torch.bfloat16, has_bf16(device)):  # as `vilp train`
            loss = objective(batch, objective.random(0))["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    timed = _timed(step, job.repeats)
    return {"part": name, **timed, "memory_mb": _memory_mb(job.device)}


def _timed(work: Callable[[], None], repeats: int) -> dict[str, float]:
    """Least seconds of some calls, after one that is not counted: others only add to them."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    return {"wall_s": min(wall), "cpu_s": min(cpu)}


def _memory_mb(device: str) -> float:
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


def _write_episodes(path: Path, recipe: Recipe) -> None:
    """Pictures of noise, and a hand that wanders."""
    from vilp_ros.data.episode import Episode
    from vilp_ros.data.episode_writer import EpisodeWriter

    rng = np.random.default_rng(0)
    with EpisodeWriter(path, task="lift") as writer:
        for seed in range(EPISODES):
            steps = rng.normal(0, 0.004, (LENGTH + 1, 3))
            down = np.tile([1.0, 0.0, 0.0, 0.0], (LENGTH + 1, 1))
            pose = np.concatenate([[0.45, 0.0, 0.3] + np.cumsum(steps, axis=0), down], axis=1)
            shape = (LENGTH + 1, *SIZE, 3)
            writer.add(
                Episode(
                    images={v: rng.integers(0, 255, shape, dtype=np.uint8) for v in recipe.views},
                    ee_pose=pose.astype(np.float32),
                    gripper_width=np.full(LENGTH + 1, 0.08, np.float32),
                    joint_position=np.zeros((LENGTH + 1, 7), np.float32),
                    joint_velocity=np.zeros((LENGTH + 1, 7), np.float32),
                    actions=np.insert(pose[1:], 7, 0.08, axis=1).astype(np.float32),
                    disturbed=np.zeros(LENGTH, bool),
                    role="expert",
                    success=True,
                    seed=seed,
                )
            )


def _write_autoencoders(work: Work) -> None:
    """Untrained ones, as if they were done, and latents of noise."""
    from vilp_ros.policy.frame_codec import build_autoencoder
    from vilp_ros.training import checkpoint

    if not work.method.autoencodes:
        return
    rng = np.random.default_rng(0)
    for view, size in work.views.items():
        vae = build_autoencoder(work.recipe.policy.autoencoder, size)
        weights = {f"vae.{key}": value for key, value in vae.state_dict().items()}
        checkpoint.write(work.part(f"autoencoder.{view}"), {"model": weights}, {"step": 0})
        shape = (EPISODES * (LENGTH + 1), work.layout.latent_dim)
        np.save(work.latents(view), rng.standard_normal(shape, dtype=np.float32))


def markdown(report: dict[str, Any]) -> str:
    """The table for a page."""
    facts = report["machine"]
    where = facts["cpu"] if report["device"] == "cpu" else str(facts.get("gpu"))
    load = max(row["load_average"] for row in report["rows"])
    lines = [
        f"One thread of {where}" if report["device"] == "cpu" else where,
        f"load average up to {load:.1f} of {facts['cores']} cores, "
        f"training batch {report['batch']}; processor seconds, in brackets those of the clock.",
        "",
        "| recipe | method | parameters | steps | plan | its memory | training step | its memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        cells = [row["of"], row["method"], f"{row['parameters'] / 1e6:.1f} M", str(row["steps"])]
        for part in (row["plan"], row["train"]):
            cells += [f"{_s(part['cpu_s'])} ({_s(part['wall_s'])})", _gb(part["memory_mb"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _s(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _gb(megabytes: float) -> str:
    return f"{megabytes / 1024:.1f} GB"
