"""Measured means and spreads that make states, plans and actions comparable numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from vilp_ros.errors import VilpError


@dataclass
class Statistics:
    """Measured on the training set, never set by hand (LDP sets latent bounds by hand).

    C is the length of a state (latents, proprio, change of the proprio), D that of what the
    planner forecasts (latents, proprio), T the horizon, A the length of a relative action.

    Attributes:
        state_mean: `(C,)` of raw states.
        state_std: `(C,)`.
        delta_mean: `(T, D)` of standardised states i + 1 steps ahead minus the present one.
        delta_std: `(T, D)`.
        action_mean: `(A,)` of relative actions.
        action_std: `(A,)`.
    """

    state_mean: np.ndarray
    state_std: np.ndarray
    delta_mean: np.ndarray
    delta_std: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray

    def check(self) -> None:
        """Raises VilpError naming what is not finite, or a spread that is not above zero."""
        for field in fields(self):
            values = getattr(self, field.name)
            if not np.isfinite(values).all():
                raise VilpError(f"statistics: {field.name} holds NaN or Inf")
            if field.name.endswith("_std") and not (values > 0).all():
                raise VilpError(f"statistics: {field.name} is {values.min():g}, expected above 0")

    def tensors(self) -> dict[str, Tensor]:
        """The fields as float32 tensors, for a safetensors file."""
        return {f.name: torch.from_numpy(np.float32(getattr(self, f.name))) for f in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Statistics:
        """Inverse of `tensors`.

        Raises:
            VilpError: see `check`.
        """
        statistics = cls(**{f.name: tensors[f.name].float().numpy() for f in fields(cls)})
        statistics.check()
        return statistics


def floored_std(
    values: np.ndarray, floor: float, groups: Sequence[tuple[slice, float]]
) -> np.ndarray:
    """Standard deviation over the first axis, at least `floor` times its group's RMS.

    A latent dimension that the KL term switched off has almost no spread; dividing by it would
    ask the planner to forecast noise as carefully as the block's position; and so would dividing by
    the tremor of a hand that is never turned, or of fingers that never move.

    Args:
        values: `(N, ..., D)`.
        floor: fraction of the group's root mean square spread.
        groups: slices of the last axis whose numbers share a unit, and the least spread of each.
    """
    std = values.std(axis=0)
    for group, least in groups:
        part = std[..., group]
        std[..., group] = np.maximum(part, max(floor * np.sqrt(np.mean(part**2)), least))
    return std.astype(np.float32)
