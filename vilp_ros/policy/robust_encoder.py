"""Encoders that see past paint, light and a bumped camera: what the policy sees with, if trained.

A robust encoder takes an altered frame and gives the latent that the autoencoder would have given
of the clean one, so that all behind it stays as it is. It starts as the autoencoder's own encoder,
to which it adds what begins at zero: see `vilp_ros.training.robust`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.autoencoder import LightVAE, ResidualBlock, light_features
from vilp_ros.policy.config import AutoencoderConfig, RobustEncoderConfig
from vilp_ros.policy.spatial_autoencoder import STRIDE, SpatialVAE


class VectorEncoder(nn.Module):
    """The encoder of a `LightVAE`, with deeper features and an MLP beside its linear layer.

    Args:
        size: (H, W) of the frames, multiples of 16.
        autoencoder: whose latents it gives.
        config: what it adds.
    """

    def __init__(
        self, size: tuple[int, int], autoencoder: AutoencoderConfig, config: RobustEncoderConfig
    ) -> None:
        super().__init__()
        c16 = autoencoder.channels[2]
        cells, latent = (size[0] // 16) * (size[1] // 16), autoencoder.latent_dim
        self.features = nn.Sequential(*light_features(autoencoder.channels))
        self.deeper = nn.Sequential(*(ResidualBlock(c16) for _ in range(config.blocks)), nn.SiLU())
        self.linear = nn.Linear(cells * c16, latent)
        self.mlp = nn.Sequential(
            nn.Conv2d(c16, config.reduced, 1),
            nn.Flatten(),
            nn.SiLU(),
            nn.Linear(cells * config.reduced, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            nn.Linear(config.width, latent),
        )
        nn.init.zeros_(self.mlp[-1].weight)
        nn.init.zeros_(self.mlp[-1].bias)

    def start_from(self, vae: nn.Module) -> None:
        """Takes over the weights of the autoencoder's encoder: gives the same latents then."""
        assert isinstance(vae, LightVAE)
        layers = list(vae.encoder)
        self.features.load_state_dict(nn.Sequential(*layers[: len(self.features)]).state_dict())
        last = layers[-1]
        self.linear.weight.data.copy_(last.weight[: vae.latent_dim])
        self.linear.bias.data.copy_(last.bias[: vae.latent_dim])

    def forward(self, frames: Tensor) -> Tensor:
        """Latents `(B, latent_dim)` of frames `(B, 3, H, W)` in [-1, 1]."""
        x = self.deeper(self.features(frames))
        return (self.linear(x.flatten(1)) + self.mlp(x)).float()


class GridEncoder(nn.Module):
    """The encoder of a `SpatialVAE`, which sees 9 cells, told what the whole picture looks like.

    Args:
        autoencoder: whose latents it gives.
        config: what it adds.
    """

    def __init__(self, autoencoder: AutoencoderConfig, config: RobustEncoderConfig) -> None:
        super().__init__()
        c4, c8 = autoencoder.channels
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, c4, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(c4, c8, 3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList(ResidualBlock(c8) for _ in range(2))
        wide = config.context
        self.context = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(c8, wide, 3, stride=2, padding=1),
            *(ResidualBlock(wide) for _ in range(config.blocks)),
            nn.SiLU(),
        )
        self.near = nn.Conv2d(wide, c8, 1)
        self.whole = nn.Linear(wide, 2 * c8)
        self.after = ResidualBlock(c8)
        self.out = nn.Conv2d(c8, autoencoder.latent_channels, 1)
        for layer in (self.near, self.whole):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def start_from(self, vae: nn.Module) -> None:
        """Takes over the weights of the autoencoder's encoder: gives the same latents then."""
        assert isinstance(vae, SpatialVAE)
        layers = list(vae.encoder)
        self.stem.load_state_dict(nn.Sequential(*layers[:4]).state_dict())
        for block, layer in zip(self.blocks, layers[4:6], strict=True):
            block.load_state_dict(layer.state_dict())
        channels = vae.latent_shape[0]
        self.out.weight.data.copy_(layers[-1].weight[:channels])
        self.out.bias.data.copy_(layers[-1].bias[:channels])

    def forward(self, frames: Tensor) -> Tensor:
        """Latents `(B, c * h * w)` of frames `(B, 3, H, W)` in [-1, 1]."""
        x = self.stem(frames)
        seen = self.context(x)
        gain, offset = self.whole(seen.mean((-2, -1)))[..., None, None].chunk(2, dim=1)
        near = nn.functional.interpolate(self.near(seen), x.shape[-2:], mode="nearest")
        x = self.blocks[0](x * (1 + gain) + offset + near)
        x = self.after(self.blocks[1](x))
        return self.out(nn.functional.silu(x)).flatten(1).float()


def build_encoder(
    autoencoder: AutoencoderConfig, config: RobustEncoderConfig, size: tuple[int, int]
) -> VectorEncoder | GridEncoder:
    """The robust encoder of a view of `size` (H, W).

    Raises:
        VilpError: there is none for this kind of autoencoder, or of this size.
    """
    if autoencoder.kind == "light":
        return VectorEncoder(size, autoencoder, config)
    if autoencoder.kind == "spatial":
        if size[0] % (2 * STRIDE) or size[1] % (2 * STRIDE):
            raise VilpError(f"a robust encoder takes frames of multiples of 16, not {size}")
        return GridEncoder(autoencoder, config)
    raise VilpError(
        f"no robust encoder for autoencoder.kind {autoencoder.kind!r}: it starts from a 'light' or "
        "a 'spatial' one; set policy.robust_encoder to null"
    )


class RobustFrameEncoder(nn.Module):
    """uint8 frames `(B, H, W, 3)` to latents `(B, latent_dim)` with a robust encoder."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, frames: Tensor) -> Tensor:
        """Frames to latents."""
        signed = frames.to(torch.float32).div(127.5).sub(1.0).permute(0, 3, 1, 2)
        return self.encoder(signed)
