"""The target that a position-controlled arm keeps moving to. Pure, thread-safe."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Target:
    """Last accepted arm and gripper targets; what nobody commands stays where it was.

    Args:
        size: Length of the arm's part of the action: 7 (pose xyz + quaternion, or joints).
    """

    def __init__(self, size: int = 7) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._action = np.full(size + 1, math.nan)
        self._not_before_s = -math.inf

    def reset(self, arm: Sequence[float] | Array, width: float, now_s: float) -> None:
        """Aim at where the arm is; commands stamped before now belong to the past and are refused.

        Args:
            arm: (size,) measured.
            width: Metres, measured.
            now_s: Seconds on the clock of the commands' stamps.
        """
        with self._lock:
            self._action = np.append(np.asarray(arm, dtype=np.float64), width)
            self._not_before_s = now_s

    def move_arm(self, stamp_s: float, arm: Array) -> str | None:
        """Take an arm target (size,); returns why it was refused, or None."""
        return self._set(stamp_s, slice(0, self._size), arm)

    def move_gripper(self, stamp_s: float, width: float) -> str | None:
        """Take a gripper width (m); returns why it was refused, or None."""
        return self._set(stamp_s, slice(self._size, None), np.array([width]))

    def action(self) -> Array:
        """(size + 1,) arm target and width in force now."""
        with self._lock:
            return self._action.copy()

    def _set(self, stamp_s: float, part: slice, values: Array) -> str | None:
        if not np.isfinite(values).all():
            return f"target refused: not finite: {values.tolist()}"
        with self._lock:
            # A zero stamp means "now", as in ros2_control.
            if 0.0 < stamp_s < self._not_before_s:
                return f"target refused: {self._not_before_s - stamp_s:.3f} s older than the reset"
            self._action[part] = values
        return None
