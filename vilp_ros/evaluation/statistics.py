"""Figures that belong beside a success rate or a latency: intervals and percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

Z_95 = 1.959963984540054  # 97.5 % point of the standard normal
MIN_CLASS = 5


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a binomial proportion.

    Args:
        successes: number of successes, 0..n.
        n: number of trials; 0 trials say nothing and give (0, 1).
        z: normal quantile, 95 % by default.

    Returns:
        (low, high), both in [0, 1].

    Raises:
        ValueError: successes outside 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n, found {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # at 0 and n the ends are exact; rounding would leave 1e-17 there
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def percentiles(values: Iterable[float], scale: float = 1.0) -> dict[str, float | None]:
    """p50 and p99 of `values` times `scale` (1e3 turns seconds into milliseconds).

    Returns:
        {"p50": ..., "p99": ...}; None where there is no value, so that JSON stays valid.
    """
    array = np.asarray(list(values), dtype=float)
    if array.size == 0:
        return {"p50": None, "p99": None}
    p50, p99 = np.percentile(array, [50, 99]) * scale
    return {"p50": float(p50), "p99": float(p99)}


def proportion(successes: int, n: int) -> str:
    """Success rate with its interval, for people: `97/100  .97 [.92, .99]`."""
    low, high = wilson(successes, n)
    rate = successes / n if n else 0.0
    return f"{successes}/{n}  {_short(rate)} [{_short(low)}, {_short(high)}]"


def _short(p: float) -> str:
    text = f"{p:.2f}"
    return text[1:] if text.startswith("0") else text


def auroc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Chance that a positive scores higher than a negative, ties counting half; .5 is guessing.

    Args:
        scores: `(N,)`.
        positive: `(N,)` bool.

    Returns:
        Area under the receiver operating characteristic; None where one class is empty.
    """
    high, low = scores[positive], scores[~positive]
    if not len(high) or not len(low):
        return None
    apart = np.sign(high[:, None] - low[None, :])
    return float((1.0 + apart.mean()) / 2)


def auroc_interval(
    scores: np.ndarray, positive: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of `auroc`.

    Positives and negatives are drawn apart, so that every draw has both.

    Returns:
        (low, high); None with fewer than `MIN_CLASS` of a class: drawing the same few again and
        again would pretend to know what they cannot tell.
    """
    high, low = scores[positive], scores[~positive]
    if min(len(high), len(low)) < MIN_CLASS:
        return None
    rng = np.random.default_rng(seed)
    apart = np.sign(high[:, None] - low[None, :])
    rows = rng.integers(len(high), size=(draws, len(high)))
    columns = rng.integers(len(low), size=(draws, len(low)))
    areas = [(1 + apart[np.ix_(r, c)].mean()) / 2 for r, c in zip(rows, columns, strict=True)]
    low_end, high_end = np.percentile(areas, [2.5, 97.5])
    return float(low_end), float(high_end)
