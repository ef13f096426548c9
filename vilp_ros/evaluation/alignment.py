"""Do the views of one plan tell the same story at the same time?

Each imagined frame is dated by the recorded frame of its view that is nearest to it in latent
space. If the views were imagined apart, one may be ahead of the other: their dates then differ.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np


def dates(imagined: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Index of the recorded frame nearest to each imagined one, view by view.

    Args:
        imagined: `(T, V, ...)` latents of a plan's future rows.
        recorded: `(N, V, ...)` latents of what was recorded from the observation on.

    Returns:
        `(T, V)` indices into `recorded`.
    """
    a = imagined.reshape(*imagined.shape[:2], -1)
    b = recorded.reshape(*recorded.shape[:2], -1)
    views = [((a[:, None, v] - b[None, :, v]) ** 2).sum(-1).argmin(1) for v in range(a.shape[1])]
    return np.stack(views, axis=1)


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
