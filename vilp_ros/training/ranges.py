"""Numbers of a recipe that no training can have: each would train something else, unnoticed."""

from __future__ import annotations

import math
from dataclasses import fields
from operator import attrgetter
from typing import Any

from vilp_ros.errors import VilpError

ABOVE_0 = 1e-12
MOST_SEED = 2**63 - 1
"""The most that torch and numpy take alike."""

_SHARES = (
    "planner.pure_noise",
    "idm.suboptimal_share",
    "low_level.imagined_share",
    "low_level.suboptimal_share",
    "robust.drawn_share",
    "robust.clean_share",
    "robust.adapt_clean_share",
)
_WEIGHTS = (
    "autoencoder.beta",
    "autoencoder.contrast",
    "autoencoder.foresight",
    "autoencoder.vqgan.contrast",
    "autoencoder.vqgan.perceptual_weight",
    "autoencoder.vqgan.codebook",
    "autoencoder.vqgan.adversarial",
    "idm.noise",
    "low_level.noise",
    "robust.warp_otherwise",
)


def check_ranges(recipe: Any) -> None:
    """Raises VilpError naming the first number of a `Recipe` that is out of its range."""
    for key in _SHARES:
        in_range(key, attrgetter(key)(recipe) or 0.0, 0, 1)  # null: the method's own
    for key in _WEIGHTS:
        in_range(key, attrgetter(key)(recipe), 0, math.inf)
    robust = recipe.robust
    for view, factor in robust.warp.items():
        in_range(f"robust.warp.{view}", factor, 0, math.inf)
    for item in fields(robust.alterations):
        strength = getattr(robust.alterations, item.name)
        in_range(f"robust.alterations.{item.name}", strength, 0, math.inf)
    in_range("robust.drawn_share + clean_share", robust.drawn_share + robust.clean_share, 0, 1)
    in_range("robust.adapt_steps", robust.adapt_steps, 0, math.inf)
    in_range("seed", recipe.seed, 0, MOST_SEED)
    _check_foresight(recipe.autoencoder)


def in_range(key: str, found: float, low: float, high: float) -> None:
    """Raises VilpError where a number is not finite or not in `low` to `high`."""
    if not (math.isfinite(found) and low <= found <= high):
        raise VilpError(f"{key} is {found}, expected {low} to {high}")


def _check_foresight(autoencoder: Any) -> None:
    steps = autoencoder.foresight_steps
    if autoencoder.foresight and not steps:
        raise VilpError(
            "autoencoder.foresight_steps is empty: name control periods ahead, or set "
            "autoencoder.foresight to 0"
        )
    for ahead in steps:
        in_range("autoencoder.foresight_steps", ahead, 1, math.inf)
