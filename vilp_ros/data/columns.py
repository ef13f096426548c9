"""What datasets of other projects share: a header, and the names that robosuite gives numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.errors import VilpError
from vilp_ros.geometry import continuous_quats


@dataclass(frozen=True)
class Meta:
    """What holds for all episodes of a dataset."""

    task: str
    control_period_s: float
    action_kind: str = "ee_pose"


class Import(NamedTuple):
    """An episode of another project.

    Attributes:
        where: names it in errors: its dataset, and which of it.
        id: tells it from others: its number or name, and a digest of what was read.
        episode: itself.
    """

    where: str
    id: str
    episode: Episode


def named(error: VilpError, path: Path, where: str) -> VilpError:
    """An error that says of which episode it is; one that names the dataset's path does."""
    return error if str(path) in str(error) else DatasetError(f"{where}: {error}")


@dataclass
class Reading:
    """A dataset of another project, read an episode at a time.

    Attributes:
        meta: what holds for all episodes.
        episodes: each, or why it cannot be had; the others are had nevertheless.
        notes: what the user should know; complete when the last episode was read.
    """

    meta: Meta
    episodes: Iterator[Import | VilpError]
    notes: list[str] = field(default_factory=list)


class Continuous:
    """Turns episodes of one dataset so that no quaternion of it changes its sign on the way.

    Others regress them as they are. A hand that points down is where ours, with w >= 0, jump: from
    one step to the next, and from one episode's beginning to another's.

    Args:
        action_kind: of the actions; joint targets are left as they are.
    """

    def __init__(self, action_kind: str) -> None:
        self._turns_actions = action_kind == "ee_pose"
        self._first: np.ndarray | None = None

    def __call__(self, episode: Episode) -> tuple[np.ndarray, np.ndarray | None]:
        """Poses `(T+1, 7)` and actions `(T, A)`, which are None where the episode has none."""
        pose = np.array(episode.ee_pose)
        pose[:, 3:] = continuous_quats(pose[:, 3:], self._first)
        if self._first is None:
            self._first = pose[0, 3:].copy()
        if episode.actions is None or not self._turns_actions:
            return pose, episode.actions
        actions = np.array(episode.actions)
        against = np.sum(actions[:, 3:7] * pose[:-1, 3:], axis=1) < 0
        actions[against, 3:7] *= -1
        return pose, actions


def columns(episode: Episode, pose: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of an episode under the names that robomimic and diffusion_policy use, `(T+1, ...)`.

    The fingers are two joints, half the width each; `pose` is that of `Continuous`.
    """
    half = episode.gripper_width[:, None] / 2
    return {
        "robot0_eef_pos": pose[:, :3],
        "robot0_eef_quat": pose[:, 3:],
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
