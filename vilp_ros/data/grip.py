"""Are a gripper's widths metres between its fingers, and do they follow what it was told?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.contract.hand import Width
from vilp_ros.contract.limits import GRIPPER_SLACK_M
from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError

BEYOND_SHARE = 0.05
"""Of an episode's widths, which may lie beside the limits."""
MOVES_M = 0.01
"""By which both widths change where they are compared."""
LAG_S = 0.5
"""By which fingers may follow later than they were told."""
OPPOSED = -0.5
"""Correlation, at the lag where it is best, below which widths go against what was told."""
_LEAST = 10


def beside_limits(episode: Episode, contract: Contract) -> Iterator[tuple[bool, str]]:
    """Widths outside `limits.gripper_width`: whether they are many, and a sentence."""
    low, high = contract.limits.gripper_width
    found = [("measured", episode.gripper_width, _now("proprio", contract.measured_width))]
    if episode.actions is not None:
        scale = _now("action", contract.commanded_width)
        if contract.action.gripper != "topic":
            scale = f"{contract.action.width_topic} holds metres"
        found.append(("commanded", episode.actions[:, -1], scale))
    for what, widths, look_at in found:
        beside = (widths < low - GRIPPER_SLACK_M) | (widths > high + GRIPPER_SLACK_M)
        if beside.any():
            yield (
                bool(beside.mean() > BEYOND_SHARE),
                f"{what} gripper widths go from {widths.min():.4g} to {widths.max():.4g} m, "
                f"limits.gripper_width from {low:g} to {high:g} m ({beside.sum()} of {len(widths)} "
                f"lie beside it): {look_at}",
            )


def follow(episode: Episode, period_s: float, look_at: str) -> None:
    """Do the fingers go the way that they are told, where both change?

    Args:
        episode: of any source.
        period_s: between its steps.
        look_at: what may be wrong, for the error.

    Raises:
        DatasetError: they go the other way.
    """
    if episode.actions is None:
        return
    told, measured = episode.actions[:, -1], episode.gripper_width[1:]
    if not (np.isfinite(told).all() and np.isfinite(measured).all()):
        return
    most = min(round(LAG_S / period_s), len(told) // 3)
    best = -1.0
    for lag in range(most + 1):
        pair = told[: len(told) - lag], measured[lag:]
        if len(pair[0]) < _LEAST or min(np.ptp(one) for one in pair) < MOVES_M:
            return
        best = max(best, float(np.corrcoef(*pair)[0, 1]))
    if best < OPPOSED:
        raise DatasetError(
            f"measured gripper widths go against the commanded ones (correlation {best:.2f}), "
            f"where they should follow them: {look_at}"
        )


def _now(part: str, width: Width) -> str:
    return (
        f"correct {part}.gripper_scale and {part}.gripper_offset (now {width.scale:g} and "
        f"{width.offset:g} m)"
    )
