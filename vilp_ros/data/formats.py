"""Datasets of other projects, in and out, by way of our episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from vilp_ros.data.columns import Meta
from vilp_ros.data.episodes import DatasetError, Episode, EpisodeFile, EpisodeWriter


class Sink(Protocol):
    """Where episodes go."""

    def add(self, episode: Episode) -> None:
        """Takes one."""

    def close(self) -> None:
        """Writes what can only be written at the end."""


def translate(sources: Sequence[Path], source: str, out: Path, to: str, task: str = "") -> int:
    """Reads datasets of one format and writes them as one of another, an episode at a time.

    Args:
        sources: files or folders.
        source: their format: `hdf5` (ours), `robomimic`, `lerobot` or `zarr`.
        out: made; for `hdf5` also continued.
        to: its format.
        task: instead of the one that they say.

    Returns:
        How many episodes were written.

    Raises:
        VilpError: a dataset is not of its format, or says something that we cannot represent.
    """
    if to != "hdf5" and out.exists():
        raise DatasetError(f"{out} exists already: remove it or choose another --out")
    sink: Sink | None = None
    count = 0
    try:
        for path in sources:
            meta, episodes = _read(path, source, task)
            sink = sink or _open(out, to, meta)
            for episode in episodes:
                sink.add(episode)
                count += 1
    finally:
        if sink is not None:
            sink.close()
    return count


def _read(path: Path, source: str, task: str) -> tuple[Meta, Iterator[Episode]]:
    if source == "hdf5":
        file = EpisodeFile(path)
        return Meta(task or file.task, file.control_period_s, file.action_kind), iter(file)
    if source == "robomimic":
        from vilp_ros.data.robomimic import read
    elif source == "lerobot":
        from vilp_ros.data.lerobot import read
    else:
        from vilp_ros.data.zarr_store import read
    return read(path, task)


def _open(out: Path, to: str, meta: Meta) -> Sink:
    if to == "robomimic":
        from vilp_ros.data.robomimic import RobomimicWriter

        return RobomimicWriter(out, meta)
    if to == "lerobot":
        from vilp_ros.data.lerobot import LeRobotWriter

        return LeRobotWriter(out, meta)
    if to == "zarr":
        from vilp_ros.data.zarr_store import ZarrWriter

        return ZarrWriter(out, meta)
    return EpisodeWriter(
        out,
        task=meta.task,
        action_kind=meta.action_kind,
        control_period_s=meta.control_period_s,
    )
