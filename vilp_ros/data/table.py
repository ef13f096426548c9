"""All episodes of a training set, laid end to end: numbers in memory, frames on disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vilp_ros.data.disk_array import write
from vilp_ros.data.episode import Episode
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.windows import Timeline
from vilp_ros.geometry import ee_proprio

PLAYED_BY = {
    "expert": ("expert", "correction"),
    "action_free": ("action_free",),
    "suboptimal": ("suboptimal", "play"),
}
"""Which labels a role is played by. In a correction the policy's own steps count as disturbed."""
PIECE = 256
"""Frames that are copied at a time."""


class Source(NamedTuple):
    """Which episodes of which file play which role.

    Attributes:
        path: a file of episodes; those are taken whose label fits the role. Where none does, the
            file's expert episodes may play `action_free`.
        role: the role that they play here.
        start: index of the first one among them.
        number: how many; None for all that follow.
    """

    path: str
    role: str
    start: int = 0
    number: int | None = None


@dataclass
class Table:
    """Frames of E episodes, F in all.

    Attributes:
        timeline: where each episode lies.
        role: `(E,)` role of each episode.
        ee_pose: `(F, 7)`.
        proprio: `(F, 10)` float32.
        change: `(F, 10)` float32, proprio minus that of one control period before (first frame: 0).
        actions: `(F, 8)` absolute; NaN where none was recorded (action-free, last frames).
        disturbed: `(F,)` bool.
        repeated: `(F,)` bool, True where a picture is that of the frame before.
        posed: `(E,)` whether an episode tells where the hand is. Where one does not, such as videos
            alone, its proprio is the mean of the others', which says nothing once standardised.
        task: the task of all files.
        action_kind: what their actions are, of `vilp_ros.contract.ACTION_KINDS`.
        control_period_s: seconds between frames.
    """

    timeline: Timeline
    role: np.ndarray
    ee_pose: np.ndarray
    proprio: np.ndarray
    change: np.ndarray
    actions: np.ndarray
    disturbed: np.ndarray
    posed: np.ndarray
    repeated: np.ndarray
    task: str
    action_kind: str
    control_period_s: float

    def episodes(self, *roles: str) -> np.ndarray:
        """Indices of the episodes with one of these roles."""
        return np.flatnonzero(np.isin(self.role, roles))


def choose(source: Source, views: tuple[str, ...]) -> tuple[EpisodeFile, list[int]]:
    """The file of a source, and which of its episodes are taken. Reads none of them.

    Raises:
        DatasetError: no such file, a view that it lacks, or too few episodes of that role.
    """
    path, role, start, number = source
    file = EpisodeFile(path)
    if not len(file):
        raise DatasetError(f"{path} holds no episode: convert or collect some into it")
    if missing := set(views) - set(file.views):
        raise DatasetError(f"{path} has views {list(file.views)}, not {sorted(missing)}")
    chosen = _playing(file, role)
    end = len(chosen) if number is None else start + number
    if not 0 <= start < end <= len(chosen):
        raise DatasetError(
            f"{path} holds {len(chosen)} episodes of role {role}; {start} to {end} were asked for: "
            "start counts from 0, count from 1"
        )
    return file, chosen[start:end]


def load_table(sources: Iterable[Source], views: tuple[str, ...] = ()) -> Table:
    """Reads episodes of several files into one table, but their frames: see `write_frames`.

    Args:
        sources: the episodes and their roles. Expert episodes may play `action_free`: their
            actions are then left out.
        views: that each file must have, alike.

    Raises:
        DatasetError: no episodes, files that disagree, a view that is missing, or too few
            episodes.
    """
    episodes, roles = [], []
    tasks: set[tuple[str, str, float]] = set()
    ranges: dict[str, set[tuple[float, float] | None]] = {view: set() for view in views}
    for source in sources:
        file, chosen = choose(source, views)
        role = source.role
        tasks.add((file.task, file.action_kind, file.control_period_s))
        for view in views:
            ranges[view].add(file.depth_range_m.get(view))
        for index in chosen:
            episode = file.read(index, ())
            if role == "action_free":
                episode.actions = None
            episodes.append(episode)
            roles.append(role)
    if not episodes:
        raise DatasetError(
            "no episodes: name at least one file under data.expert, data.action_free or "
            "data.suboptimal"
        )
    if len(tasks) > 1:
        raise DatasetError(f"files of different tasks cannot be mixed: {sorted(tasks)}")
    if mixed := {view: found for view, found in ranges.items() if len(found) > 1}:
        raise DatasetError(f"files of different depth ranges, in metres, cannot be mixed: {mixed}")
    task, kind, period = tasks.pop()

    none = np.full((1, 8), np.nan, np.float32)
    actions = [
        np.full((len(e) + 1, 8), np.nan, np.float32)
        if e.actions is None
        else np.concatenate([e.actions, none])
        for e in episodes
    ]
    proprio = [ee_proprio(e.ee_pose, e.gripper_width) for e in episodes]
    posed = np.array([e.info.get("proprio") != "none" for e in episodes])
    if posed.any():
        mean = np.concatenate([p for p, known in zip(proprio, posed) if known]).mean(0)
        for rows in (p for p, known in zip(proprio, posed) if not known):
            rows[:] = mean
    return Table(
        timeline=Timeline.of([len(e) for e in episodes]),
        role=np.asarray(roles),
        ee_pose=np.concatenate([e.ee_pose for e in episodes]),
        proprio=np.concatenate(proprio),
        change=np.concatenate([_change(e, p) for e, p in zip(episodes, proprio)]),
        actions=np.concatenate(actions),
        disturbed=np.concatenate([np.append(e.disturbed, False) for e in episodes]),
        posed=posed,
        repeated=np.concatenate(
            [np.zeros(len(e) + 1, bool) if e.repeated is None else e.repeated for e in episodes]
        ),
        task=task,
        action_kind=kind,
        control_period_s=period,
    )


