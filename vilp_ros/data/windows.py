"""Index arithmetic: which steps of which episodes a training sample is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timeline:
    """Episodes laid end to end.

    Attributes:
        start: `(E,)` index of each episode's first frame.
        length: `(E,)` number of control periods T of each; it has T + 1 frames.
    """

    start: np.ndarray
    length: np.ndarray

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Timeline:
        """Timeline of episodes with these numbers of control periods."""
        length = np.asarray(lengths, np.int64)
        return cls(np.concatenate([[0], np.cumsum(length + 1)[:-1]]).astype(np.int64), length)

    def steps(self, episodes: np.ndarray) -> np.ndarray:
        """Frames of these episodes that an action follows: all but the last.

        So no pair is padded; LDP's code pads, and teaches an invented last action.
        """
        parts = [self.start[e] + np.arange(self.length[e]) for e in episodes]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def last_frame(self) -> np.ndarray:
        """For every frame, the index of its episode's last frame: `(F,)`."""
        return np.repeat(self.start + self.length, self.length + 1)


def undisturbed(
    steps: np.ndarray, disturbed: np.ndarray, last: np.ndarray, horizon: int
) -> np.ndarray:
    """Those of `steps` whose next `horizon` periods hold no exploration noise.

    Args:
        steps: `(N,)` frame indices.
        disturbed: `(F,)` bool per frame, True where the following action was disturbed.
        last: `(F,)` index of the last frame of each frame's episode.
        horizon: future states of a plan.
    """
    ahead = np.minimum(steps[:, None] + np.arange(horizon), last[steps][:, None])
    return steps[~disturbed[ahead].any(axis=1)]


def fresh(
    steps: np.ndarray, repeated: np.ndarray, last: np.ndarray, horizon: int, interval: int
) -> np.ndarray:
    """Those of `steps` at which a picture is new, and at the frames of a plan from there too.

    Args:
        steps: `(N,)` frame indices.
        repeated: `(F,)` bool per frame, True where its picture is that of the frame before.
        last: `(F,)` index of the last frame of each frame's episode.
        horizon: future frames that must be new; 0: only the present one.
        interval: control periods between them.
    """
    new = ~repeated[steps]
    if horizon:
        new &= ~repeated[future(steps, last, horizon, interval)].any(axis=1)
    return steps[new]


def future(steps: np.ndarray, last: np.ndarray, horizon: int, interval: int = 1) -> np.ndarray:
    """Frames 1..horizon times `interval` after each step, the episode's last repeated: `(N, T)`."""
    return np.minimum(steps[:, None] + interval * (1 + np.arange(horizon)), last[steps][:, None])
