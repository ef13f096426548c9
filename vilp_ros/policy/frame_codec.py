"""Frames of one view to latents and back: the autoencoders by their kind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.autoencoder import LightVAE, PaperVAE
from vilp_ros.policy.config import AutoencoderConfig, choose
from vilp_ros.policy.spatial_autoencoder import SpatialVAE
from vilp_ros.policy.vqgan import VQGAN

AUTOENCODERS: dict[str, Callable[[AutoencoderConfig, tuple[int, int]], nn.Module]] = {
    "light": lambda c, size: LightVAE(size, c.latent_dim, c.channels),
    "paper": lambda c, size: PaperVAE(size, c.latent_dim, c.channels),
    "spatial": lambda c, size: SpatialVAE(size, c.latent_channels, c.channels),
    "vqgan": lambda c, size: VQGAN(size, c.latent_channels, c.codebook, c.channels),
}


def build_autoencoder(config: AutoencoderConfig, size: tuple[int, int]) -> nn.Module:
    """The autoencoder of one view of `size` (H, W).

    Raises:
        VilpError: there is none of that kind and shape.
    """
    choose("autoencoder.kind", config.kind, AUTOENCODERS)
    try:
        return AUTOENCODERS[config.kind](config, size)
    except (ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
        found = str(error).split("\n")[0]
        raise VilpError(
            f"no {config.kind} autoencoder has channels {config.channels} and takes frames of "
            f"{size[0]}x{size[1]} ({found})"
        ) from error


class FrameEncoder(nn.Module):
    """uint8 frames `(B, H, W, 3)` to posterior means `(B, latent_dim)`."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, frames: Tensor) -> Tensor:
        """Frames to latents."""
        return self.vae.posterior(to_signed(frames))[0]


class FrameDecoder(nn.Module):
    """Latents `(B, latent_dim)` to frames `(B, H, W, 3)` float in 0..255."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        """Latents to frames."""
        frames = self.vae.decode(latent).permute(0, 2, 3, 1)
        return ((frames + 1.0) * 127.5).clamp(0.0, 255.0)


def to_signed(frames: Tensor) -> Tensor:
    """uint8 `(B, H, W, 3)` to float `(B, 3, H, W)` in [-1, 1]."""
    return frames.to(torch.float32).div(127.5).sub(1.0).permute(0, 3, 1, 2)