def write_frames(sources: Iterable[Source], view: str, path: Path, shrink: int = 1) -> None:
    """Writes one view's frames of the episodes of `load_table`, in its order: see `lay_out`.

    Raises:
        DatasetError: as `load_table` and `lay_out`.
    """
    chosen = [choose(source, (view,)) for source in sources]
    lay_out([Frames(file, i, view) for file, some in chosen for i in some], path, shrink)
    for file, _ in chosen:
        file.close()


class Frames(NamedTuple):
    """All frames of one view of one episode."""

    file: EpisodeFile
    episode: int
    view: str

    @property
    def shape(self) -> tuple[int, ...]:
        """`(T+1, H, W, 3)`."""
        return self.file.shape(self.episode, self.view)


def lay_out(episodes: Sequence[Frames], path: Path, shrink: int = 1) -> None:
    """Writes frames of episodes end to end, a piece at a time.

    Args:
        episodes: in their order.
        path: `.npy` file of `(F, H, W, 3)` uint8, for `DiskArray`.
        shrink: what both sides are divided by, by area.

    Raises:
        DatasetError: episodes of different sizes; no room for them on the disk.
    """
    shapes = [episode.shape for episode in episodes]
    if len(sizes := {shape[1:] for shape in shapes}) > 1:
        raise DatasetError(
            f"episodes of different sizes cannot be mixed: {episodes[0].view} is {sorted(sizes)}"
        )
    height, width, channels = sizes.pop()
    size = (height // shrink, width // shrink)
    shape = (sum(length for length, *_ in shapes), *size, channels)
    needed, free = math.prod(shape), shutil.disk_usage(path.parent).free
    if needed > free:
        raise DatasetError(
            f"the frames of {episodes[0].view} need {needed / 1e9:.1f} GB in {path.parent}, where "
            f"{free / 1e9:.1f} GB are free: name a --work on a larger disk"
        )

    def pieces() -> Iterator[np.ndarray]:
        for (file, index, view), (length, *_) in zip(episodes, shapes):
            for start in range(0, length, PIECE):
                piece = file.frames(index, view, slice(start, start + PIECE))
                if shrink > 1:
                    area = cv2.INTER_AREA
                    piece = np.stack([cv2.resize(f, size[::-1], interpolation=area) for f in piece])
                yield piece

    write(path, shape, np.uint8, pieces())


def _change(episode: Episode, proprio: np.ndarray) -> np.ndarray:
    if episode.before is None:
        return np.diff(proprio, axis=0, prepend=proprio[:1])
    return proprio - ee_proprio(episode.before[:, :7], episode.before[:, 7])


def _playing(file: EpisodeFile, role: str) -> list[int]:
    """Indices of the episodes that may play a role."""
    labels = file.roles
    chosen = [i for i, label in enumerate(labels) if label in PLAYED_BY[role]]
    if not chosen and role == "action_free":
        chosen = [i for i, label in enumerate(labels) if label in PLAYED_BY["expert"]]
    if not chosen and labels:
        there = sorted(set(labels))
        hint = f"record some, or leave data.{role} out of the recipe"
        if there == ["action_free"]:
            hint = "without actions it can only be action_free"
        raise DatasetError(f"{file.path} holds {', '.join(there)}; none may play {role}: {hint}")
    return chosen
