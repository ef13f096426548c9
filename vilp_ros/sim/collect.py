"""Collection of demonstrations: scripted experts, recorded to a file of episodes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vilp_ros.cluster import Cluster, processes
from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.pairs import usual
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.errors import VilpError
from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.task import load_task
from vilp_ros.sim.views import COLOUR, depth_ranges

ATTEMPTS = 5
MOST_LOST = 30
"""Poses in a row of which none could be recorded: nor will the next be."""
COLLECTED = ("expert", "action_free", "suboptimal", "play")


@dataclass(frozen=True)
class Report:
    """What a collection did.

    Attributes:
        recorded: episodes written now.
        found: episodes that were there before.
        discarded: attempts thrown away, since the expert failed (or, for `suboptimal`, did not);
            play has no outcome, and none of it is.
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
    cluster: Cluster | None = None,
    views: tuple[str, ...] = COLOUR,
    vary: float = 0.0,
    beside: bool = False,
) -> Report:
    """Records episodes until the file holds `episodes` of them; goes on where it was cut off.

    Every pose of the objects is recorded once per mode of the task's expert, so that the mode
    cannot be told from the pose. `expert` and `action_free` keep successes only, `suboptimal`
    failures only, `play`, once a pose, whatever comes.

    Args:
        task: one of `vilp_ros.sim.TASKS`.
        path: HDF5 file, made or continued.
        episodes: how many the file shall hold.
        seed_start: seed of the first pose; the following poses count up.
        role: `expert`, `action_free` (the same without actions), `suboptimal` or `play`.
        noise: expected share of control periods that noise disturbs, 0 to below 1; none of play.
        workers: processes that simulate.
        cluster: whose processes simulate instead.
        views: what is seen: any of `vilp_ros.sim.views.VIEWS`.
        vary: strength of the looks that episodes have (`training_look`), 0 for the usual one.
        beside: keep every view as it looks in the usual scene too, as `<view>_usual`.

    Returns:
        What was done.

    Raises:
        VilpError: unknown role, a noise outside [0, 1), seeds reserved for evaluation, a file
            whose episodes have another role, noise, other views or looks, or an expert that does
            not do what the role asks.
    """
    if role not in COLLECTED:
        raise VilpError(f"role is {role!r}: choose from {', '.join(COLLECTED)}")
    if not 0 <= noise < 1:
        raise VilpError(f"noise is {noise}: a share of the steps, at least 0 and below 1")
    modes = load_task(task).modes
    if role == "play":
        modes, noise = ("play",), 0.0
    if episodes < 1 or workers < 1 or seed_start < 0:
        raise VilpError("--episodes and --workers are at least 1, --seed-start at least 0")
    if seed_start + episodes / len(modes) > VALIDATION_SEEDS:
        raise _reserved()
    recorded = discarded = steps = disturbed = lost = 0
    ranges = depth_ranges(load_task(task), views)
    if Path(path).is_file():
        file = EpisodeFile(path)
        there, others = file.views, {*file.roles} - {role}
        file.close()
        if others:
            raise VilpError(
                f"{path} holds {', '.join(sorted(others))}, not {role}: choose another --out"
            )
        kept = {*views, *map(usual, views)} if beside else set(views)
        if there and set(there) != kept:
            raise VilpError(
                f"{path} has views {', '.join(there)}, not {', '.join(sorted(kept))}: choose "
                "another --out"
            )
    setting = (task, views, vary, beside)
    ahead = 2 * (cluster.slots if cluster else workers)
    with (
        EpisodeWriter(path, task=task, depth_range_m=ranges) as writer,
        processes(workers, cluster) as pool,
    ):
        done = set(writer.seeds)
        if done and (looks := writer.notes("vary") or {"0.0"}) != {str(float(vary))}:
            raise VilpError(
                f"{path} was varied by {', '.join(looks)}, not {vary}: choose another --out"
            )
        if others := writer.notes("noise") - {str(float(noise))}:
            raise VilpError(
                f"{path} was recorded with noise {others.pop()}, not {noise}: choose another --out"
            )
        found = len(done)
        jobs = (job for job in _jobs(modes, seed_start, role, noise) if _key(job) not in done)
        pending: set[Future[tuple[Episode | None, int]]] = set()
        with tqdm(total=episodes, initial=found, unit="episode", desc=f"{task} {role}") as bar:
            while found + recorded < episodes:
                while len(pending) < min(ahead, episodes - found - recorded):
                    pending.add(pool.submit(_record, setting, next(jobs)))
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    episode, failures = future.result()
                    discarded += failures
                    lost = lost + 1 if episode is None else 0
                    if lost >= MOST_LOST:
                        outcome = "fail" if role == "suboptimal" else "succeed"
                        raise VilpError(
                            f"the expert of {task} did not {outcome} at {lost} poses in a row, "
                            f"{ATTEMPTS} attempts each: {recorded} episodes were recorded; look at "
                            "its task, or lower --noise"
                        )
                    if episode is not None:
                        writer.add(episode)
                        recorded += 1
                        steps += len(episode)
                        disturbed += int(episode.disturbed.sum())
                        bar.update()
                bar.set_postfix(discarded=discarded, steps=steps)
    return Report(recorded, found, discarded, steps, disturbed)


