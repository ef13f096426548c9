"""Do the views of one plan tell the same story at the same time?

Each imagined frame is dated by the nearest point of what was recorded in its view: of the polyline
through the recorded latents, so that a date may lie between two frames. If the views were imagined
apart, one may be ahead of the other: their dates then differ.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np


def dates(imagined: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Where along the recording each imagined frame belongs, view by view.

    Args:
        imagined: `(T, V, ...)` latents of a plan's future rows.
        recorded: `(N, V, ...)` latents of what was recorded from the observation on, N > 1.

    Returns:
        `(T, V)` in frames of `recorded`, 0 to N - 1.
    """
    a = imagined.reshape(*imagined.shape[:2], -1)
    b = recorded.reshape(*recorded.shape[:2], -1)
    return np.stack([_project(a[:, v], b[:, v]) for v in range(a.shape[1])], axis=1)


def _project(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Nearest place on a polyline `(N, L)` for each point `(T, L)`: `(T,)` in segments."""
    along = np.diff(line, axis=0)
    offset = points[:, None] - line[None, :-1]
    share = (offset * along).sum(-1) / np.maximum(np.square(along).sum(-1), 1e-12)
    share = share.clip(0.0, 1.0)
    segment = np.square(offset - share[..., None] * along).sum(-1).argmin(1)
    return segment + share[np.arange(len(points)), segment]


def alignment(
    first: np.ndarray, second: np.ndarray, due: np.ndarray, period_s: float, seed: int = 0
) -> dict[str, float]:
    """How far the views' dates are apart, beside pairings that share less and less.

    Args:
        first: `(P, T, V)` dates of P plans, V >= 2.
        second: the same of other imaginations of the same observations.
        due: `(T,)` dates that a planner which knows the future would give.
        period_s: seconds between two recorded frames.
        seed: of the shuffled pairing.

    Returns:
        Mean seconds between two views' dates: `apart_s` within a plan; `other_imagination_s` with
        the second view taken from another imagination of the same observation, which is what
        planners that draw their noise apart would score; `other_plan_s` with it taken from the
        plan for another observation, drawn at random. `error_s`: mean distance of a date from
        when the frame was due.
    """
    order = np.random.default_rng(seed).permutation(len(first))
    return {
        "apart_s": period_s * _apart(first, first),
        "other_imagination_s": period_s * _apart(first, second),
        "other_plan_s": period_s * _apart(first, first[order]),
        "error_s": period_s * float(np.abs(first - due[:, None]).mean()),
    }


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    pairs = combinations(range(one.shape[-1]), 2)
    return float(np.mean([np.abs(one[..., a] - other[..., b]).mean() for a, b in pairs]))
