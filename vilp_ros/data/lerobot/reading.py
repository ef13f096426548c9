"""Episodes of a LeRobot dataset, by a map or, where it bears our names, without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from vilp_ros.data.aim import aim
from vilp_ros.data.columns import Import, Meta, Reading, named
from vilp_ros.data.grip import follow
from vilp_ros.data.hdf5 import DatasetError, sentences
from vilp_ros.data.lerobot.folder import LeRobotFolder
from vilp_ros.data.lerobot.writer import ACTION_NAMES, state_names
from vilp_ros.data.mapping.column_map import (
    ActionMap,
    ColumnMap,
    GripperMap,
    JointMap,
    PoseMap,
    ViewMap,
    bare_name,
)
from vilp_ros.data.mapping.draft import draft_map
from vilp_ros.data.mapping.episode import Mapper
from vilp_ros.errors import VilpError

_STATE, _ACTION = "observation.state", "action"
_ENDS = "`open` and `closed` of `gripper` or of `action.gripper` are the wrong way round"


def read(
    path: Path,
    task: str = "",
    column_map: ColumnMap | None = None,
    only: Collection[int] | None = None,
    rest: bool = False,
) -> Reading:
    """Episodes of a dataset.

    Args:
        path: its folder.
        task: instead of the one that it says.
        column_map: what its columns are; may be left out where they bear our names.
        only: numbers of the episodes that are wanted; None for all.
        rest: keep the arm's standing still before it first moves.

    Raises:
        VilpError: it is no dataset that can be read, or bears other names and there is no map.
    """
    folder = LeRobotFolder(path)
    given = column_map or our_map(folder)
    if given is None:
        raise DatasetError(
            f"{path} has {_describe(folder)}: say what they are in a map, of which "
            f"`vilp data {path} --map > my_map.yaml` prints a draft, and give it with --map"
        )
    rows = [row for row in folder.episodes if only is None or row["episode_index"] in only]
    if not rows:
        raise DatasetError(f"{path} has episodes 0 to {len(folder.episodes) - 1}, none was chosen")
    ours = folder.info.get("vilp_ros") or {}
    mapper = Mapper(given, rest or bool(ours))
    tasks = Counter(name for row in rows for name in folder.tasks(row)[:1])
    if not (said := task or given.task or " + ".join(sorted(tasks))):
        raise DatasetError(f"{path} does not say what was done: name it with --task")
    notes = [f"{path}: {lack}" for lack in mapper.lacks()]
    if len(tasks) > 1:
        each = ", ".join(f"{name!r} {count}" for name, count in sorted(tasks.items()))
        notes.append(
            f"{path} holds {len(tasks)} tasks ({each}): each episode keeps its own as info.task, "
            "and one policy would learn them all; choose some with --episodes"
        )
    meta = Meta(said, given.control_period_s, ours.get("action_kind", "ee_pose"))
    return Reading(meta, _episodes(folder, rows, mapper, said, notes), notes)


def _episodes(
    folder: LeRobotFolder, rows: list[dict], mapper: Mapper, task: str, notes: list[str]
) -> Iterator[Import | VilpError]:
    rested_s, stands_in = 0.0, 0
    for row in rows:
        where = f"{folder.path}, episode {row['episode_index']}"
        try:
            with sentences(f"{where},"):
                recorded = folder.rows(row)
                doubts = mapper.clipped(recorded)
                episode = mapper.episode(recorded)
                if recorded.task not in ("", task):
                    episode.info["task"] = recorded.task
                episode.check(where=where)
                doubt = aim(episode)
                follow(episode, mapper.map.control_period_s, _ENDS)
        except VilpError as error:
            yield named(error, folder.path, where)
            continue
        rested_s += float(episode.info.get("rest_s", 0.0))
        stands_in += int(episode.disturbed.sum()) if recorded.disturbed is None else 0
        notes += doubts
        if doubt:
            notes.append(f"{where}: {doubt}")
        yield Import(where, f"{row['episode_index']}:{recorded.digest()}", episode)
    if rested_s:
        notes.append(
            f"{folder.path}: {rested_s:.1f} s of standing still at the start of episodes left out; "
            "--rest keeps them"
        )
    if stands_in:
        notes.append(f"{folder.path}: {stands_in} steps begin or end at a row that was lost")


def our_map(folder: LeRobotFolder) -> ColumnMap | None:
    """The map of a dataset that bears the names which our exports have; None where it does not."""
    if _STATE not in folder.features or _ACTION not in folder.features:
        return None
    names = folder.columns(_STATE)
    joints = sum(name.startswith("joint") and name.endswith(".position") for name in names)
    wanted = state_names(joints)
    positions = wanted[8 : 8 + joints]
    if any(name not in names for name in (*ACTION_NAMES, *positions)):
        return None
    kind = (folder.info.get("vilp_ros") or {}).get("action_kind", "ee_pose")
    if tuple(folder.columns(_ACTION)) != ACTION_NAMES or kind != "ee_pose":
        return None
    velocities = [name for name in wanted[8 + joints :] if name in names]
    metres = {"open": 1.0, "closed": 0.0, "width_m": 1.0}
    pose = PoseMap((_named(_STATE, ACTION_NAMES[:7]),), "quaternion_xyzw")
    arm = JointMap((_named(_STATE, positions),))
    if len(velocities) == joints:
        arm = replace(arm, velocity=(_named(_STATE, velocities),))
    return ColumnMap(
        control_period_s=1.0 / folder.fps,
        views={bare_name(key): ViewMap(key, folder.picture_size(key)) for key in folder.views},
        joints=arm if joints else None,
        pose=pose,
        gripper=GripperMap((_named(_STATE, ACTION_NAMES[7:]),), **metres),
        action=ActionMap(
            "absolute",
            columns=(_named(_ACTION, ACTION_NAMES[:7]),),
            gripper=GripperMap((_named(_ACTION, ACTION_NAMES[7:]),), **metres),
        ),
    )


def _named(key: str, names: Collection[str]) -> str:
    return f"{key}[{', '.join(names)}]"


def _describe(folder: LeRobotFolder) -> str:
    words = []
    for key in folder.number_keys:
        names = folder.columns(key)
        words.append(
            f"{key} ({', '.join(names[:8])}{', ...' * (len(names) > 8)})" if names else key
        )
    return "columns " + ", ".join(words)


def draft(path: Path) -> str:
    """A map of a dataset as a draft, made from its first episode that can be read.

    Raises:
        VilpError: it is no dataset that can be read, or none of its episodes can be.
    """
    folder = LeRobotFolder(path)
    views = [(key, folder.picture_size(key)) for key in folder.views]
    error: VilpError = DatasetError(f"{path} lists no episode")
    for row in folder.episodes[:20]:
        try:
            rows = folder.rows(row)
        except VilpError as found:
            error = found
            continue
        return draft_map(about(folder), path, "lerobot", folder.fps, views, rows)
    raise error


def about(folder: LeRobotFolder) -> str:
    """A dataset in a phrase."""
    version, count = folder.info["codebase_version"], len(folder.episodes)
    pictures = ", ".join(
        f"{bare_name(key)} {'x'.join(map(str, folder.picture_size(key)))}" for key in folder.views
    )
    return (
        f"a LeRobot dataset {version}, {count} episodes, {folder.fps:g} Hz, views "
        f"{pictures or 'none'}"
    )
