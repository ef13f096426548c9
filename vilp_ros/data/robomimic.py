"""robomimic HDF5 (robomimic.github.io, v0.3): `data/demo_i/{obs, next_obs, actions, ...}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vilp_ros.data.columns import Meta, columns, from_columns
from vilp_ros.data.episodes import DatasetError, Episode
from vilp_ros.geometry import rotvec_to_quat

_OURS = "vilp_ros"
_MAX_WIDTH = 0.08


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
        env = {"control_freq": round(1 / meta.control_period_s), _OURS: ours}
        self._data.attrs["env_args"] = json.dumps(
            {"env_name": meta.task, "type": 1, "env_kwargs": env}
        )
        self._total = self._count = 0

    def add(self, episode: Episode) -> None:
        """Writes one."""
        episode.check()
        group, steps = self._data.create_group(f"demo_{self._count}"), len(episode)
        images = {f"{view}_image": frames for view, frames in episode.images.items()}
        for key, rows in {**images, **columns(episode)}.items():
            group.create_dataset(f"obs/{key}", data=rows[:-1], compression="lzf")
            group.create_dataset(f"next_obs/{key}", data=rows[1:], compression="lzf")
        actions = episode.actions
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


def read(path: Path, task: str = "") -> tuple[Meta, Iterator[Episode]]:
    """Episodes of a robomimic file.

    Only absolute targets can become actions. Deltas (`control_delta` of the controller) cannot be
    turned into targets without the simulator, so such episodes come in as `action_free`.

    Raises:
        DatasetError: the file cannot be opened, or has no env_args.
    """
    if not path.is_file():
        raise DatasetError(f"{path} does not exist: name a robomimic file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"{path} is no HDF5 file or is cut off ({error})") from error
    if "data" not in file or "env_args" not in file["data"].attrs:
        raise DatasetError(
            f"{path} has no data.attrs['env_args'], which tells control rate and action space: "
            "write it as robomimic's conversion scripts do, or read it with --from hdf5 if it is "
            "one of ours"
        )
    args = json.loads(file["data"].attrs["env_args"])
    kwargs = args.get("env_kwargs", {})
    ours = kwargs.get(_OURS, {})
    meta = Meta(
        task or ours.get("task") or args.get("env_name", "unknown"),
        1.0 / float(kwargs.get("control_freq", 20)),
        ours.get("kind", "ee_pose"),
    )
    absolute = bool(ours) or _absolute(kwargs)
    return meta, _episodes(file, absolute, path)


def _absolute(kwargs: dict[str, Any]) -> bool:
    controller = kwargs.get("controller_configs", {})
    parts = controller.get("body_parts", {"all": controller})
    settings = [part for part in parts.values() if isinstance(part, dict)]
    return any(
        part.get("control_delta") is False or part.get("input_type") == "absolute"
        for part in settings
    )


def _episodes(file: h5py.File, absolute: bool, path: Path) -> Iterator[Episode]:
    for name in sorted(file["data"], key=lambda n: int(n.split("_")[1])):
        group = file["data"][name]
        last = group.get("next_obs", group["obs"])
        found = {
            key: np.concatenate([rows[()], last[key][-1:]]) for key, rows in group["obs"].items()
        }
        labels = json.loads(group.attrs.get(_OURS, "{}"))
        rest: dict[str, object] = dict(labels)
        actions = _actions(group["actions"][()]) if absolute else None
        if labels.get("role") == "action_free":
            actions = None
        if "disturbed" in group:
            rest["disturbed"] = group["disturbed"][()]
        elif not labels:
            rest["success"] = bool(group["rewards"][()].max() > 0) if "rewards" in group else True
        yield from_columns(found, actions, f"{path}, {name}", **rest)


def _actions(rows: np.ndarray) -> np.ndarray:
    """(T, 8); robomimic's own (T, 7) are xyz, rotation vector, gripper from -1 open to 1 closed."""
    if rows.shape[1] == 8:
        return rows
    width = _MAX_WIDTH / 2 * (1 - rows[:, 6:7])
    return np.concatenate([rows[:, :3], rotvec_to_quat(rows[:, 3:6]), width], axis=1)
