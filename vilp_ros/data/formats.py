"""Datasets of other projects, in and out, by way of our episodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vilp_ros.data.columns import Import, Meta, Reading
from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.made import of_map, without_notes
from vilp_ros.data.made_imports import MadeImports
from vilp_ros.data.mapping.column_map import ColumnMap
from vilp_ros.errors import VilpError

MAPPED = ("lerobot", "videos")
"""Formats whose columns or views a map can name."""


class Sink(Protocol):
    """Where episodes go."""

    def add(self, episode: Episode) -> None:
        """Takes one."""

    def close(self) -> None:
        """Writes what can only be written at the end."""


@dataclass
class Translation:
    """What became of datasets.

    Attributes:
        count: episodes written.
        there: episodes that OUT held already.
        errors: why others could not be, a sentence each.
        notes: what the user should know beside.
    """

    count: int = 0
    there: int = 0
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def translate(
    sources: Sequence[Path],
    source: str,
    out: Path,
    to: str,
    task: str = "",
    column_map: ColumnMap | None = None,
    only: Collection[int] | None = None,
    rest: bool = False,
    joints: bool = True,
) -> Translation:
    """Reads datasets of one format and writes them as one of another, an episode at a time.

    Args:
        sources: files or folders.
        source: their format: `hdf5` (ours), `robomimic`, `lerobot`, `zarr` or `videos`.
        out: made; for `hdf5` also continued.
        to: its format.
        task: instead of the one that they say.
        column_map: of `MAPPED` formats: what their columns are.
        only: numbers of the episodes that are wanted; None for all.
        rest: of `lerobot`: keep the arm's standing still before it first moves.
        joints: False writes a `lerobot` state without the arm's joints.

    Raises:
        VilpError: a dataset is not of its format, or says something that we cannot represent; or
            `out` holds episodes of it that were made in another way.
    """
    if to != "hdf5" and out.exists():
        raise DatasetError(f"{out} exists already: choose another --out")
    if column_map is not None and source not in MAPPED:
        raise DatasetError(f"a map is for {' and '.join(MAPPED)}, not for {source}")
    if not joints and to != "lerobot":
        raise DatasetError(f"a state without joints is of lerobot; {to} has them by name")
    sink: Sink | None = None
    done = Translation()
    made = MadeImports(out, of_map(column_map), rest) if to == "hdf5" else None
    try:
        for path in sources:
            if made is not None:
                made.check(path)
            reading = _read(path, source, task, column_map, only, rest)
            for found in reading.episodes:
                if isinstance(found, VilpError):
                    done.errors.append(str(found))
                    continue
                if made is not None and made.holds(found):
                    done.there += 1
                    continue
                try:
                    found.episode.check(reading.meta.action_kind, found.where)
                except VilpError as error:
                    done.errors.append(str(error))
                    continue
                sink = sink or _open(out, to, reading.meta, joints)
                sink.add(without_notes(found.episode) if made is None else made.noted(found, path))
                done.count += 1
            done.notes += reading.notes
    finally:
        if sink is not None:
            sink.close()
    return done


def _read(
    path: Path,
    source: str,
    task: str,
    column_map: ColumnMap | None,
    only: Collection[int] | None,
    rest: bool,
) -> Reading:
    if source == "lerobot":
        from vilp_ros.data.lerobot.reading import read as read_lerobot

        return read_lerobot(path, task, column_map, only, rest)
    if source == "videos":
        from vilp_ros.data.video_folder import read as read_videos

        return read_videos(path, task, column_map, only)
    if source == "hdf5":
        file = EpisodeFile(path)
        meta = Meta(task or file.task, file.control_period_s, file.action_kind)
        reading = Reading(meta, _each(file))
    elif source == "robomimic":
        from vilp_ros.data.robomimic import read as read_robomimic

        reading = read_robomimic(path, task)
    else:
        from vilp_ros.data.zarr_store import read as read_zarr

        reading = Reading(*read_zarr(path, task))
    if only is not None:
        found = reading.episodes
        reading.episodes = (e for number, e in enumerate(found) if number in only)
    return reading


def _each(file: EpisodeFile) -> Iterator[Import | VilpError]:
    for index in range(len(file)):
        try:
            episode = file.read(index)
        except VilpError as error:
            yield error
            continue
        yield Import(f"{file.path}, episode {index}", f"{index}:{episode.digest()}", episode)


def _open(out: Path, to: str, meta: Meta, joints: bool) -> Sink:
    if to == "robomimic":
        from vilp_ros.data.robomimic import RobomimicWriter

        return RobomimicWriter(out, meta)
    if to == "lerobot":
        from vilp_ros.data.lerobot.writer import LeRobotWriter

        return LeRobotWriter(out, meta, joints)
    if to == "zarr":
        from vilp_ros.data.zarr_store import ZarrWriter

        return ZarrWriter(out, meta)
    return EpisodeWriter(
        out,
        task=meta.task,
        action_kind=meta.action_kind,
        control_period_s=meta.control_period_s,
    )
