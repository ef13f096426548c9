"""Writes a LeRobot dataset v3.0: parquet files with images inside."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vilp_ros.data.columns import Continuous, Meta
from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.lerobot.folder import arrow
from vilp_ros.data.lerobot.statistics import figures, image_figures, merged

VERSION = "v3.0"
POSE_NAMES = tuple(f"ee.{axis}" for axis in ("x", "y", "z", "qx", "qy", "qz", "qw"))
ACTION_NAMES = (*POSE_NAMES, "gripper.width")
_IMAGES = "observation.images."
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_PER_CHUNK = 1000
WRITTEN = 2.5e-3
"""Share that a period is off by when it was written in a few digits, such as 0.0333 or 0.0167 s."""


def state_names(joints: int) -> tuple[str, ...]:
    """Names of the state of an arm of so many joints."""
    velocities = tuple(f"joint{k}.velocity" for k in range(1, joints + 1))
    return (*ACTION_NAMES, *_positions(joints), *velocities)


def _whole_fps(period_s: float) -> int:
    """What LeRobot tells time by: its `fps` is an integer."""
    rate_hz = 1 / period_s
    fps = round(rate_hz)
    if abs(rate_hz - fps) > WRITTEN * rate_hz:
        near = (int(rate_hz), int(rate_hz) + 1)
        periods = " or ".join(f"{1 / n:.4g} s ({n})" for n in near)
        raise DatasetError(
            f"LeRobot counts whole frames a second; a control period of {period_s:g} s has "
            f"{rate_hz:.4g}: write robomimic or zarr, or make the dataset with control_period_s "
            f"{periods}"
        )
    return fps


def _positions(joints: int) -> tuple[str, ...]:
    return tuple(f"joint{k}.position" for k in range(1, joints + 1))


class LeRobotWriter:
    """Writes a dataset, one parquet file an episode, images as PNG: nothing is lost.

    Every episode has T + 1 frames; its last action is repeated in the last one.

    Args:
        path: the folder.
        meta: of the dataset.
        joints: whether the state holds the arm's joints beside pose and gripper width.

    Raises:
        DatasetError: the control period is not that of a whole number of frames a second.
    """

    def __init__(self, path: Path, meta: Meta, joints: bool = True) -> None:
        self._pa, self._fps = arrow(), _whole_fps(meta.control_period_s)
        self._path, self._meta, self._with_joints = path, meta, joints
        self._turned = Continuous(meta.action_kind)
        self._rows: list[dict[str, Any]] = []
        self._total = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._labels: list[dict[str, Any]] = []
        self._tasks: list[str] = []
        self._joints: int | None = None
        self._numbers: dict[str, list[np.ndarray]] = {}
        (path / "meta").mkdir(parents=True)

    def add(self, episode: Episode) -> None:
        """Writes one."""
        episode.check(self._meta.action_kind)
        if episode.actions is None:
            raise DatasetError(
                "LeRobot datasets have an action in every frame; this one is action_free: leave "
                "such episodes out"
            )
        pa, number, length = self._pa, len(self._rows), len(episode) + 1
        pose, actions = self._turned(episode)
        assert actions is not None
        parts = [pose, episode.gripper_width]
        if self._with_joints:
            parts += [episode.joint_position, episode.joint_velocity]
        state = np.concatenate([np.asarray(x).reshape(length, -1) for x in parts], axis=1)
        action = np.concatenate([actions, actions[-1:]])
        joints = episode.joint_position.shape[1]
        if self._joints not in (None, joints):
            raise DatasetError(f"an arm of {joints} joints cannot follow one of {self._joints}")
        self._joints = joints
        task = str(episode.info.get("task") or self._meta.task)
        if task not in self._tasks:
            self._tasks.append(task)
        numbers = {"observation.state": state, "action": action}
        table = {key: _lists(pa, rows) for key, rows in numbers.items()}
        steps = np.arange(length)
        ends = {"next.done": steps == length - 1, "disturbed": np.append(episode.disturbed, False)}
        plain = {
            "timestamp": (steps / self._fps).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, number),
            "index": self._total + steps,
            "task_index": np.full(length, self._tasks.index(task)),
            **ends,
        }
        table |= {key: pa.array(values) for key, values in plain.items()}
        stats = {}
        for key, rows in {**numbers, **plain}.items():
            stats[key] = figures(rows)
            self._numbers.setdefault(key, []).append(np.asarray(rows, np.float32))
        for view, frames in episode.images.items():
            key = f"{_IMAGES}{view}"
            self._shapes[key] = frames.shape[1:]
            table[key] = pa.array([{"bytes": _png(f), "path": None} for f in frames])
            stats[key] = image_figures(frames)
        chunk, file = divmod(number, _PER_CHUNK)
        target = self._path / _DATA.format(chunk_index=chunk, file_index=file)
        target.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(pa.table(table), target, write_page_checksum=True)
        self._rows.append(
            {
                "episode_index": number,
                "tasks": [task],
                "length": length,
                "data/chunk_index": chunk,
                "data/file_index": file,
                "dataset_from_index": self._total,
                "dataset_to_index": self._total + length,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                **{f"stats/{k}/{n}": v for k, each in stats.items() for n, v in each.items()},
            }
        )
        self._total += length
        labels = {"role": episode.role, "success": episode.success, "seed": episode.seed}
        self._labels.append({**labels, "info": episode.info})

    def close(self) -> None:
        """Writes the metadata."""
        pa, meta = self._pa, self._path / "meta"
        info = {
            "codebase_version": VERSION,
            "robot_type": "franka",
            "total_episodes": len(self._rows),
            "total_frames": self._total,
            "total_tasks": len(self._tasks),
            "chunks_size": _PER_CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": _DATA,
            "video_path": None,
            "features": self._features(),
            "vilp_ros": {"action_kind": self._meta.action_kind, "episodes": self._labels},
        }
        (meta / "info.json").write_text(json.dumps(info, indent=2))
        (meta / "stats.json").write_text(json.dumps(merged(self._rows, self._numbers), indent=2))
        episodes = meta / "episodes/chunk-000/file-000.parquet"
        episodes.parent.mkdir(parents=True)
        rows = pa.Table.from_pylist(self._rows)
        pa.parquet.write_table(rows, episodes, write_page_checksum=True)
        # As pandas writes a frame whose index is the task: LeRobot reads it with pandas.
        name = "__index_level_0__"
        kinds = {"task_index": (False, "int64", "int64"), name: (True, "unicode", "object")}
        hint = {
            "index_columns": [name],
            "column_indexes": [],
            "columns": [
                {
                    "name": None if index else field,
                    "field_name": field,
                    "pandas_type": kind,
                    "numpy_type": numpy,
                    "metadata": None,
                }
                for field, (index, kind, numpy) in kinds.items()
            ],
            "pandas_version": "2.0.0",
        }
        tasks = pa.table(
            {"task_index": pa.array(range(len(self._tasks))), name: pa.array(self._tasks)}
        )
        tasks = tasks.replace_schema_metadata({"pandas": json.dumps(hint)})
        pa.parquet.write_table(tasks, meta / "tasks.parquet", write_page_checksum=True)

    def _features(self) -> dict[str, Any]:
        def number(kind: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
            return {"dtype": kind, "shape": [len(names) or 1], "names": list(names) or None}

        joints = self._joints or 0
        told = ACTION_NAMES
        if self._meta.action_kind == "joint_position":
            told = (*_positions(joints), ACTION_NAMES[-1])
        images = {
            key: {"dtype": "image", "shape": list(shape), "names": ["height", "width", "channels"]}
            for key, shape in self._shapes.items()
        }
        return {
            **images,
            "observation.state": number("float64", state_names(joints if self._with_joints else 0)),
            "action": number("float64", told),
            "timestamp": number("float32"),
            **{
                key: number("int64")
                for key in ("frame_index", "episode_index", "index", "task_index")
            },
            "next.done": number("bool"),
            "disturbed": number("bool"),
        }


def _lists(pa: Any, rows: np.ndarray) -> Any:
    flat = pa.array(np.ascontiguousarray(rows, np.float64).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _png(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