def _jobs(modes: tuple[str, ...], seed: int, role: str, noise: float) -> Iterator[Job]:
    while seed < VALIDATION_SEEDS:
        yield from (Job(seed, mode, role, noise) for mode in modes)
        seed += 1
    raise _reserved()


def _reserved() -> VilpError:
    return VilpError(f"seeds from {VALIDATION_SEEDS} on are for evaluation: lower --seed-start")


def _key(job: Job) -> tuple[int, str]:
    return job.seed, job.mode


Setting = tuple[str, tuple[str, ...], float, bool]
_env: dict[Setting, SimEnv] = {}  # one per worker process: building it takes seconds


def _record(setting: Setting, job: Job) -> tuple[Episode | None, int]:
    """An episode of the job and the number of attempts discarded before it."""
    task, views, vary, beside = setting
    if setting not in _env:
        for env in _env.values():
            env.close()
        _env.clear()
        _env[setting] = SimEnv(task, views=views, variation=f"train@{vary}" if vary else "none")
    for attempt in range(ATTEMPTS):
        episode = record(_env[setting], job, attempt, beside=beside)
        if job.role == "play" or episode.success != (job.role == "suboptimal"):
            return episode, attempt
    return None, ATTEMPTS


def record(env: SimEnv, job: Job, attempt: int = 0, *, beside: bool = False) -> Episode:
    """One episode, whether it succeeds or not.

    Args:
        env: where.
        job: what.
        attempt: varies all but the poses at its start.
        beside: keep the views as in the usual scene too.
    """
    demonstrator = Demonstrator(env, job, attempt)
    observations = [demonstrator.observation]
    states = [env.data.qpos.copy()]
    as_usual = [env.usual_images()] if beside else []
    actions: list[np.ndarray] = []
    disturbed: list[bool] = []
    while not demonstrator.done:
        action, pushed = demonstrator.act(observations[-1])
        observations.append(env.step(action))
        states.append(env.data.qpos.copy())
        as_usual += [env.usual_images()] if beside else []
        actions.append(action)
        disturbed.append(pushed)
        demonstrator.after(env.success())
    expert = demonstrator.expert
    images = {view: np.stack([o.images[view] for o in observations]) for view in env.views}
    if beside:
        images |= {usual(view): np.stack([x[view] for x in as_usual]) for view in env.views}
    info: dict[str, float | int | str]
    info = {"mode": expert.mode, "side": expert.side, "attempt": attempt}
    info["noise"] = float(job.noise)
    if env.rule is not None:
        info["vary"] = env.rule.strength
    return Episode(
        images=images,
        ee_pose=np.stack([o.ee_pose for o in observations]),
        gripper_width=np.array([o.gripper_width for o in observations]),
        joint_position=np.stack([o.joint_position for o in observations]),
        joint_velocity=np.stack([o.joint_velocity for o in observations]),
        actions=None if job.role == "action_free" else np.stack(actions),
        disturbed=np.array(disturbed),
        role=job.role,
        success=env.success(),
        seed=job.seed,
        info=info,
        states=np.stack(states),
    )
