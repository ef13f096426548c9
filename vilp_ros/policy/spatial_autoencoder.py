"""Continuous f = 8 autoencoder that keeps where things are: VILP's VQGAN without the codebook.

A grid of latents costs a planner more numbers than LDP's single vector, and gives back pictures
that a person can read. Made for two CPU cores: no normalisation, no attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.autoencoder import ResidualBlock

STRIDE = 8


class SpatialVAE(nn.Module):
    """Frames `(B, 3, H, W)` in [-1, 1] to a grid `(C, H / 8, W / 8)`, flattened, and back.

    Args:
        size: (H, W) of the frames, multiples of 8.
        latent_channels: channels of the grid, C.
        channels: feature maps at strides 4 and 8.

    Raises:
        VilpError: the size is no multiple of 8.
    """

    def __init__(
        self, size: tuple[int, int], latent_channels: int = 4, channels: Sequence[int] = (48, 96)
    ) -> None:
        super().__init__()
        if size[0] % STRIDE or size[1] % STRIDE:
            raise VilpError(f"SpatialVAE takes frames of multiples of 8, not {size[0]}x{size[1]}")
        self.latent_shape = (latent_channels, size[0] // STRIDE, size[1] // STRIDE)
        self.latent_dim = latent_channels * self.latent_shape[1] * self.latent_shape[2]
        c4, c8 = channels
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, c4, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(c4, c8, 3, stride=2, padding=1),
            ResidualBlock(c8),
            ResidualBlock(c8),
            nn.SiLU(),
            nn.Conv2d(c8, 2 * latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, c8, 3, padding=1),
            ResidualBlock(c8),
            ResidualBlock(c8),
            nn.SiLU(),
            nn.Conv2d(c8, 4 * c4, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(c4, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each `(B, latent_dim)`, of frames `(B, 3, H, W)` in [-1, 1]."""
        mean, logvar = self.encoder(frames).float().chunk(2, dim=1)
        return mean.flatten(1), logvar.flatten(1).clamp(-10.0, 4.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Frames `(B, 3, H, W)`, about [-1, 1], of latents `(B, latent_dim)`."""
        grid = latent.unflatten(1, self.latent_shape)
        return self.decoder(grid.contiguous(memory_format=torch.channels_last))
