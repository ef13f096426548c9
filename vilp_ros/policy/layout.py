"""What the numbers of a state row are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from vilp_ros.errors import VilpError
from vilp_ros.policy.config import AutoencoderConfig

PROPRIO_DIM = 10
"""xyz, rot6d and gripper width (see `vilp_ros.geometry.ee_proprio`)."""
SPATIAL_STRIDE = 8
LEAST_M, LEAST_TURN = 5e-4, 2e-3
"""Spread of metres and of rotations below which a number counts as constant: it is only noise."""


@dataclass(frozen=True)
class Layout:
    """A row is `[latents of all views | proprio | change of the proprio]`, C numbers.

    Attributes:
        views: number of views, V.
        latent_shape: of one view's latent: `(L,)`, or `(c, h, w)` of a grid.
        forecasts_proprio: whether a planner forecasts the proprio beside the latents.
    """

    views: int
    latent_shape: tuple[int, ...]
    forecasts_proprio: bool

    @property
    def latent_dim(self) -> int:
        """Length of one view's latent."""
        return prod(self.latent_shape)

    @property
    def latents(self) -> slice:
        """Latents of all views."""
        return slice(0, self.views * self.latent_dim)

    @property
    def proprio(self) -> slice:
        """The proprio."""
        return slice(self.latents.stop, self.latents.stop + PROPRIO_DIM)

    @property
    def change(self) -> slice:
        """Change of the proprio since the previous control period."""
        return slice(self.proprio.stop, self.row_dim)

    @property
    def row_dim(self) -> int:
        """Length of a row, C."""
        return self.latents.stop + 2 * PROPRIO_DIM

    @property
    def forecast_dim(self) -> int:
        """Length of what a planner forecasts, D: the first numbers of a row."""
        return self.proprio.stop if self.forecasts_proprio else self.latents.stop

    @property
    def grid(self) -> tuple[int, int, int]:
        """(c, h, w) of a latent grid.

        Raises:
            VilpError: the latents are vectors.
        """
        if len(self.latent_shape) != 3:
            raise VilpError("video plans need an autoencoder of kind 'spatial' or 'vqgan'")
        c, h, w = self.latent_shape
        return c, h, w

    def units(self) -> list[tuple[slice, float]]:
        """Numbers of a row that share a unit, and the least spread that means something.

        Latents a view, xyz, rot6d and width, and the latter three again.
        """
        size = self.latent_dim
        groups = [(slice(i * size, (i + 1) * size), 1e-6) for i in range(self.views)]
        for start in (self.proprio.start, self.change.start):
            groups += [
                (slice(start, start + 3), LEAST_M),
                (slice(start + 3, start + 9), LEAST_TURN),
                (slice(start + 9, start + 10), LEAST_M),
            ]
        return groups


def latent_shape(config: AutoencoderConfig, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of the latent of one frame of `size` (H, W)."""
    if config.kind in ("spatial", "vqgan"):
        return config.latent_channels, size[0] // SPATIAL_STRIDE, size[1] // SPATIAL_STRIDE
    return (config.latent_dim,)


def latent_layout(
    config: AutoencoderConfig, views: Mapping[str, tuple[int, int]], forecasts_proprio: bool
) -> Layout:
    """Layout of rows of latents and proprio.

    Args:
        config: of the autoencoders.
        views: view name to (height, width).
        forecasts_proprio: see `Layout`.

    Raises:
        VilpError: views whose latents differ in shape.
    """
    shapes = {latent_shape(config, size) for size in views.values()}
    if len(shapes) > 1:
        raise VilpError(f"views of one policy have latents of one shape, not {sorted(shapes)}")
    shape = shapes.pop() if shapes else (config.latent_dim,)
    return Layout(len(views), shape, forecasts_proprio)
