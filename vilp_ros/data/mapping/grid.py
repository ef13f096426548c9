"""Recorded rows at the times of control periods, by their stamps."""

from __future__ import annotations

import numpy as np

from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.geometry import slerp

ON_GRID = 0.01
"""Of a period: rows that are this close to their times are taken as they are."""
LATE = 0.2
"""Of the time from one row to the next, by which one may be late and is not taken for lost."""
MAX_GAP_S = 1.0
"""What lies between two rows further apart is not known."""


class Grid:
    """Times a control period apart, from the first row to the last.

    Args:
        stamps: `(N,)` s of the rows.
        period_s: control period.
        where: names the episode in errors.

    Attributes:
        times: `(M,)` s.
        nearest: `(M,)` row whose picture is shown at each.
        lost: `(M,)` whether that picture stands in for one that was lost. Rows that are slower than
            the control rate show a picture several times, and lose none.
        source_s: median time between rows.

    Raises:
        DatasetError: fewer than two rows, stamps that do not rise, or a gap beyond `MAX_GAP_S`.
    """

    def __init__(self, stamps: np.ndarray, period_s: float, where: str) -> None:
        if len(stamps) < 2 or not np.isfinite(stamps).all():
            raise DatasetError(f"{where} has {len(stamps)} rows, or stamps that are no numbers")
        steps = np.diff(stamps)
        if steps.min() <= 0:
            at = int(steps.argmin())
            raise DatasetError(
                f"{where}: its stamps do not rise at row {at + 1} ({stamps[at]:g} s, then "
                f"{stamps[at + 1]:g} s)"
            )
        if steps.max() > MAX_GAP_S:
            at = int(steps.argmax())
            raise DatasetError(
                f"{where}: nothing was recorded for {steps[at]:.2f} s at {stamps[at]:.1f} s"
            )
        if stamps[-1] - stamps[0] < (1 - ON_GRID) * period_s:
            raise DatasetError(
                f"{where} lasts {stamps[-1] - stamps[0]:.3f} s, less than a control period of "
                f"{period_s:g} s"
            )
        self._stamps, self.source_s = stamps, float(np.median(steps))
        count = int((stamps[-1] - stamps[0]) / period_s + ON_GRID) + 1
        self.times = stamps[0] + period_s * np.arange(count)
        same = len(stamps) == count and np.abs(stamps - self.times).max() < ON_GRID * period_s
        self._exact = bool(same)
        if self._exact:
            self.times = stamps
        right = np.clip(np.searchsorted(stamps, self.times), 1, len(stamps) - 1)
        left = right - 1
        self.nearest = np.where(
            self.times - stamps[left] <= stamps[right] - self.times, left, right
        )
        row_s = self.source_s
        longest_s = max(row_s / 2, row_s - period_s / 2) + LATE * row_s
        self.lost = np.abs(stamps[self.nearest] - self.times) > longest_s

    @property
    def repeated(self) -> np.ndarray:
        """`(M,)` whether a picture is the one of the time before."""
        return np.diff(self.nearest, prepend=-1) == 0

    def linear(self, rows: np.ndarray) -> np.ndarray:
        """Values `(M, K)` at the times of rows `(N, K)`."""
        if self._exact or not rows.size:
            return rows if self._exact else np.zeros((len(self.times), 0))
        columns = [np.interp(self.times, self._stamps, column) for column in rows.T]
        return np.stack(columns, axis=1)

    def held(self, rows: np.ndarray, ahead_s: float = 0.0) -> np.ndarray:
        """Values `(M, K)` of the rows `(N, K)` that are nearest `ahead_s` after each time."""
        if self._exact and not ahead_s:
            return rows
        at = self.times + ahead_s
        return rows[np.abs(self._stamps[None] - at[:, None]).argmin(1)]

    def poses(
        self, rows: np.ndarray, ahead_s: float = 0.0, first: np.ndarray | None = None
    ) -> np.ndarray:
        """Poses `(M, 7)` of rows `(N, 7)`: position on a line, rotation on the shorter arc.

        Args:
            rows: at the stamps.
            ahead_s: how long after each time.
            first: `(7,)` what would have stood in a row before the first one.
        """
        if self._exact and not ahead_s:
            return rows
        stamps = self._stamps
        if first is not None:
            rows = np.concatenate([first[None], rows])
            stamps = np.concatenate([[stamps[0] - self.source_s], stamps])
        at = np.clip(self.times + ahead_s, stamps[0], stamps[-1])
        right = np.clip(np.searchsorted(stamps, at), 1, len(stamps) - 1)
        left = right - 1
        u = (at - stamps[left]) / (stamps[right] - stamps[left])
        position = rows[left, :3] + u[:, None] * (rows[right, :3] - rows[left, :3])
        return np.concatenate([position, slerp(rows[left, 3:], rows[right, 3:], u)], axis=1)
