"""Held-out episodes of the scripted expert, for the probes and the oracle."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.sim.collect import record
from vilp_ros.sim.demonstrator import Job
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.task import load_task


def record_held_out(task: str, path: Path, episodes: int, noise: float) -> None:
    """Records successful expert episodes on seeds that no training set holds.

    Every episode has a seed of its own; the modes of the expert take turns.

    Args:
        task: name of the task.
        path: HDF5 file to write.
        episodes: how many.
        noise: share of disturbed control periods; collections for training use 0.25.
    """
    modes = load_task(task).modes
    with (
        EpisodeWriter(path, task=task) as writer,
        closing(SimEnv(task)) as env,
        tqdm(total=episodes, desc="recording held-out episodes", unit="ep") as bar,
    ):
        seed = VALIDATION_SEEDS
        while bar.n < episodes:
            episode = record(env, Job(seed, modes[seed % len(modes)], "expert", noise))
            if episode.success:
                writer.add(episode)
                bar.update()
            seed += 1
