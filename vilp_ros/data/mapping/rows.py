"""One episode of somebody's dataset as it was recorded, before a map gives its columns meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vilp_ros.data.digest import digest
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.scaling import Size


@dataclass
class Rows:
    """N rows.

    Attributes:
        where: names the episode in errors.
        stamps: `(N,)` seconds, rising.
        numbers: by key `(N, K)` float64.
        names: by key, of its columns; empty where they have none.
        frames: (key, rows, size) to the pictures `(n, H, W, 3)` uint8 of some rows, scaled to
            `size`.
        task: what was done.
        labels: `role`, `success`, `seed` and `info`, where they are known.
        disturbed: `(N,)`, None where that is not known.
    """

    where: str
    stamps: np.ndarray
    numbers: Mapping[str, np.ndarray]
    names: Mapping[str, list[str]]
    frames: Callable[[str, np.ndarray, Size], np.ndarray]
    task: str
    labels: dict[str, Any] = field(default_factory=dict)
    disturbed: np.ndarray | None = None

    def digest(self) -> str:
        """Of the numbers as they were read, whatever a map makes of them."""
        columns = (part for key in sorted(self.numbers) for part in (key, self.numbers[key]))
        return digest([self.stamps, *columns])

    def pick(self, columns: tuple[str, ...]) -> np.ndarray:
        """`(N, K)` of columns such as `observation.state[0:6]` or `action[gripper]`.

        Raises:
            DatasetError: no such key or column.
        """
        return np.concatenate([self._pick(column) for column in columns], axis=1)

    def _pick(self, column: str) -> np.ndarray:
        key, chosen = split_column(column)
        if key not in self.numbers:
            raise DatasetError(f"{self.where} has no {key!r}; it has {', '.join(self.numbers)}")
        rows, names = self.numbers[key], self.names.get(key, [])
        if chosen is None:
            return rows
        if isinstance(chosen, slice):
            picked = rows[:, chosen]
            if not picked.shape[1] or (chosen.stop or 0) > rows.shape[1]:
                raise DatasetError(f"{self.where}: {column} of {rows.shape[1]} columns")
            return picked
        return rows[:, [self._index(key, one, names, rows.shape[1]) for one in chosen]]

    def _index(self, key: str, one: str, names: list[str], width: int) -> int:
        if one in names and names.index(one) < width:
            return names.index(one)
        if re.fullmatch(r"\d+", one) and int(one) < width:
            return int(one)
        has = ", ".join(names) if names else f"columns 0 to {width - 1}"
        raise DatasetError(f"{self.where}: {key} has no {one!r}; it has {has}")


def split_column(column: str) -> tuple[str, slice | list[str] | None]:
    """Key, and what of it: `state[0:6]`, `state[6]`, `state[x, y, gripper]`, `state`.

    Raises:
        DatasetError: it is none of these.
    """
    found = re.fullmatch(r"([^\[\]]+?)\s*(?:\[([^\[\]]+)\])?", column.strip())
    if not found:
        raise DatasetError(f"{column!r} is no column: write KEY, KEY[0:6], KEY[6] or KEY[name]")
    key, inside = found.groups()
    if inside is None:
        return key, None
    if span := re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", inside):
        low, high = (int(x) if x else None for x in span.groups())
        return key, slice(low, high)
    return key, [one.strip() for one in inside.split(",")]
