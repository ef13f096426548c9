"""Episodes on disk: one HDF5 file a set, one group an episode.

The layout follows robomimic (`data/demo_<i>/{obs/<key>, actions}`), so its tools can open a file;
what robomimic has no place for (role, outcome, seed) are attributes of the episode's group.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np

from vilp_ros.errors import VilpError

ROLES = ("expert", "action_free", "suboptimal", "correction")
STATE_KEYS = ("ee_pose", "gripper_width", "joint_position", "joint_velocity")
_CHUNK = 16


class DatasetError(VilpError):
    """A set of episodes that cannot be read or written as asked."""


@dataclass
class Episode:
    """One demonstration of T control periods: T + 1 observations and T actions.

    Attributes:
        images: per view `(T+1, H, W, 3)` uint8.
        ee_pose: `(T+1, 7)` xyz in metres and quaternion xyzw, robot base frame.
        gripper_width: `(T+1,)` metres.
        joint_position: `(T+1, 7)` rad.
        joint_velocity: `(T+1, 7)` rad/s.
        actions: `(T, 8)` absolute targets as executed, or None for action-free episodes.
        disturbed: `(T,)` bool, True where exploration noise moved the arm: the inverse dynamics
            learns from these steps, the planner must not imitate them.
        role: one of `ROLES`; `correction`: a human took over from a policy, whose own steps count
            as disturbed.
        success: whether the task was done.
        seed: seed that placed the objects.
        info: whatever else identifies the episode (e.g. the grasp mode).
        before: `(T+1, 8)` pose and gripper width one control period before each frame, as the
            planner knew them; None where that is the frame before (at the first, the frame itself).
    """

    images: dict[str, np.ndarray]
    ee_pose: np.ndarray
    gripper_width: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    actions: np.ndarray | None
    disturbed: np.ndarray
    role: str
    success: bool
    seed: int
    info: dict[str, float | int | str] = field(default_factory=dict)
    before: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of control periods T."""
        return len(self.ee_pose) - 1

    def check(self) -> None:
        """Raises DatasetError naming the first field whose length or content is wrong."""
        if self.role not in ROLES:
            raise DatasetError(f"role is {self.role!r}; allowed: {', '.join(ROLES)}")
        if len(self) < 1:
            raise DatasetError(f"episode of seed {self.seed} has no control period")
        frames = {name: len(x) for name, x in self.images.items()}
        frames |= {key: len(getattr(self, key)) for key in STATE_KEYS}
        for name, n in frames.items():
            if n != len(self) + 1:
                raise DatasetError(f"{name} has {n} frames; ee_pose has {len(self) + 1}")
        if self.actions is not None and self.actions.shape != (len(self), 8):
            raise DatasetError(f"actions are {self.actions.shape}; expected {(len(self), 8)}")
        if self.before is not None and self.before.shape != (len(self) + 1, 8):
            raise DatasetError(f"before is {self.before.shape}; expected {(len(self) + 1, 8)}")
        if (self.actions is None) != (self.role == "action_free"):
            raise DatasetError(f"role {self.role!r} with{'out' * (self.actions is None)} actions")
        for key in (*STATE_KEYS, "actions", "before"):
            value = getattr(self, key)
            if value is not None and not np.isfinite(value).all():
                raise DatasetError(f"{key} of seed {self.seed} holds NaN or Inf")


def _finish(group: h5py.Group, episode: Episode) -> None:
    """Everything but the pictures."""
    for key in (*STATE_KEYS, *(["before"] if episode.before is not None else [])):
        group["obs"].create_dataset(key, data=np.asarray(getattr(episode, key), np.float64))
    if episode.actions is not None:
        group.create_dataset("actions", data=np.asarray(episode.actions, np.float32))
    group.create_dataset("disturbed", data=np.asarray(episode.disturbed, bool))
    group.attrs["num_samples"] = len(episode)
    group.attrs["role"] = episode.role
    group.attrs["success"] = bool(episode.success)
    for key, value in episode.info.items():
        group.attrs[f"info.{key}"] = value
    group.attrs["seed"] = episode.seed  # last: its presence marks a whole episode


