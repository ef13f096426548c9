"""Datasets of other projects, in and out, by way of our episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vilp_ros.data.episodes import DatasetError, Episode, EpisodeFile, EpisodeWriter


@dataclass(frozen=True)
class Meta:
    """What holds for all episodes of a dataset."""

    task: str
    control_period_s: float
    action_kind: str = "ee_pose"


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


def columns(episode: Episode) -> dict[str, np.ndarray]:
    """Numbers of an episode under the names that robomimic and diffusion_policy use, `(T+1, ...)`.

    The fingers are two joints, half the width each.
    """
    half = episode.gripper_width[:, None] / 2
    return {
        "robot0_eef_pos": episode.ee_pose[:, :3],
        "robot0_eef_quat": episode.ee_pose[:, 3:],
        "robot0_gripper_qpos": np.concatenate([half, -half], axis=1),
        "robot0_joint_pos": episode.joint_position,
        "robot0_joint_vel": episode.joint_velocity,
    }


def from_columns(
    found: dict[str, np.ndarray],
    actions: np.ndarray | None,
    where: str,
    **rest: object,
) -> Episode:
    """Inverse of `columns`; keys `<view>_image` are views, `robot0_` before them is dropped.

    Raises:
        DatasetError: a key is missing.
    """
    needed = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "robot0_joint_pos")
    if missing := [key for key in needed if key not in found]:
        raise DatasetError(
            f"{where} lacks {', '.join(missing)}; it has {sorted(found)}: write the observations "
            "under the names of robosuite"
        )
    joints = found["robot0_joint_pos"]
    values: dict[str, object] = {
        "disturbed": np.zeros(len(joints) - 1, bool),
        "role": "expert" if actions is not None else "action_free",
        "success": True,
        "seed": -1,
        "info": {},
        **rest,
    }
    return Episode(
        images={
            key.removesuffix("_image").removeprefix("robot0_"): frames
            for key, frames in found.items()
            if key.endswith("_image")
        },
        ee_pose=np.concatenate([found["robot0_eef_pos"], found["robot0_eef_quat"]], axis=1),
        gripper_width=np.abs(found["robot0_gripper_qpos"]).sum(axis=1),
        joint_position=joints,
        joint_velocity=found.get("robot0_joint_vel", np.zeros_like(joints)),
        actions=actions,
        **values,  # type: ignore[arg-type]
    )


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
