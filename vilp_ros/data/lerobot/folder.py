"""Reads a folder of LeRobot v2.0, v2.1 or v3.0, an episode at a time, whatever it holds."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from vilp_ros.data.hdf5 import DatasetError, sentences
from vilp_ros.data.mapping.rows import Rows
from vilp_ros.data.pointer import check_whole
from vilp_ros.data.scaling import Size, fit
from vilp_ros.data.video_file import read_clip
from vilp_ros.errors import VilpError

VERSIONS = ("v2.0", "v2.1", "v3.0")
BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_NUMBERS = re.compile(r"(float|double|int|uint|bool)")


def arrow() -> Any:
    """Pyarrow with parquet.

    Raises:
        VilpError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise VilpError(f"LeRobot datasets need pyarrow ({error}): `pip install pyarrow`") from None
    return pyarrow


class LeRobotFolder:
    """One dataset.

    Args:
        path: its folder.

    Attributes:
        info: `meta/info.json`.
        episodes: what its metadata say of each, by index.

    Raises:
        DatasetError: it is none, of another version, or its metadata cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._pa = path, arrow()
        file = path / "meta/info.json"
        if not file.is_file():
            raise DatasetError(f"{path} has no meta/info.json: it is no LeRobot dataset")
        check_whole(file)
        with sentences(file):
            self.info: dict[str, Any] = json.loads(file.read_text())
            version = self.info.get("codebase_version")
            if version not in VERSIONS:
                raise DatasetError(
                    f"{path} is a LeRobot dataset of version {version}, expected one of "
                    f"{', '.join(VERSIONS)}: convert it with the lerobot package"
                )
            self.new = version == "v3.0"
            self.features: dict[str, dict[str, Any]] = self.info["features"]
            self.fps = float(self.info["fps"])
            if not 0 < self.fps < 10_000:
                raise DatasetError(f"{file} says {self.fps} frames a second")
            self.kinds = {key: str(f["dtype"]) for key, f in self.features.items()}
            for key in self.kinds:
                self.columns(key)
            self.data_path = str(self.info["data_path"])
        with sentences(f"{path}/meta"):
            self._tasks = self._read_tasks()
            self.episodes: list[dict[str, Any]] = self._read_episodes()

    @property
    def views(self) -> list[str]:
        """Keys of pictures."""
        return [key for key, kind in self.kinds.items() if kind in ("image", "video")]

    @property
    def number_keys(self) -> list[str]:
        """Keys of numbers, without the bookkeeping."""
        return [
            key
            for key, kind in self.kinds.items()
            if _NUMBERS.match(kind) and key not in BOOKKEEPING
        ]

    def columns(self, key: str) -> list[str]:
        """Names of a key's columns; empty where there are none."""
        names = self.features[key].get("names")
        while isinstance(names, Mapping):
            names = next(iter(names.values()), None)
        return [str(name) for name in names] if isinstance(names, (list, tuple)) else []

    def picture_size(self, key: str) -> Size:
        """(height, width) of pictures, whichever side their channels are said to be on."""
        with sentences(f"{self.path}/meta/info.json, {key},"):
            first, second, third = (int(n) for n in self.features[key]["shape"])
            names = [name.lower() for name in self.columns(key)]
            leads = first in (1, 3) or names[:1] in (["channel"], ["channels"])
            height, width = (second, third) if leads else (first, second)
            if height < 1 or width < 1:
                raise DatasetError(f"{self.path}: {key} is said to be {height}x{width} pixels")
            return height, width

    def tasks(self, row: Mapping[str, Any]) -> list[str]:
        """Of an episode."""
        return [str(task) for task in row.get("tasks") or []]

    def rows(self, row: Mapping[str, Any]) -> Rows:
        """The numbers of an episode, and how to get at its pictures.

        Raises:
            DatasetError: a file is missing, a pointer or damaged; columns of another shape.
        """
        index = int(row["episode_index"])
        where = f"{self.path}, episode {index}"
        with sentences(where):
            table = self._table(row)
            if not table.num_rows:
                raise DatasetError(f"{where} has no rows in {self.data_path}")
            if (length := row.get("length")) is not None and int(length) != table.num_rows:
                raise DatasetError(
                    f"{where} has {table.num_rows} rows, its metadata say {length}: a part of the "
                    "dataset is missing"
                )
            numbers = {
                key: _numbers(table, key, where)
                for key in self.number_keys
                if key in table.column_names
            }
            stamps = (
                _numbers(table, "timestamp", where)[:, 0]
                if "timestamp" in table.column_names
                else np.arange(table.num_rows) / self.fps
            )
            if len(stamps) > 2:
                apart_s = float(np.median(np.diff(stamps)))
                if not 0.5 < apart_s * self.fps < 1.5:
                    raise DatasetError(
                        f"{where}: its rows are {apart_s:.3g} s apart, and meta/info.json says "
                        f"{self.fps:g} a second: correct the one that is wrong"
                    )
            task = self._task_of(row, table, where)
            labels = self._labels(index)
            if "next.success" in numbers:
                labels.setdefault("success", bool(numbers["next.success"].any()))
            pushed = numbers.pop("disturbed", None)
        return Rows(
            where=where,
            stamps=stamps,
            numbers=numbers,
            names={key: self.columns(key) for key in numbers},
            frames=lambda key, picks, size: self._frames(row, table, key, picks, size),
            task=task,
            labels=labels,
            disturbed=None if pushed is None else pushed[:, 0].astype(bool),
        )

    def _labels(self, index: int) -> dict[str, Any]:
        """Ours, of a dataset that we wrote."""
        ours = (self.info.get("vilp_ros") or {}).get("episodes") or []
        return {"info": {"episode": index}} if index >= len(ours) else dict(ours[index])

    def _task_of(self, row: Mapping[str, Any], table: Any, where: str) -> str:
        tasks = self.tasks(row)
        if "task_index" in table.column_names and self._tasks:
            found = sorted(set(table["task_index"].to_pylist()))
            if len(found) > 1:
                names = ", ".join(repr(self._tasks.get(int(one), one)) for one in found)
                raise DatasetError(
                    f"{where} changes its task on the way ({names}): cut it into episodes of one"
                )
            return tasks[0] if tasks else self._tasks.get(int(found[0]), "")
        return tasks[0] if tasks else ""

    def _table(self, row: Mapping[str, Any]) -> Any:
        index = int(row["episode_index"])
        if self.new:
            file = self.path / self.data_path.format(**_place(row, "data/"))
            check_whole(file)
            return self._read_table(file, filters=[("episode_index", "=", index)])
        file = self.path / self.data_path.format(**self._old_place(index))
        check_whole(file)
        return self._read_table(file)

    def _read_table(self, file: Path, **options: Any) -> Any:
        """Checked where its writer left checksums."""
        return self._pa.parquet.read_table(file, page_checksum_verification=True, **options)

    def _old_place(self, index: int) -> dict[str, int]:
        size = int(self.info.get("chunks_size") or 1000)
        return {"episode_chunk": index // size, "episode_index": index}

    def _frames(
        self, row: Mapping[str, Any], table: Any, key: str, picks: np.ndarray, size: Size
    ) -> np.ndarray:
        """Pictures of some rows: as many as rows are one each, else the nearest in time."""
        where = f"{self.path}, episode {row['episode_index']}, {key}"
        if key not in self.views:
            raise DatasetError(f"{where}: no such pictures; there are {', '.join(self.views)}")
        with sentences(where):
            if self.kinds[key] == "image":
                return self._stills(table, key, picks, size, where)
            clip = read_clip(*self._clip(row, key, size))
            length = table.num_rows
            if len(clip.frames) == length:
                return clip.frames[picks]
            stamps = _numbers(table, "timestamp", where)[:, 0]
            stamps, times = stamps - stamps[0], clip.times - clip.times[0]
            nearest = np.abs(times[None] - stamps[:, None]).argmin(1)
            # The last row lasts until the next would come; a faster video goes on until then.
            apart_s = times[-1] / max(len(times) - 1, 1)
            beyond_s = times[-1] - stamps[-1] - max(1 / self.fps - apart_s, 0.0)
            if max(np.abs(times[nearest] - stamps).max(), beyond_s) > 0.5 / self.fps:
                raise DatasetError(
                    f"{where}: its video has {len(clip.frames)} frames over {times[-1]:.1f} s for "
                    f"{length} rows over {stamps[-1]:.1f} s"
                )
            return clip.frames[nearest][picks]

    def _clip(
        self, row: Mapping[str, Any], key: str, size: Size
    ) -> tuple[Path, Size, float | None, float | None]:
        """File of an episode's video, and from when to when."""
        template = self.info.get("video_path")
        if not template:
            raise DatasetError(f"{self.path}/meta/info.json has videos and no video_path")
        if not self.new:
            place = self._old_place(int(row["episode_index"]))
            return self.path / str(template).format(video_key=key, **place), size, None, None
        prefix = f"videos/{key}/"
        start_s = float(row[f"{prefix}from_timestamp"])
        end_s = row.get(f"{prefix}to_timestamp")
        end_s = start_s + int(row["length"]) / self.fps if end_s is None else float(end_s)
        file = str(template).format(video_key=key, **_place(row, prefix))
        return self.path / file, size, start_s, end_s

    def _stills(
        self, table: Any, key: str, picks: np.ndarray, size: Size, where: str
    ) -> np.ndarray:
        frames = []
        for cell in table[key].take(self._pa.array(picks)).to_pylist():
            content = cell if isinstance(cell, bytes) else (cell or {}).get("bytes")
            if content is None:
                file = self.path / str((cell or {}).get("path") or "")
                check_whole(file)
                content = file.read_bytes()
            try:
                picture = Image.open(io.BytesIO(content)).convert("RGB")
            except UnidentifiedImageError:
                raise DatasetError(f"{where}: a picture that is none") from None
            frames.append(fit(np.asarray(picture), size))
        return np.stack(frames)

    def _read_tasks(self) -> dict[int, str]:
        if not self.new:
            lines = _lines(self.path / "meta/tasks.jsonl")
            return {int(line["task_index"]): str(line["task"]) for line in lines}
        file = self.path / "meta/tasks.parquet"
        check_whole(file)
        rows = self._read_table(file).to_pylist()
        names = [next(str(v) for k, v in row.items() if k != "task_index") for row in rows]
        return {int(row["task_index"]): name for row, name in zip(rows, names, strict=True)}

    def _read_episodes(self) -> list[dict[str, Any]]:
        if not self.new:
            found = _lines(self.path / "meta/episodes.jsonl")
        else:
            found = []
            for part in sorted((self.path / "meta/episodes").rglob("*.parquet")):
                check_whole(part)
                names = self._pa.parquet.read_schema(part).names
                columns = [name for name in names if not name.startswith("stats/")]
                found += self._read_table(part, columns=columns).to_pylist()
        if not found:
            raise DatasetError(f"{self.path} lists no episode")
        return sorted(found, key=lambda row: int(row["episode_index"]))


def _place(row: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {name: int(row[f"{prefix}{name}"]) for name in ("chunk_index", "file_index")}


def _lines(path: Path) -> list[dict[str, Any]]:
    check_whole(path)
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _numbers(table: Any, key: str, where: str) -> np.ndarray:
    """`(N, K)` float64 of a column of numbers or lists of them."""
    if key not in table.column_names:
        raise DatasetError(f"{where} has no {key}")
    rows = np.array(table[key].to_pylist(), np.float64)
    return rows.reshape(len(rows), -1)
