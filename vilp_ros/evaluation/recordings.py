"""Held-out episodes of the scripted expert, for the probes and the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.errors import VilpError
from vilp_ros.sim.collect import MOST_LOST, record
from vilp_ros.sim.demonstrator import Job
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.task import load_task
from vilp_ros.sim.views import COLOUR


def record_held_out(
    task: str,
    path: Path,
    episodes: int,
    noise: float,
    views: tuple[str, ...] = COLOUR,
    depth_range_m: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Records successful expert episodes on seeds that no training set holds.

    Every episode has a seed of its own; the modes of the expert take turns.

    Args:
        task: name of the task.
        path: HDF5 file to write.
        episodes: how many.
        noise: share of disturbed control periods; collections for training use 0.25.
        views: what is seen.
        depth_range_m: of depth views.

    Raises:
        VilpError: the expert fails again and again.
    """
    modes, ranges = load_task(task).modes, dict(depth_range_m or {})
    with (
        EpisodeWriter(path, task=task, depth_range_m=ranges) as writer,
        closing(SimEnv(task, views=views, depth_range_m=ranges)) as env,
        tqdm(total=episodes, desc="recording held-out episodes", unit="ep") as bar,
    ):
        seed, lost = VALIDATION_SEEDS, 0
        while bar.n < episodes:
            episode = record(env, Job(seed, modes[seed % len(modes)], "expert", noise))
            if episode.success:
                writer.add(episode)
                bar.update()
            lost = 0 if episode.success else lost + 1
            if lost >= MOST_LOST:
                raise VilpError(f"the expert of {task} failed {lost} times in a row: seed {seed}")
            seed += 1
