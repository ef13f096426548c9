"""How old things are when they are used: percentiles over a window."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ages:
    """Percentiles of the ages in a window, seconds; NaN while there are none.

    Attributes:
        p50_s: median.
        p99_s: 99th percentile.
        count: how many ages they are taken over.
    """

    p50_s: float
    p99_s: float
    count: int


class AgeTracker:
    """Keeps the newest ages. The first ones are left out: compilation and discovery are no latency.

    Args:
        window: how many ages to keep.
        warmup: how many to leave out at the start.
    """

    def __init__(self, window: int = 1000, warmup: int = 10) -> None:
        self._ages: deque[float] = deque(maxlen=window)
        self._skip = warmup

    def add(self, age_s: float) -> None:
        """Count one age; a negative one, from a clock that stepped back, and NaN are left out.

        Args:
            age_s: seconds from the stamp to its use.
        """
        if not (math.isfinite(age_s) and age_s >= 0):
            return
        if self._skip > 0:
            self._skip -= 1
        else:
            self._ages.append(age_s)

    def ages(self) -> Ages:
        """Percentiles of the window."""
        if not self._ages:
            return Ages(math.nan, math.nan, 0)
        p50, p99 = np.percentile(self._ages, [50, 99])
        return Ages(float(p50), float(p99), len(self._ages))
