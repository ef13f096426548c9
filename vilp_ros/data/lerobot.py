"""LeRobot datasets v3.0: parquet files with images inside; videos are read too.

The lerobot package (Python >= 3.12) is not needed; pyarrow is, and PyAV to read videos.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vilp_ros.data.columns import Meta
from vilp_ros.data.episodes import STATE_KEYS, DatasetError, Episode
from vilp_ros.errors import VilpError

if TYPE_CHECKING:
    import pyarrow

VERSION = "v3.0"
STATE_NAMES = (
    *(f"ee.{axis}" for axis in ("x", "y", "z", "qx", "qy", "qz", "qw")),
    "gripper.width",
    *(f"joint{k}.position" for k in range(1, 8)),
    *(f"joint{k}.velocity" for k in range(1, 8)),
)
ACTION_NAMES = STATE_NAMES[:8]
_IMAGES = "observation.images."
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_PER_CHUNK = 1000


def _arrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise VilpError(f"LeRobot datasets need pyarrow ({error}): `pip install pyarrow`") from None
    return pyarrow


class LeRobotWriter:
    """Writes a dataset, one parquet file an episode, images as PNG: nothing is lost.

    Every episode has T + 1 frames; its last action is repeated in the last one.

    Args:
        path: the folder.
        meta: of the dataset.
    """

    def __init__(self, path: Path, meta: Meta) -> None:
        self._pa = _arrow()
        self._path, self._meta = path, meta
        self._rows: list[dict[str, Any]] = []
        self._total = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._labels: list[dict[str, Any]] = []
        (path / "meta").mkdir(parents=True)

    def add(self, episode: Episode) -> None:
        """Writes one."""
        episode.check()
        if episode.actions is None:
            raise DatasetError(
                "LeRobot datasets have an action in every frame; this one is action_free: leave "
                "such episodes out"
            )
        pa, number, length = self._pa, len(self._rows), len(episode) + 1
        state = np.concatenate(
            [np.asarray(getattr(episode, key)).reshape(length, -1) for key in STATE_KEYS], axis=1
        )
        action = np.concatenate([episode.actions, episode.actions[-1:]])
        numbers = {"observation.state": state, "action": action}
        table = {key: _lists(pa, rows) for key, rows in numbers.items()}
        steps = np.arange(length)
        ends = {"next.done": steps == length - 1, "disturbed": np.append(episode.disturbed, False)}
        plain = {
            "timestamp": (steps * self._meta.control_period_s).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, number),
            "index": self._total + steps,
            "task_index": np.zeros(length, np.int64),
            **ends,
        }
        table |= {key: pa.array(values) for key, values in plain.items()}
        stats = {key: _stats(rows) for key, rows in {**numbers, **plain}.items()}
        for view, frames in episode.images.items():
            key = f"{_IMAGES}{view}"
            self._shapes[key] = frames.shape[1:]
            table[key] = pa.array([{"bytes": _png(f), "path": None} for f in frames])
            stats[key] = _image_stats(frames)
        chunk, file = divmod(number, _PER_CHUNK)
        target = self._path / _DATA.format(chunk_index=chunk, file_index=file)
        target.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(pa.table(table), target)
        self._rows.append(
            {
                "episode_index": number,
                "tasks": [self._meta.task],
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
            "total_tasks": 1,
            "chunks_size": _PER_CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": round(1 / self._meta.control_period_s),
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": _DATA,
            "video_path": None,
            "features": self._features(),
            "vilp_ros": {"action_kind": self._meta.action_kind, "episodes": self._labels},
        }
        (meta / "info.json").write_text(json.dumps(info, indent=2))
        (meta / "stats.json").write_text(json.dumps(_merged(self._rows), indent=2))
        episodes = meta / "episodes/chunk-000/file-000.parquet"
        episodes.parent.mkdir(parents=True)
        pa.parquet.write_table(pa.Table.from_pylist(self._rows), episodes)
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
        tasks = pa.table({"task_index": pa.array([0]), name: pa.array([self._meta.task])})
        tasks = tasks.replace_schema_metadata({"pandas": json.dumps(hint)})
        pa.parquet.write_table(tasks, meta / "tasks.parquet")

    def _features(self) -> dict[str, Any]:
        def number(kind: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
            return {"dtype": kind, "shape": [len(names) or 1], "names": list(names) or None}

        images = {
            key: {"dtype": "image", "shape": list(shape), "names": ["height", "width", "channels"]}
            for key, shape in self._shapes.items()
        }
        return {
            **images,
            "observation.state": number("float64", STATE_NAMES),
            "action": number("float64", ACTION_NAMES),
            "timestamp": number("float32"),
            **{
                key: number("int64")
                for key in ("frame_index", "episode_index", "index", "task_index")
            },
            "next.done": number("bool"),
            "disturbed": number("bool"),
        }


def read(path: Path, task: str = "") -> tuple[Meta, Iterator[Episode]]:
    """Episodes of a dataset whose state and action bear our names.

    Raises:
        DatasetError: it is no dataset, of another version, or of another robot.
    """
    pa, file = _arrow(), path / "meta/info.json"
    if not file.is_file():
        raise DatasetError(f"{path} has no meta/info.json: it is no LeRobot dataset")
    info = json.loads(file.read_text())
    if (version := info.get("codebase_version")) != VERSION:
        raise DatasetError(
            f"{path} is a LeRobot dataset of version {version}, expected {VERSION}: convert it "
            "with `python -m lerobot.datasets.v30.convert_dataset_v21_to_v30`"
        )
    names = info["features"].get("observation.state", {}).get("names") or []
    if missing := [name for name in STATE_NAMES[:15] if name not in names]:
        raise DatasetError(
            f"{path}: observation.state lacks {missing[0]}; it has {names}: rename its parts to "
            f"{', '.join(STATE_NAMES[:15])}"
        )
    ours = info.get("vilp_ros", {})
    rows = []
    for part in sorted((path / "meta/episodes").rglob("*.parquet")):
        rows += pa.parquet.read_table(part).to_pylist()
    meta = Meta(task or rows[0]["tasks"][0], 1.0 / info["fps"], ours.get("action_kind", "ee_pose"))
    return meta, _episodes(path, info, rows, ours.get("episodes", []))


def _episodes(
    path: Path, info: dict[str, Any], rows: list[dict[str, Any]], labels: list[dict[str, Any]]
) -> Iterator[Episode]:
    pa = _arrow()
    names = info["features"]["observation.state"]["names"]
    order = [names.index(name) if name in names else None for name in STATE_NAMES]
    views = [key for key in info["features"] if key.startswith(_IMAGES)]
    for row in rows:
        place = {n: row[f"data/{n}"] for n in ("chunk_index", "file_index")}
        table = pa.parquet.read_table(
            path / info["data_path"].format(**place),
            filters=[("episode_index", "=", row["episode_index"])],
        )
        state = np.array(table["observation.state"].to_pylist(), np.float64)
        full = np.stack([state[:, k] if k is not None else 0 * state[:, 0] for k in order], axis=1)
        action = np.array(table["action"].to_pylist(), np.float64)[:-1]
        label = labels[row["episode_index"]] if labels else {}
        disturbed = np.zeros(len(action), bool)
        if "disturbed" in table.column_names:
            disturbed = np.array(table["disturbed"].to_pylist(), bool)[:-1]
        yield Episode(
            images={
                key.removeprefix(_IMAGES): _frames(path, info, row, table, key) for key in views
            },
            ee_pose=full[:, :7],
            gripper_width=full[:, 7],
            joint_position=full[:, 8:15],
            joint_velocity=full[:, 15:22],
            actions=action,
            disturbed=disturbed,
            role=label.get("role", "expert"),
            success=label.get("success", True),
            seed=label.get("seed", -1),
            info=label.get("info", {}),
        )


def _frames(
    path: Path, info: dict[str, Any], row: dict[str, Any], table: pyarrow.Table, key: str
) -> np.ndarray:
    if info["features"][key]["dtype"] == "image":
        pictures = (Image.open(io.BytesIO(cell["bytes"])) for cell in table[key].to_pylist())
        return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    try:
        import av
    except ImportError as error:
        raise VilpError(f"videos of LeRobot need PyAV ({error}): `pip install av`") from None
    place = {n: row[f"videos/{key}/{n}"] for n in ("chunk_index", "file_index")}
    start_s, frames = row[f"videos/{key}/from_timestamp"], []
    with av.open(str(path / info["video_path"].format(video_key=key, **place))) as video:
        stream = video.streams.video[0]
        video.seek(int(max(start_s, 0) / stream.time_base), stream=stream)
        for frame in video.decode(stream):
            if frame.time is not None and frame.time >= start_s - 0.5 / info["fps"]:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == row["length"]:
                break
    if len(frames) < row["length"]:
        raise DatasetError(f"{path}: {key} has {len(frames)} of {row['length']} frames")
    return np.stack(frames)


def _lists(pa: Any, rows: np.ndarray) -> Any:
    flat = pa.array(np.ascontiguousarray(rows, np.float64).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _png(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _stats(rows: np.ndarray) -> dict[str, list[float]]:
    rows = np.asarray(rows, np.float64).reshape(len(rows), -1)
    figures = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return {**{k: v.tolist() for k, v in figures.items()}, "count": [len(rows)]}


def _image_stats(frames: np.ndarray) -> dict[str, Any]:
    """Per channel, in [0, 1], as `(3, 1, 1)`; of at most 32 frames."""
    picks = np.unique(np.linspace(0, len(frames) - 1, 32).round().astype(int))
    figures = _stats(frames[picks].reshape(-1, 3) / 255.0)
    shaped = {k: [[[v]] for v in values] for k, values in figures.items() if k != "count"}
    return {**shaped, "count": [len(picks)]}


def _merged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Statistics of all episodes from those of each."""
    merged: dict[str, Any] = {}
    for key in sorted({name.split("/")[1] for row in rows for name in row if name[:6] == "stats/"}):
        each = {n: np.array([r[f"stats/{key}/{n}"] for r in rows]) for n in ("min", "max", "mean")}
        deviation = np.array([r[f"stats/{key}/std"] for r in rows])
        count = np.array([r[f"stats/{key}/count"][0] for r in rows], np.float64)
        weight = (count / count.sum()).reshape(-1, *[1] * (deviation.ndim - 1))
        mean = (weight * each["mean"]).sum(0)
        variance = (weight * (deviation**2 + each["mean"] ** 2)).sum(0) - mean**2
        merged[key] = {
            "min": each["min"].min(0).tolist(),
            "max": each["max"].max(0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(np.maximum(variance, 0)).tolist(),
            "count": [int(count.sum())],
        }
    return merged
