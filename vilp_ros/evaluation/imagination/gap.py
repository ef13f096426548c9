"""Imagination gap: how far what is seen now lies from what was imagined for now.

A gap near 0: the planner foresaw it. 1: no better than to expect that nothing changes. With a small
gap and a robot that fails, look at what executes the plan; with a large one, at what makes it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

LATENT_FLOOR = 0.1  # of a standard deviation, and
PIXEL_FLOOR = 2.0  # grey levels, root mean square: less change than this is called standing still


@dataclass(frozen=True)
class Imagination:
    """A plan, and what it was made from.

    Attributes:
        stamp_s: time of the observation.
        latents: `(T + 1, V, ...)` standardised; row 0 is the observation.
        images: `(V, H, W, 3)` uint8 of the observation.
        frames: `(T + 1, V, H, W, 3)` uint8, the plan decoded; None where it was not.
    """

    stamp_s: float
    latents: np.ndarray
    images: np.ndarray
    frames: np.ndarray | None = None


@dataclass(frozen=True)
class Gap:
    """What became of an imagined frame.

    Attributes:
        stamp_s: when it was due.
        ahead_s: how long before it was imagined.
        latent: `(V,)` distance of the latents, over that of the frame that the plan was made from.
        pixels: the same of pixels, `(V,)`; None where the plan was not decoded.
        moved: `(V,)` what `latent` was divided by: how much the latents changed meanwhile.
    """

    stamp_s: float
    ahead_s: float
    latent: np.ndarray
    pixels: np.ndarray | None
    moved: np.ndarray


class GapTracker:
    """Keeps plans until reality has caught up with them.

    Args:
        rows: rows of a plan, T + 1.
        row_period_s: seconds between them.
        tolerance_s: largest time between an observation and the imagined frame that it is held
            against; half a control period.
    """

    def __init__(self, rows: int, row_period_s: float, tolerance_s: float) -> None:
        self._rows, self._period_s, self._tolerance_s = rows, row_period_s, tolerance_s + 1e-6
        self._kept: deque[Imagination] = deque()

    def clear(self) -> None:
        """Forgets all plans, as after a reset of the scene."""
        self._kept.clear()

    def observe(self, now: Imagination) -> Gap | None:
        """Holds a new observation against the oldest plan that imagined it; keeps its own plan.

        Returns:
            None where no plan has a frame for this time.
        """
        reach_s = (self._rows - 1) * self._period_s + self._tolerance_s
        if self._kept and not self._kept[-1].stamp_s < now.stamp_s:
            self.clear()  # the clock was set back
        while self._kept and now.stamp_s - self._kept[0].stamp_s > reach_s:
            self._kept.popleft()
        found = next((gap for old in self._kept if (gap := self._gap(old, now))), None)
        self._kept.append(now)
        return found

    def _gap(self, old: Imagination, now: Imagination) -> Gap | None:
        ahead_s = now.stamp_s - old.stamp_s
        row = round(ahead_s / self._period_s)
        if row < 1 or abs(ahead_s - row * self._period_s) > self._tolerance_s:
            return None
        moved = distance(old.latents[0], now.latents[0])
        latent = distance(old.latents[row], now.latents[0]) / np.maximum(moved, LATENT_FLOOR)
        pixels = None
        if old.frames is not None:
            copied = distance(old.images, now.images)
            pixels = distance(old.frames[row], now.images) / np.maximum(copied, PIXEL_FLOOR)
        return Gap(now.stamp_s, ahead_s, latent, pixels, moved)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square difference of each view, `(V,)`."""
    difference = (a.astype(np.float32) - b.astype(np.float32)).reshape(len(a), -1)
    return np.sqrt(np.square(difference).mean(-1))
