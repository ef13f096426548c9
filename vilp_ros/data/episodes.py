"""Episodes on disk: one HDF5 file a set, one group an episode.

The layout follows robomimic (`data/demo_<i>/{obs/<key>, actions}`), so its tools can open a file;
what robomimic has no place for (role, outcome, seed) are attributes of the episode's group.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vilp_ros.contract.action import ACTION_KINDS
from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError, array, notes_of, open_hdf5, sentences, text
from vilp_ros.data.plausible import ROLES, STATE_KEYS, fault

PERIOD_S = (0.001, 1.0)
"""Between two frames, as a contract allows it."""


def _views(group: h5py.Group | None) -> tuple[str, ...]:
    keys = () if group is None else group["obs"]
    return tuple(sorted(k.removesuffix("_image") for k in keys if k.endswith("_image")))


def _plain(value: Any) -> float | int | str:
    """What `info` holds, of an attribute."""
    if isinstance(value, np.generic) and not isinstance(value, bytes):
        value = value.item()
    return value if isinstance(value, (bool, int, float)) else text(value)


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
        self._file = open_hdf5(self.path)
        try:
            self._read_head()
        except BaseException:
            self._file.close()
            raise

    def _read_head(self) -> None:
        with sentences(self.path):
            data = self._file["data"]
            self.task, self.action_kind = text(data.attrs["task"]), text(data.attrs["action_kind"])
            self.control_period_s = float(data.attrs["control_period_s"])
            ranges = json.loads(text(data.attrs.get("depth_range_m", "{}")))
            self.depth_range_m = {v: (float(near), float(far)) for v, (near, far) in ranges.items()}
            names = [name for name in data if "seed" in data[name].attrs]
            if strange := [name for name in names if not re.fullmatch(r"demo_\d{1,9}", name)]:
                raise DatasetError(
                    f"{self.path} has data/{strange[0]}; expected demo_0, demo_1 ..."
                )
            self._groups = [data[n] for n in sorted(names, key=lambda n: int(n.split("_")[1]))]
        if self.action_kind not in ACTION_KINDS:
            allowed = " or ".join(ACTION_KINDS)
            raise DatasetError(f"{self.path}: action_kind is {self.action_kind!r}, not {allowed}")
        low, high = PERIOD_S
        if not low <= self.control_period_s <= high:
            raise DatasetError(
                f"{self.path}: control_period_s is {self.control_period_s:g}, expected {low:g} to "
                f"{high:g} s"
            )
        for view, (near, far) in self.depth_range_m.items():
            if not 0 <= near < far < math.inf:
                raise DatasetError(
                    f"{self.path}: depth_range_m of {view} is {near:g} to {far:g} m, expected near "
                    "before far"
                )

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __len__(self) -> int:
        """Number of whole episodes."""
        return len(self._groups)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views, in alphabetical order.

        Raises:
            DatasetError: the first episode is damaged.
        """
        with sentences(self.path):
            return _views(self._groups[0] if self._groups else None)

    @property
    def roles(self) -> list[str]:
        """Label of each episode.

        Raises:
            DatasetError: one is none of `ROLES`.
        """
        found = []
        for group in self._groups:
            with sentences(self._where(group)):
                role = text(group.attrs["role"])
            if role not in ROLES:
                allowed = ", ".join(ROLES)
                raise DatasetError(f"{self._where(group)}: role is {role!r}; allowed: {allowed}")
            found.append(role)
        return found

    @property
    def successes(self) -> list[bool]:
        """Whether each episode did its task."""
        return [bool(group.attrs.get("success")) for group in self._groups]

    def notes(self, key: str) -> set[str]:
        """As `EpisodeWriter.notes`."""
        return notes_of(self._groups, key)

    def read(self, index: int, views: tuple[str, ...] | None = None) -> Episode:
        """One episode with the images of `views` only (None: all of them).

        Raises:
            DatasetError: it is damaged, or says what no recording of an arm can say.
        """
        group = self._groups[index]
        wanted = self.views if views is None else views
        with sentences(self._where(group)):
            obs, labels = group["obs"], group.attrs
            lengths = {f"obs/{key}": len(obs[key]) for key in obs}
            if wrong := [k for k, n in lengths.items() if n != int(labels["num_samples"]) + 1]:
                raise DatasetError(
                    f"{self._where(group)}: {wrong[0]} has {lengths[wrong[0]]} rows, num_samples "
                    f"{labels['num_samples']} and one are expected"
                )
            for key in (key for key in obs if key.endswith("_image")):  # also those not read here
                if obs[key].dtype != np.uint8 or obs[key].shape[3:] != (3,):
                    view, found = key.removesuffix("_image"), f"{obs[key].dtype} {obs[key].shape}"
                    raise DatasetError(
                        f"{self._where(group)}: {view} is {found}; expected uint8 (frames, H, W, 3)"
                    )
            episode = Episode(
                images={view: array(obs[f"{view}_image"]) for view in wanted},
                **{key: array(obs[key]) for key in STATE_KEYS},
                actions=array(group["actions"]) if "actions" in group else None,
                disturbed=array(group["disturbed"]),
                role=text(labels["role"]),
                success=bool(labels["success"]),
                seed=int(labels["seed"]),
                info={
                    k.removeprefix("info."): _plain(labels[k]) for k in labels if k[:5] == "info."
                },
                before=array(obs["before"]) if "before" in obs else None,
                states=array(group["states"]) if "states" in group else None,
                repeated=array(group["repeated"]) if "repeated" in group else None,
            )
        if wrong_value := fault(episode, self.action_kind):
            raise DatasetError(f"{self._where(group)}: {wrong_value}")
        return episode

    def origin(self, index: int) -> str:
        """What an episode is known by wherever it is copied: file, index, and what it holds."""
        return f"{self.path.name}:{index} {self.read(index, ()).digest()}"

    def shape(self, index: int, view: str) -> tuple[int, ...]:
        """`(T+1, H, W, 3)` of the frames of an episode, which are not read."""
        return tuple(self._groups[index]["obs"][f"{view}_image"].shape)

    def sizes(self, index: int) -> dict[str, tuple[int, ...]]:
        """(H, W) of each view that an episode has."""
        obs = self._groups[index]["obs"]
        keys = [key for key in obs if key.endswith("_image")]
        return {key.removesuffix("_image"): tuple(obs[key].shape[1:3]) for key in keys}

    def frames(self, index: int, view: str, picks: np.ndarray | slice) -> np.ndarray:
        """Some frames `(N, H, W, 3)` of an episode; `picks` are rising indices or a slice.

        Raises:
            DatasetError: they are damaged.
        """
        group = self._groups[index]
        with sentences(self._where(group)):
            return array(group["obs"][f"{view}_image"], picks)

    def _where(self, group: h5py.Group) -> str:
        return f"{self.path}, {group.name.removeprefix('/data/')}"

    def __getitem__(self, index: int) -> Episode:
        """One episode with all its images."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"episode {index} of {len(self)} in {self.path}")
        return self.read(index)

    def __iter__(self) -> Iterator[Episode]:
        """All episodes with their images."""
        return (self.read(i) for i in range(len(self)))


def require_origins(found: set[str], path: Path) -> set[str]:
    """What the episodes of a file that goes on were made of: `EpisodeFile.origin` of each.

    Raises:
        DatasetError: it says so by file and index alone, as was done before: another file of that
            name would be taken for done, or the same one made twice.
    """
    if old := [name for name in found if re.search(r" [0-9a-f]{20}$", name) is None]:
        raise DatasetError(
            f"{path} was begun by an older version, which knew episodes by their place alone "
            f"({old[0]}): choose another --out"
        )
    return found
