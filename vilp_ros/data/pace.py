"""How fast pictures came, by their stamps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SAME_RATE = 0.01
"""Of the control rate, by which a camera may be off and still give a frame a period: the duration
of an episode is right to that."""
UNEVEN = 0.2
"""Of a control period, by which half of its pictures may be early or late then."""


class Pace(NamedTuple):
    """Of the observations of one bag.

    Attributes:
        period_s: between two observations, lost ones counted.
        steady: whether each stands for one control period.
    """

    period_s: float
    steady: bool

    @classmethod
    def of(cls, stamps: Sequence[float], period_s: float) -> Pace:
        """Measures it.

        Args:
            stamps: of the observations, seconds, rising.
            period_s: control period.
        """
        intervals = np.diff(np.asarray(stamps, np.float64))
        if len(intervals) < 2:
            return cls(period_s, True)
        # Where some were lost, an interval is a whole number of the usual ones.
        count = np.maximum(1, np.round(intervals / np.median(intervals)))
        mean_s = float(intervals.sum() / count.sum())
        uneven_s = float(np.median(np.abs(intervals / count - mean_s)))
        same = abs(mean_s / period_s - 1) <= SAME_RATE
        return cls(mean_s, same and uneven_s <= UNEVEN * period_s)