def _views(group: h5py.Group | None) -> tuple[str, ...]:
    keys = () if group is None else group["obs"]
    return tuple(sorted(k.removesuffix("_image") for k in keys if k.endswith("_image")))


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

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self._obs = group["obs"]
        self._pending: dict[str, list[np.ndarray]] = {}

    def append(self, images: Mapping[str, np.ndarray]) -> None:
        """Takes one frame of every view, `(H, W, 3)` uint8."""
        for view, image in images.items():
            frames = self._pending.setdefault(view, [])
            frames.append(image)
            if len(frames) == _CHUNK:
                self._flush(view)

    def finish(self, episode: Episode) -> None:
        """Writes the rest.

        Args:
            episode: without images; as many of the frames are kept as it has observations.

        Raises:
            DatasetError: a field has the wrong length or is not finite; nothing is kept then.
        """
        try:
            episode.check()
        except DatasetError:
            self.discard()
            raise
        for view in list(self._pending):
            self._flush(view)
        for frames in self._obs.values():
            frames.resize(len(episode) + 1, axis=0)
        _finish(self._group, episode)
        self._group.file.flush()

    def discard(self) -> None:
        """Forgets the episode."""
        self._pending.clear()
        del self._group.parent[self._group.name]

    def _flush(self, view: str) -> None:
        if not self._pending[view]:
            return
        frames = np.stack(self._pending[view])
        self._pending[view] = []
        name, shape = f"{view}_image", frames.shape[1:]
        if name not in self._obs:
            self._obs.create_dataset(
                name,
                shape=(0, *shape),
                maxshape=(None, *shape),
                dtype=np.uint8,
                chunks=(_CHUNK, *shape),
                compression="lzf",
            )
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
            self._file = h5py.File(path, "a")
        except OSError as error:
            raise DatasetError(
                f"{path} is no HDF5 file or damaged ({error}): remove it, or choose another --out"
            ) from error
        _write_index_only_when_flushed(self._file)
        self._data = self._file.require_group("data")
        want = {
            "task": task,
            "action_kind": action_kind,
            "control_period_s": control_period_s,
            "depth_range_m": json.dumps(dict(depth_range_m), sort_keys=True),
        }
        for key, value in want.items():
            found = self._data.attrs.setdefault(key, value)
            if found != value:
                self._file.close()
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
        return [(int(g.attrs["seed"]), str(g.attrs.get("info.mode", ""))) for g in groups]

    def add(self, episode: Episode) -> None:
        """Writes one episode.

        Raises:
            DatasetError: a field has the wrong length or is not finite.
        """
        episode.check()
        group = self._new_group()
        obs = group.create_group("obs")
        for view, frames in episode.images.items():
            chunk = (min(_CHUNK, len(frames)), *frames.shape[1:])
            obs.create_dataset(f"{view}_image", data=frames, chunks=chunk, compression="lzf")
        _finish(group, episode)
        self._file.flush()

    def stream(self) -> EpisodeStream:
        """An episode too long to be held in memory: written as it comes."""
        group = self._new_group()
        group.create_group("obs")
        self._file.flush()  # from here on only what belongs to this episode changes
        return EpisodeStream(group)

    def notes(self, key: str) -> set[str]:
        """What `info[key]` says in the episodes already there."""
        attribute = f"info.{key}"
        found = (self._data[name].attrs.get(attribute) for name in self._data)
        return {str(value) for value in found if value is not None}

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


class EpisodeFile:
    """Reads a file written by `EpisodeWriter`.

    Args:
        path: the HDF5 file.

    Raises:
        DatasetError: the file is missing, cut off or not of this layout.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            found = "is a folder, no dataset" if self.path.is_dir() else "does not exist"
            raise DatasetError(
                f"{path} {found}: record it with `vilp collect --task TASK --episodes N "
                f"--out {path}`, or convert bags to it with `vilp convert BAGS --out {path}`"
            )
        try:
            self._file = h5py.File(self.path, "r")
            data = self._file["data"]
            self.task = str(data.attrs["task"])
            self.action_kind = str(data.attrs["action_kind"])
            self.control_period_s = float(data.attrs["control_period_s"])
            ranges = json.loads(data.attrs.get("depth_range_m", "{}"))
        except (OSError, KeyError) as error:
            raise DatasetError(f"{path} is no file of episodes or is cut off ({error})") from error
        self.depth_range_m = {view: (near, far) for view, (near, far) in ranges.items()}
        names = [name for name in data if "seed" in data[name].attrs]
        self._groups = [data[n] for n in sorted(names, key=lambda n: int(n.split("_")[1]))]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __len__(self) -> int:
        """Number of whole episodes."""
        return len(self._groups)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views, in alphabetical order."""
        return _views(self._groups[0] if self._groups else None)

    @property
    def roles(self) -> list[str]:
        """Label of each episode."""
        return [str(group.attrs["role"]) for group in self._groups]

    def read(self, index: int, views: tuple[str, ...] | None = None) -> Episode:
        """One episode with the images of `views` only (None: all of them)."""
        group = self._groups[index]
        obs = group["obs"]
        wanted = self.views if views is None else views
        info = {
            key.removeprefix("info."): value.item() if isinstance(value, np.generic) else value
            for key, value in group.attrs.items()
            if key.startswith("info.")
        }
        return Episode(
            images={view: obs[f"{view}_image"][()] for view in wanted},
            **{key: obs[key][()] for key in STATE_KEYS},
            actions=group["actions"][()] if "actions" in group else None,
            disturbed=group["disturbed"][()],
            role=str(group.attrs["role"]),
            success=bool(group.attrs["success"]),
            seed=int(group.attrs["seed"]),
            info=info,
            before=obs["before"][()] if "before" in obs else None,
        )

    def frames(self, index: int, view: str, picks: np.ndarray) -> np.ndarray:
        """Some frames `(N, H, W, 3)` of an episode; `picks` are rising indices."""
        return self._groups[index]["obs"][f"{view}_image"][picks]

    def __getitem__(self, index: int) -> Episode:
        """One episode with all its images."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"episode {index} of {len(self)} in {self.path}")
        return self.read(index)

    def __iter__(self) -> Iterator[Episode]:
        """All episodes with their images."""
        return (self.read(i) for i in range(len(self)))
