"""Variational autoencoders that turn one view's frame into a short latent vector (LDP section 4.1).

Two networks behind one interface: `LightVAE`, made for two CPU cores, and `PaperVAE`, the shape of
the LDP paper on diffusers' AutoencoderKL. Both take frames `(B, 3, H, W)` in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vilp_ros.errors import VilpError


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions on a skip; no normalisation, which costs a third of a step on a CPU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        nn.init.zeros_(self.body[-1].weight)  # starts as identity: stable without normalisation
        nn.init.zeros_(self.body[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to the same shape."""
        return x + self.body(x)


def light_features(channels: Sequence[int]) -> list[nn.Module]:
    """Layers from frames to features `(B, channels[2], H / 16, W / 16)` at strides 4, 8 and 16."""
    c4, c8, c16 = channels
    return [
        nn.PixelUnshuffle(4),
        nn.Conv2d(48, c4, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(c4, c8, 3, stride=2, padding=1),
        ResidualBlock(c8),
        nn.Conv2d(c8, c16, 3, stride=2, padding=1),
        ResidualBlock(c16),
    ]


class LightVAE(nn.Module):
    """Convolutional VAE with a 4x4 pixel-unshuffle stem and one linear bottleneck.

    Residual blocks stand at strides 8 and 16 only: at stride 4 they would double the cost.

    Args:
        size: (H, W) of the frames, multiples of 16.
        latent_dim: length of the latent vector.
        channels: feature maps at strides 4, 8 and 16.

    Raises:
        VilpError: the size is no multiple of 16.
    """

    def __init__(
        self, size: tuple[int, int], latent_dim: int, channels: Sequence[int] = (48, 96, 128)
    ) -> None:
        super().__init__()
        if size[0] % 16 or size[1] % 16:
            raise VilpError(f"LightVAE takes frames of multiples of 16, not {size[0]}x{size[1]}")
        self.latent_dim = latent_dim
        c4, c8, c16 = channels
        grid = (c16, size[0] // 16, size[1] // 16)
        flat = grid[0] * grid[1] * grid[2]
        self.encoder = nn.Sequential(
            *light_features(channels),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(flat, 2 * latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, flat),
            nn.Unflatten(1, grid),
            ResidualBlock(c16),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c16, c8, 3, padding=1),
            ResidualBlock(c8),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c8, c4, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(c4, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each `(B, latent_dim)`, of frames `(B, 3, H, W)` in [-1, 1]."""
        mean, logvar = self.encoder(frames).float().chunk(2, dim=-1)
        return mean, logvar.clamp(-10.0, 4.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Frames `(B, 3, H, W)`, about [-1, 1], of latents `(B, latent_dim)`."""
        return self.decoder(latent)


class PaperVAE(nn.Module):
    """The LDP paper's beta-VAE on diffusers' AutoencoderKL; stride 32, flattened latent.

    Args:
        size: (H, W) of the frames, multiples of 32.
        latent_dim: must equal channels_out * H/32 * W/32; 96x160 with 4 channels gives 60.
        channels: widths of the six blocks; the paper's by default (41.7 M parameters).

    Raises:
        VilpError: the size or the latent length does not fit the stride.
    """

    def __init__(
        self,
        size: tuple[int, int],
        latent_dim: int,
        channels: Sequence[int] = (128, 256, 256, 256, 256, 256),
    ) -> None:
        super().__init__()
        from diffusers import AutoencoderKL

        self.latent_dim = latent_dim
        cells = (size[0] // 32) * (size[1] // 32)
        if size[0] % 32 or size[1] % 32 or latent_dim % cells:
            raise VilpError(
                f"PaperVAE at {size[0]}x{size[1]} needs sides that are multiples of 32 and a "
                f"latent_dim that is a multiple of {max(cells, 1)}, not {latent_dim}"
            )
        self.grid = (latent_dim // cells, size[0] // 32, size[1] // 32)
        self.net = AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * len(channels),
            up_block_types=("UpDecoderBlock2D",) * len(channels),
            block_out_channels=tuple(channels),
            layers_per_block=2,
            latent_channels=self.grid[0],
            norm_num_groups=32,
            sample_size=max(size),
        )

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each `(B, latent_dim)`, of frames `(B, 3, H, W)` in [-1, 1]."""
        dist = self.net.encode(frames).latent_dist
        return dist.mean.flatten(1).float(), dist.logvar.flatten(1).float().clamp(-10.0, 4.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Frames `(B, 3, H, W)`, about [-1, 1], of latents `(B, latent_dim)`."""
        return self.net.decode(latent.unflatten(1, self.grid)).sample


AUTOENCODERS: dict[str, type[LightVAE] | type[PaperVAE]] = {"light": LightVAE, "paper": PaperVAE}


def vae_loss(
    frames: Tensor, rebuilt: Tensor, mean: Tensor, logvar: Tensor, weight: Tensor, beta: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted mean-pixel MSE plus `beta` times KL summed over latent dimensions (LDP: 1e-5).

    Args:
        frames: `(B, 3, H, W)` truth in [-1, 1].
        rebuilt: `(B, 3, H, W)` decoded.
        mean: `(B, latent_dim)`.
        logvar: `(B, latent_dim)`.
        weight: `(B, 1, H, W)` pixel weights, so that small objects count.
        beta: weight of the KL term.

    Returns:
        The loss and its parts by name.
    """
    error = (rebuilt.float() - frames).square()
    reconstruction = (error * weight).sum() / (weight.sum() * frames.shape[1])
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(-1).mean()
    return reconstruction + beta * kl, {
        "reconstruction": reconstruction.detach(),
        "kl": kl.detach(),
        "mse": error.mean().detach(),
    }
