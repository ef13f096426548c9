"""Episodes to disk, whole or frame by frame; the layout is that of `vilp_ros.data.episodes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import (
    BLOCK,
    CHECKSUMS,
    DatasetError,
    checksums,
    fixed,
    notes_of,
    open_hdf5,
    sentences,
    text,
)
from vilp_ros.data.plausible import STATE_KEYS

_WRITE: dict[str, Any] = {"libver": ("v108", "v108")}
"""Headers with checksums; later formats leave a file locked when its writer is killed."""


def _finish(group: h5py.Group, episode: Episode) -> None:
    """Everything but the pictures."""
    for key in (*STATE_KEYS, "before"):
        _put(group["obs"], key, getattr(episode, key), np.float64)
    _put(group, "actions", episode.actions, np.float32)
    _put(group, "states", episode.states, np.float64)
    _put(group, "disturbed", episode.disturbed, bool)
    _put(group, "repeated", episode.repeated, bool)
    group.attrs["num_samples"] = len(episode)
    group.attrs["role"] = fixed(episode.role)
    group.attrs["success"] = bool(episode.success)
    for key, value in episode.info.items():
        group.attrs[f"info.{key}"] = fixed(value) if isinstance(value, str) else value
    # Last: its presence marks a whole episode, all of which lies on the disk by then. A flush is
    # many writes, and a kill between two would leave the mark on an episode without pictures.
    group.file.flush()
    group.attrs["seed"] = episode.seed


def _put(group: h5py.Group, key: str, rows: np.ndarray | None, kind: type) -> None:
    """Numbers of an episode, where it has them."""
    if rows is not None:
        rows = np.asarray(rows, kind)
        dataset = group.create_dataset(key, data=rows, fletcher32=True)
        dataset.attrs[CHECKSUMS] = checksums(rows)


def _write_index_only_when_flushed(file: h5py.File) -> None:
    """Keeps what HDF5 finds its data by in memory between flushes.

    It would be written piece by piece as memory fills; a process killed between two pieces would
    leave a file that nobody can open, with every episode that was in it.
    """
    cache = file.id.get_mdc_config()
    cache.evictions_enabled = False
    cache.incr_mode = cache.decr_mode = cache.flash_incr_mode = 0
    file.id.set_mdc_config(cache)


class EpisodeStream:
    """Takes frames one by one, holds at most one chunk of them.

    Made by `EpisodeWriter.stream`. Until `finish` the file does not count it as an episode.
    """

    def __init__(self, group: h5py.Group, action_kind: str) -> None:
        self._group, self._action_kind = group, action_kind
        self._obs = group["obs"]
        self._pending: dict[str, list[np.ndarray]] = {}
        self._checksums: dict[str, list[int]] = {}

    def append(self, images: Mapping[str, np.ndarray]) -> None:
        """Takes one frame of every view, `(H, W, 3)` uint8."""
        for view, image in images.items():
            frames = self._pending.setdefault(view, [])
            frames.append(image)
            if len(frames) == BLOCK:
                self._flush(view)

    def finish(self, episode: Episode) -> None:
        """Writes the rest.

        Args:
            episode: without images; as many of the frames are kept as it has observations.

        Raises:
            DatasetError: a field has the wrong length or is not finite; nothing is kept then.
        """
        try:
            episode.check(self._action_kind)
        except DatasetError:
            self.discard()
            raise
        for view in list(self._pending):
            self._flush(view)
        for name, frames in self._obs.items():
            frames.resize(len(episode) + 1, axis=0)
            # The last block may have become shorter.
            crcs = self._checksums[name][: -(-len(frames) // BLOCK)]
            crcs[-1:] = checksums(frames[(len(crcs) - 1) * BLOCK :])
            frames.attrs[CHECKSUMS] = np.array(crcs, np.uint32)
        _finish(self._group, episode)
        self._group.file.flush()

    def discard(self) -> None:
        """Forgets the episode."""
        self._pending.clear()
        del self._group.parent[self._group.name]

    def _flush(self, view: str) -> None:
        if not self._pending[view]:
            return
        frames = np.stack(self._pending[view]).astype(np.uint8, copy=False)
        self._pending[view] = []
        name, shape = f"{view}_image", frames.shape[1:]
        if name not in self._obs:
            self._obs.create_dataset(
                name,
                shape=(0, *shape),
                maxshape=(None, *shape),
                dtype=np.uint8,
                chunks=(BLOCK, *shape),
                compression="lzf",
                fletcher32=True,
            )
        self._checksums.setdefault(name, []).extend(checksums(frames))
        data = self._obs[name]
        data.resize(len(data) + len(frames), axis=0)
        data[-len(frames) :] = frames


class EpisodeWriter:
    """Appends episodes to a file; every episode is on disk when `add` returns.

    Args:
        path: the HDF5 file; made with its folder when absent.
        task: name of the task; an existing file must hold the same.
        action_kind: `ee_pose` or `joint_position`.
        control_period_s: seconds between two frames.
        depth_range_m: (near, far) of each depth view, of which its greys are made.

    Raises:
        DatasetError: the file holds another task, action kind, control period or depth range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        task: str,
        action_kind: str = "ee_pose",
        control_period_s: float = 0.05,
        depth_range_m: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    ) -> None:
        if Path(path).is_dir():
            such = Path(path, "mine.hdf5")
            raise DatasetError(f"{path} is a folder: name a file, such as {such}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open_hdf5(Path(path), "a", **_WRITE)
        except DatasetError as error:
            raise DatasetError(f"{error}, or choose another --out") from error
        try:
            self._begin(path, task, action_kind, control_period_s, depth_range_m)
        except BaseException:
            self._file.close()
            raise

    def _begin(
        self,
        path: str | Path,
        task: str,
        action_kind: str,
        control_period_s: float,
        depth_range_m: Mapping[str, tuple[float, float]],
    ) -> None:
        """Compares what the file says with what is to be written, or writes it."""
        self._action_kind = action_kind
        _write_index_only_when_flushed(self._file)
        want = {
            "task": task,
            "action_kind": action_kind,
            "control_period_s": control_period_s,
            "depth_range_m": json.dumps(dict(depth_range_m), sort_keys=True),
        }
        with sentences(path):
            self._data = self._file.require_group("data")
            for key, value in want.items():
                if key not in self._data.attrs:
                    self._data.attrs[key] = fixed(value) if isinstance(value, str) else value
                found = self._data.attrs[key]
                found = text(found) if isinstance(value, str) else found
                if found != value:
                    raise DatasetError(
                        f"{path} has {key} {found!r}, not {value!r}: choose another --out"
                    )
            for name in list(self._data):
                if "seed" not in self._data[name].attrs:  # cut off while it was written
                    del self._data[name]
            self._file.flush()

    @property
    def seeds(self) -> list[tuple[int, str]]:
        """`(seed, mode)` of the episodes already there, so that a collection can go on."""
        groups = (self._data[name] for name in self._data)
        return [(int(g.attrs["seed"]), text(g.attrs.get("info.mode", ""))) for g in groups]

    def add(self, episode: Episode) -> None:
        """Writes one episode.

        Raises:
            DatasetError: a field has the wrong length or is not finite.
        """
        episode.check(self._action_kind)
        group = self._new_group()
        obs = group.create_group("obs")
        for view, frames in episode.images.items():
            dataset = obs.create_dataset(
                f"{view}_image",
                data=frames,
                chunks=(min(BLOCK, len(frames)), *frames.shape[1:]),
                compression="lzf",
                fletcher32=True,
            )
            dataset.attrs[CHECKSUMS] = checksums(frames)
        _finish(group, episode)
        self._file.flush()

    def stream(self) -> EpisodeStream:
        """An episode too long to be held in memory: written as it comes."""
        group = self._new_group()
        group.create_group("obs")
        self._file.flush()  # from here on only what belongs to this episode changes
        return EpisodeStream(group, self._action_kind)

    def notes(self, key: str) -> set[str]:
        """What `info[key]` says in the episodes already there; numbers as `str` writes them."""
        return notes_of(self._data.values(), key)

    def _new_group(self) -> h5py.Group:
        index = 1 + max((int(name.removeprefix("demo_")) for name in self._data), default=-1)
        return self._data.create_group(f"demo_{index}")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> EpisodeWriter:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the file."""
        self.close()
