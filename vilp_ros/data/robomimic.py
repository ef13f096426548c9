"""robomimic HDF5 (robomimic.github.io, v0.3): `data/demo_i/{obs, next_obs, actions, ...}`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import permutations, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vilp_ros.data.aim import aim
from vilp_ros.data.columns import Continuous, Import, Meta, Reading, columns, from_columns, named
from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError, open_hdf5, sentences
from vilp_ros.data.pointer import check_whole
from vilp_ros.errors import VilpError
from vilp_ros.geometry import (
    matrix_to_quat,
    quat_angle,
    quat_inverse,
    quat_multiply,
    rotvec_to_quat,
)

_OURS = "vilp_ros"
_MAX_WIDTH = 0.08
_TURNED_RAD = np.radians(20)
"""Targets turned by a right angle or two against the measured hand are this close to it."""


class RobomimicWriter:
    """Writes episodes as robomimic's own scripts do; our labels are attributes beside its own.

    Args:
        path: the file.
        meta: of the dataset.
    """

    def __init__(self, path: Path, meta: Meta) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(path, "w")
        self._data = self._file.create_group("data")
        ours = {"actions": "absolute", "kind": meta.action_kind, "task": meta.task}
        rate_hz = 1 / meta.control_period_s
        whole = round(rate_hz) if rate_hz.is_integer() else rate_hz  # as robosuite's: any number
        env = {"control_freq": whole, _OURS: ours}
        self._data.attrs["env_args"] = json.dumps(
            {"env_name": meta.task, "type": 1, "env_kwargs": env}
        )
        self._total = self._count = 0
        self._kind, self._turned = meta.action_kind, Continuous(meta.action_kind)

    def add(self, episode: Episode) -> None:
        """Writes one."""
        episode.check(self._kind)
        group, steps = self._data.create_group(f"demo_{self._count}"), len(episode)
        images = {f"{view}_image": frames for view, frames in episode.images.items()}
        pose, actions = self._turned(episode)
        for key, rows in {**images, **columns(episode, pose)}.items():
            group.create_dataset(f"obs/{key}", data=rows[:-1], compression="lzf")
            group.create_dataset(f"next_obs/{key}", data=rows[1:], compression="lzf")
        group.create_dataset("actions", data=np.zeros((steps, 8)) if actions is None else actions)
        done = np.zeros(steps)
        done[-1] = 1
        group.create_dataset("dones", data=done.astype(np.int64))
        group.create_dataset("rewards", data=done * episode.success)
        group.create_dataset("states", data=np.zeros((steps, 1)))  # of MuJoCo; a robot has none
        group.create_dataset("disturbed", data=episode.disturbed)
        group.attrs["num_samples"] = steps
        labels = {"role": episode.role, "success": episode.success, "seed": episode.seed}
        group.attrs[_OURS] = json.dumps({**labels, "info": episode.info})
        self._total, self._count = self._total + steps, self._count + 1

    def close(self) -> None:
        """Writes the totals, and a mask with every tenth episode for validation."""
        self._data.attrs["total"] = self._total
        names = [f"demo_{k}" for k in range(self._count)]
        valid = names[9::10] or names[-1:]
        for mask, members in ("valid", valid), ("train", [n for n in names if n not in valid]):
            self._file[f"mask/{mask}"] = np.array(members, dtype="S")
        self._file.close()


def read(path: Path, task: str = "") -> Reading:
    """Episodes of a robomimic file.

    Targets are taken from `actions_abs` where there is one, from `actions` where the controller
    took absolute ones, else made of deltas: robosuite's controller adds a delta, times what
    `controller_configs` say it is worth, to the pose of the moment. Where they do not say that,
    episodes come in as `action_free`.

    robosuite's targets are of the grip site, whose axes are turned against the body that
    `robot0_eef_quat` is of. Poses are turned to the frame of the targets, and that is noted.

    Raises:
        DatasetError: the file cannot be opened, or has no env_args.
    """
    check_whole(path)
    file = open_hdf5(path)
    if "data" not in file or "env_args" not in file["data"].attrs:
        raise DatasetError(
            f"{path} has no data.attrs['env_args'], which tells control rate and action space: "
            "write it as robomimic's conversion scripts do, or read it with --from hdf5 if it is "
            "one of ours"
        )
    with sentences(f"{path}, env_args,"):
        args = json.loads(file["data"].attrs["env_args"])
        kwargs = args.get("env_kwargs") or {}
        ours = kwargs.get(_OURS) or {}
        meta = Meta(
            task or ours.get("task") or args.get("env_name", "unknown"),
            1.0 / float(kwargs.get("control_freq", 20)),
            ours.get("kind", "ee_pose"),
        )
        controller = _controller(kwargs)
    reading = Reading(meta, iter(()))
    absolute = bool(ours) or _absolute(controller)
    reading.episodes = _episodes(file, absolute, controller, path, reading.notes)
    return reading


def _controller(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the arm's controller, of robosuite 1.4 or 1.5."""
    config = kwargs.get("controller_configs") or {}
    parts = config.get("body_parts") or {"arm": config}
    arms = [part for part in parts.values() if isinstance(part, dict)]
    return next((part for part in arms if "OSC" in str(part.get("type", ""))), {}) or (
        arms[0] if arms else {}
    )


def _absolute(controller: Mapping[str, Any]) -> bool:
    return controller.get("control_delta") is False or controller.get("input_type") == "absolute"


