"""Collection of demonstrations: scripted experts, recorded to a file of episodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
from tqdm import tqdm

from vilp_ros.data.episodes import Episode, EpisodeFile, EpisodeWriter
from vilp_ros.errors import VilpError
from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.experts import MODES
from vilp_ros.sim.views import COLOUR, VIEWS

EVALUATION_SEEDS = 700_000
ATTEMPTS = 5
COLLECTED = ("expert", "action_free", "suboptimal")


@dataclass(frozen=True)
class Report:
    """What a collection did.

    Attributes:
        recorded: episodes written now.
        found: episodes that were there before.
        discarded: attempts thrown away, since the expert failed (or, for `suboptimal`, did not).
        steps: control periods written now.
        disturbed: how many of them noise moved.
    """

    recorded: int
    found: int
    discarded: int
    steps: int
    disturbed: int


def collect(
    task: str,
    path: str | Path,
    episodes: int,
    seed_start: int,
    role: str = "expert",
    noise: float = 0.25,
    workers: int = 1,
    views: tuple[str, ...] = COLOUR,
) -> Report:
    """Records episodes until the file holds `episodes` of them; goes on where it was cut off.

    Every pose of the objects is recorded once per mode of the task's expert, so that the mode
    cannot be told from the pose. `expert` and `action_free` keep successes only, `suboptimal`
    failures only.

    Args:
        task: one of `vilp_ros.sim.TASKS`.
        path: HDF5 file, made or continued.
        episodes: how many the file shall hold.
        seed_start: seed of the first pose; the following poses count up.
        role: `expert`, `action_free` (the same without actions) or `suboptimal`.
        noise: expected share of control periods that noise disturbs, 0 to below 1.
        workers: processes that simulate.
        views: what is seen: any of `vilp_ros.sim.views.VIEWS`.

    Returns:
        What was done.

    Raises:
        VilpError: unknown role, a noise outside [0, 1), seeds reserved for evaluation, or a file
            whose episodes have other views.
    """
    if role not in COLLECTED:
        raise VilpError(f"role is {role!r}: choose from {', '.join(COLLECTED)}")
    if not 0 <= noise < 1:
        raise VilpError(f"noise is {noise}: a share of the steps, at least 0 and below 1")
    modes = MODES[task]
    if seed_start + episodes / len(modes) > EVALUATION_SEEDS:
        raise VilpError(f"seeds from {EVALUATION_SEEDS} on are for evaluation: lower --seed-start")
    recorded = discarded = steps = disturbed = 0
    ranges = {view: range_m for view in views if (range_m := VIEWS[view].depth_range_m)}
    if Path(path).is_file():
        file = EpisodeFile(path)
        there = file.views
        file.close()
        if there and set(there) != set(views):
            raise VilpError(
                f"{path} has views {', '.join(there)}, not {', '.join(sorted(views))}: choose "
                "another --out"
            )
    with (
        EpisodeWriter(path, task=task, depth_range_m=ranges) as writer,
        ProcessPoolExecutor(workers, get_context("spawn"), _open, (task, views)) as pool,
    ):
        done = set(writer.seeds)
        found = len(done)
        jobs = (job for job in _jobs(modes, seed_start, role, noise) if _key(job) not in done)
        pending: set[Future[tuple[Episode | None, int]]] = set()
        with tqdm(total=episodes, initial=found, unit="episode", desc=f"{task} {role}") as bar:
            while found + recorded < episodes:
                while len(pending) < min(2 * workers, episodes - found - recorded):
                    pending.add(pool.submit(_record, next(jobs)))
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    episode, failures = future.result()
                    discarded += failures
                    if episode is not None:
                        writer.add(episode)
                        recorded += 1
                        steps += len(episode)
                        disturbed += int(episode.disturbed.sum())
                        bar.update()
                bar.set_postfix(discarded=discarded, steps=steps)
    return Report(recorded, found, discarded, steps, disturbed)


def _jobs(modes: tuple[str, ...], seed: int, role: str, noise: float) -> Iterator[Job]:
    while True:
        yield from (Job(seed, mode, role, noise) for mode in modes)
        seed += 1


def _key(job: Job) -> tuple[int, str]:
    return job.seed, job.mode


_env: SimEnv  # one per worker process: building it takes seconds


def _open(task: str, views: tuple[str, ...]) -> None:
    global _env
    Thread(target=_end_with_parent, daemon=True).start()
    _env = SimEnv(task, views=views)


def _end_with_parent() -> None:
    """A killed collection must not leave workers that wait for jobs for ever."""
    parent = parent_process()
    assert parent is not None, "workers are started by a pool"
    parent.join()
    os._exit(1)


def _record(job: Job) -> tuple[Episode | None, int]:
    """An episode of the job and the number of attempts discarded before it."""
    for attempt in range(ATTEMPTS):
        episode = record(_env, job, attempt)
        if episode.success != (job.role == "suboptimal"):
            return episode, attempt
    return None, ATTEMPTS


def record(env: SimEnv, job: Job, attempt: int = 0) -> Episode:
    """One episode, whether it succeeds or not; `attempt` varies all but the poses at its start."""
    demonstrator = Demonstrator(env, job, attempt)
    observations = [demonstrator.observation]
    actions: list[np.ndarray] = []
    disturbed: list[bool] = []
    while not demonstrator.done:
        action, pushed = demonstrator.act(observations[-1])
        observations.append(env.step(action))
        actions.append(action)
        disturbed.append(pushed)
        demonstrator.after(env.success())
    expert = demonstrator.expert
    return Episode(
        images={view: np.stack([o.images[view] for o in observations]) for view in env.views},
        ee_pose=np.stack([o.ee_pose for o in observations]),
        gripper_width=np.array([o.gripper_width for o in observations]),
        joint_position=np.stack([o.joint_position for o in observations]),
        joint_velocity=np.stack([o.joint_velocity for o in observations]),
        actions=None if job.role == "action_free" else np.stack(actions),
        disturbed=np.array(disturbed),
        role=job.role,
        success=env.success(),
        seed=job.seed,
        info={"mode": expert.mode, "side": expert.side, "attempt": attempt},
    )
