"""What datasets of other projects share: a header, and the names that robosuite gives numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vilp_ros.data.episodes import DatasetError, Episode


@dataclass(frozen=True)
class Meta:
    """What holds for all episodes of a dataset."""

    task: str
    control_period_s: float
    action_kind: str = "ee_pose"


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
