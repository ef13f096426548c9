"""Statistics of a dataset as LeRobot keeps them: of each episode, and of all."""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def figures(rows: np.ndarray) -> dict[str, list[float]]:
    """Of numbers `(N, ...)`: min, max, mean, std, quantiles and count."""
    rows = np.asarray(rows, np.float64).reshape(len(rows), -1)
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    found |= dict(zip(QUANTILES, np.quantile(rows, list(QUANTILES.values()), axis=0)))
    return {**{k: v.tolist() for k, v in found.items()}, "count": [len(rows)]}


def image_figures(frames: np.ndarray) -> dict[str, Any]:
    """Per channel, in [0, 1], as `(3, 1, 1)`; of at most 32 frames."""
    picks = np.unique(np.linspace(0, len(frames) - 1, 32).round().astype(int))
    found = figures(frames[picks].reshape(-1, 3) / 255.0)
    shaped = {k: [[[v]] for v in values] for k, values in found.items() if k != "count"}
    return {**shaped, "count": [len(picks)]}


def merged(rows: list[dict[str, Any]], numbers: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    """Statistics of all episodes.

    Args:
        rows: of each episode, `stats/KEY/NAME`.
        numbers: of each key that is no picture, the rows of each episode: their quantiles are
            exact; those of pictures are means of the episodes', as LeRobot merges them.
    """
    found: dict[str, Any] = {}
    for key in sorted({name.split("/")[1] for row in rows for name in row if name[:6] == "stats/"}):
        names = ("min", "max", "mean", *QUANTILES)
        each = {n: np.array([r[f"stats/{key}/{n}"] for r in rows]) for n in names}
        deviation = np.array([r[f"stats/{key}/std"] for r in rows])
        count = np.array([r[f"stats/{key}/count"][0] for r in rows], np.float64)
        weight = (count / count.sum()).reshape(-1, *[1] * (deviation.ndim - 1))
        mean = (weight * each["mean"]).sum(0)
        variance = (weight * (deviation**2 + each["mean"] ** 2)).sum(0) - mean**2
        if key in numbers:
            of_all = figures(np.concatenate(numbers[key]))
            quantiles = {name: of_all[name] for name in QUANTILES}
        else:
            quantiles = {name: (weight * each[name]).sum(0).tolist() for name in QUANTILES}
        found[key] = {
            "min": each["min"].min(0).tolist(),
            "max": each["max"].max(0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(np.maximum(variance, 0)).tolist(),
            **quantiles,
            "count": [int(count.sum())],
        }
    return found
