"""Demonstrations that were only watched, with the actions that a bundle's inverse dynamics finds.

What was learned from play can name the actions of demonstrations that have none; whatever imitates
actions then learns from these (Torabi et al., "Behavioral Cloning from Observation", IJCAI 2018).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile, require_origins
from vilp_ros.data.table import Source, choose
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.imagination.probes import action_error, find_actions

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

TEACHER, ORIGIN = "actions_of", "labelled_from"
"""In `info`: the bundle that found the actions; the episode that they are of."""


@dataclass(frozen=True)
class Labelled:
    """What a run wrote.

    Attributes:
        episodes: how many.
        steps: their actions.
        known: of these, how many had been recorded, so that they tell how good the found ones are.
        error: `action_error` of the found ones beside the recorded; None where none were recorded.
    """

    episodes: int
    steps: int
    known: int
    error: dict[str, Any] | None


def label(policy: Policy, source: Source, path: Path, teacher: str) -> Labelled:
    """Writes demonstrations with found actions, as expert episodes.

    Recorded actions are replaced, and compared. Goes on where it was cut off.

    Args:
        policy: whose inverse dynamics is asked.
        source: the demonstrations, of role `action_free`.
        path: HDF5 file, made or continued.
        teacher: what the bundle is known by: a retrained one of the same name is another.

    Raises:
        VilpError: plans of the bundle hold no states, it was made for another period, kind of
            action, size of frames or range of depth, there is no demonstration, one failed, or
            `path` holds what another bundle found.
    """
    policy.spec.require_states()
    file, indices = choose(source, tuple(policy.spec.views))
    with closing(file):
        _check(policy, file, indices)
        return _write(policy, file, indices, path, teacher)


def _check(policy: Policy, file: EpisodeFile, indices: list[int]) -> None:
    spec = policy.spec
    for key in ("action_kind", "control_period_s"):
        found, wanted = getattr(file, key), getattr(spec, key)
        if found != wanted:
            raise VilpError(
                f"{file.path} has {key} {found!r}, bundle {spec.name} {wanted!r}: what it learned "
                "of its own says nothing of these; convert the recordings to its period, or train "
                "one on play like these"
            )
    done = file.successes
    for index in indices:
        if not done[index]:
            raise VilpError(
                f"episode {index} of {file.path} failed (success is false): nobody should imitate "
                "it; leave it out by --start and --count"
            )
    for view, size in spec.views.items():
        for index in indices:
            found = file.sizes(index).get(view)
            if found is None:
                raise VilpError(f"episode {index} of {file.path} lacks {view}")
            if found != tuple(size):
                raise VilpError(
                    f"episode {index} of {file.path}: frames of {view} are {found[0]}x{found[1]}, "
                    f"bundle {spec.name} learned from {size[0]}x{size[1]}"
                )
        ranges = file.depth_range_m.get(view), spec.depth_range_m.get(view)
        if ranges[0] != ranges[1]:
            raise VilpError(
                f"{file.path}: {view} shows {ranges[0]} m (near, far), bundle {spec.name} learned "
                f"from {ranges[1]}"
            )


def _write(
    policy: Policy, file: EpisodeFile, indices: list[int], path: Path, teacher: str
) -> Labelled:
    steps = 0
    found: list[np.ndarray] = []
    recorded: list[np.ndarray] = []
    with EpisodeWriter(
        path,
        task=file.task,
        action_kind=file.action_kind,
        control_period_s=file.control_period_s,
        depth_range_m=file.depth_range_m,
    ) as writer:
        if others := writer.notes(TEACHER) - {teacher}:
            raise VilpError(
                f"{path} holds actions of {others.pop()}, not of {teacher}: choose another --out"
            )
        done = require_origins(writer.notes(ORIGIN), path)
        names = {index: file.origin(index) for index in indices}
        todo = [index for index in indices if names[index] not in done]
        for index in tqdm(todo, desc="label", unit="episode"):
            episode = file[index]
            actions = find_actions(policy, episode).astype(np.float32)
            # Of a shut hand half of what is found is less than shut.
            actions[:, 7] = np.maximum(actions[:, 7], 0)
            if episode.actions is not None:
                found.append(actions)
                recorded.append(episode.actions)
            info = episode.info | {TEACHER: teacher, ORIGIN: names[index]}
            writer.add(replace(episode, actions=actions, role="expert", info=info))
            steps += len(episode)
    known = sum(map(len, recorded))
    error = action_error(np.concatenate(found), np.concatenate(recorded)) if known else None
    return Labelled(len(todo), steps, known, error)
