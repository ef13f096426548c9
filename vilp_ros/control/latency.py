"""How late one signal is against another: the shift at which they agree best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.control.action import Array

GRID_S = 0.002
MAX_LAG_S = 0.5
GOOD = 0.6


class Lag(NamedTuple):
    """Seconds by which a signal is late, and the correlation at that shift (1: the same shape)."""

    seconds: float
    correlation: float


def lag(cause_times: ArrayLike, cause: ArrayLike, times: ArrayLike, effect: ArrayLike) -> Lag:
    """How long after `cause` does `effect` follow?

    Both are interpolated to one grid; only their shapes count, not offsets or scales.

    Args:
        cause_times: (N,) seconds, rising.
        cause: (N,).
        times: (M,) seconds on the same clock, rising.
        effect: (M,).

    Returns:
        A lag from -MAX_LAG_S to MAX_LAG_S; correlation 0 where a signal does not change.
    """
    cause_times, times = np.asarray(cause_times, float), np.asarray(times, float)
    grid = np.arange(times[0] + MAX_LAG_S, times[-1] - MAX_LAG_S, GRID_S)
    if len(grid) < 2:
        return Lag(0.0, 0.0)
    seen = _shape(np.interp(grid, times, np.asarray(effect, float)))
    shifts = np.arange(-MAX_LAG_S, MAX_LAG_S + GRID_S / 2, GRID_S)
    cause = np.asarray(cause, float)
    fits = np.array([seen @ _shape(np.interp(grid - s, cause_times, cause)) for s in shifts])
    best = int(np.argmax(fits))
    shift = float(shifts[best])
    if 0 < best < len(shifts) - 1:  # the top of a parabola through its neighbours
        left, top, right = fits[best - 1 : best + 2]
        bend = left - 2 * top + right
        shift += GRID_S * float((left - right) / (2 * bend)) if bend < 0 else 0.0
    return Lag(shift, float(fits[best]))


def _shape(values: Array) -> Array:
    values = values - values.mean()
    norm = float(np.linalg.norm(values))
    return values / norm if norm > 1e-12 else np.zeros_like(values)
