"""All episodes of a training set in memory, laid end to end, with their roles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vilp_ros.data.episodes import DatasetError, Episode, EpisodeFile
from vilp_ros.data.windows import Timeline
from vilp_ros.geometry import ee_proprio

PLAYED_BY = {
    "expert": ("expert", "correction"),
    "action_free": ("action_free",),
    "suboptimal": ("suboptimal",),
}
"""Which labels a role is played by. In a correction the policy's own steps count as disturbed."""


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
        images: per view `(F, H, W, 3)` uint8.
        ee_pose: `(F, 7)`.
        proprio: `(F, 10)` float32.
        change: `(F, 10)` float32, proprio minus that of one control period before (first frame: 0).
        actions: `(F, 8)` absolute; NaN where none was recorded (action-free, last frames).
        disturbed: `(F,)` bool.
        task: the task of all files.
        control_period_s: seconds between frames.
    """

    timeline: Timeline
    role: np.ndarray
    images: dict[str, np.ndarray]
    ee_pose: np.ndarray
    proprio: np.ndarray
    change: np.ndarray
    actions: np.ndarray
    disturbed: np.ndarray
    task: str
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
    if not start < end <= len(chosen):
        raise DatasetError(f"{path} holds {len(chosen)} episodes; {start} to {end} were asked for")
    return file, chosen[start:end]


def load_table(sources: Iterable[Source], views: tuple[str, ...]) -> Table:
    """Reads episodes of several files into one table.

    Args:
        sources: the episodes and their roles. Expert episodes may play `action_free`: their
            actions are then left out.
        views: views whose images are kept; empty for none.

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
            episode = file.read(index, views)
            if role == "action_free":
                episode.actions = None
            episodes.append(episode)
            roles.append(role)
    if not episodes:
        raise DatasetError("no episodes: name at least one file under data.expert")
    if len(tasks) > 1:
        raise DatasetError(f"files of different tasks cannot be mixed: {sorted(tasks)}")
    if mixed := {view: found for view, found in ranges.items() if len(found) > 1}:
        raise DatasetError(f"files of different depth ranges, in metres, cannot be mixed: {mixed}")
    task, _, period = tasks.pop()

    none = np.full((1, 8), np.nan, np.float32)
    actions = [
        np.full((len(e) + 1, 8), np.nan, np.float32)
        if e.actions is None
        else np.concatenate([e.actions, none])
        for e in episodes
    ]
    proprio = [ee_proprio(e.ee_pose, e.gripper_width) for e in episodes]
    return Table(
        timeline=Timeline.of([len(e) for e in episodes]),
        role=np.asarray(roles),
        images={view: np.concatenate([e.images[view] for e in episodes]) for view in views},
        ee_pose=np.concatenate([e.ee_pose for e in episodes]),
        proprio=np.concatenate(proprio),
        change=np.concatenate([_change(e, p) for e, p in zip(episodes, proprio)]),
        actions=np.concatenate(actions),
        disturbed=np.concatenate([np.append(e.disturbed, False) for e in episodes]),
        task=task,
        control_period_s=period,
    )


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