def _worth(controller: Mapping[str, Any]) -> np.ndarray | None:
    """What a delta of 1 is, `(6,)` m and rad; None where the controller does not say."""
    if controller.get("type") not in ("OSC_POSE", None) or "output_max" not in controller:
        return None
    highest = np.broadcast_to(np.asarray(controller["output_max"], np.float64), 6)
    return highest / np.broadcast_to(np.asarray(controller.get("input_max", 1.0), np.float64), 6)


def _episodes(
    file: h5py.File,
    absolute: bool,
    controller: Mapping[str, Any],
    path: Path,
    notes: list[str],
) -> Iterator[Import | VilpError]:
    turn: np.ndarray | None = None
    for name in sorted(file["data"], key=_number):
        where = f"{path}, {name}"
        try:
            with sentences(where):
                group = file["data"][name]
                episode = _episode(group, absolute, controller, where)
                foreign = not group.attrs.get(_OURS)
                if foreign and episode.actions is not None:
                    if turn is None:
                        turn = _turn(episode)
                        notes += _say(group, path, turn)
                    episode.ee_pose[:, 3:] = quat_multiply(episode.ee_pose[:, 3:], turn)
                    if doubt := aim(episode):
                        notes.append(f"{where}: {doubt}")
                elif foreign and (note := _unknown_worth(path)) not in notes:
                    notes.append(note)
                episode.check(where=where)
        except DatasetError as error:
            yield named(error, path, where)
            continue
        yield Import(where, f"{name}:{episode.digest()}", episode)


def _unknown_worth(path: Path) -> str:
    return (
        f"{path}: its controller does not say what a delta is worth (output_max), and there is no "
        "actions_abs: episodes come in as action_free"
    )


def _number(name: str) -> tuple[int, str]:
    digits = name.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else -1, name)


def _episode(
    group: h5py.Group, absolute: bool, controller: Mapping[str, Any], where: str
) -> Episode:
    last = group.get("next_obs", group["obs"])
    found = {key: np.concatenate([rows[()], last[key][-1:]]) for key, rows in group["obs"].items()}
    if "robot0_eef_quat_site" in found:  # robosuite 1.5: of the site that targets are of
        found["robot0_eef_quat"] = found.pop("robot0_eef_quat_site")
    labels = json.loads(group.attrs.get(_OURS, "{}"))
    rest: dict[str, object] = dict(labels)
    if "disturbed" in group:
        rest["disturbed"] = group["disturbed"][()].astype(bool)
    elif not labels:
        rest["success"] = bool(group["rewards"][()].max() > 0) if "rewards" in group else True
    actions = None
    if labels.get("role") != "action_free":
        actions = _targets(group, found, absolute, controller, where)
    return from_columns(found, actions, where, **rest)


def _targets(
    group: h5py.Group,
    found: Mapping[str, np.ndarray],
    absolute: bool,
    controller: Mapping[str, Any],
    where: str,
) -> np.ndarray | None:
    """`(T, 8)`; robomimic's own are xyz, rotation vector, gripper from -1 open to 1 closed."""
    rows = np.asarray(group["actions_abs" if "actions_abs" in group else "actions"][()], np.float64)
    if rows.ndim == 2 and rows.shape[1] == 8 and absolute:
        return rows
    if rows.ndim != 2 or rows.shape[1] != 7:
        raise DatasetError(
            f"{where}: actions of shape {rows.shape}, expected 7 columns: xyz, rotation vector, "
            "gripper"
        )
    width = _MAX_WIDTH / 2 * (1 - np.clip(rows[:, 6:], -1, 1))
    if absolute or "actions_abs" in group:
        return np.concatenate([rows[:, :3], rotvec_to_quat(rows[:, 3:6]), width], axis=1)
    if (worth := _worth(controller)) is None:
        return None
    delta = np.clip(rows[:, :6], -1, 1) * worth
    here = found["robot0_eef_quat"][:-1]
    turned = quat_multiply(rotvec_to_quat(delta[:, 3:]), here)
    return np.concatenate([found["robot0_eef_pos"][:-1] + delta[:, :3], turned, width], axis=1)


def _turn(episode: Episode) -> np.ndarray:
    """From the measured hand to the frame of the targets: one of 24 turns by right angles."""
    assert episode.actions is not None
    off = quat_multiply(quat_inverse(episode.ee_pose[:-1, 3:]), episode.actions[:, 3:7])
    away = [float(np.median(quat_angle(off, turn))) for turn in _RIGHT_TURNS]
    best = int(np.argmin(away))
    return _RIGHT_TURNS[best] if away[best] < _TURNED_RAD else _RIGHT_TURNS[0]


def _right_turns() -> np.ndarray:
    """All rotations `(24, 4)` that take axes to axes; the first one is none."""
    found = [
        np.diag(signs) @ np.eye(3)[list(order)]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    return matrix_to_quat(np.stack([m for m in found if np.linalg.det(m) > 0]))


_RIGHT_TURNS = _right_turns()


def _say(group: h5py.Group, path: Path, turn: np.ndarray) -> list[str]:
    said = []
    if "actions_abs" in group:
        said.append(f"{path}: targets are those of actions_abs")
    if (angle := float(np.degrees(quat_angle(turn, _RIGHT_TURNS[0])))) > 1:
        said.append(
            f"{path}: its targets are turned by {angle:.0f} degrees against robot0_eef_quat, as "
            "the grip site is against the hand: poses are turned to the targets' frame"
        )
    return said
