"""Autoencoder with a codebook (VQGAN, Esser et al. 2021), as the VILP paper trains one per view.

Interface of the continuous autoencoders: what is planned is the encoder's output before the
codebook, as in the paper; decoding snaps it to the nearest codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError

STRIDE = 8


class VQGAN(nn.Module):
    """Frames `(B, 3, H, W)` in [-1, 1] to a grid `(C, H / 8, W / 8)`, flattened, and back.

    diffusers' VQModel, which has the layers of taming-transformers' VQModel in the paper's
    configuration (57.07 M parameters: encoder 23.08 M, decoder 34.00 M, codebook 3,072, attention
    in the middle blocks only). Different here: frames in [-1, 1] instead of [0, 1], and a codebook
    that starts among the encoder's outputs (`seed_codebook`). taming draws it from +-1/codebook,
    so that all places of a frame start at the one or two outermost codes.

    Args:
        size: (H, W) of the frames, multiples of 8; the paper's video planner needs 32.
        latent_channels: channels of the grid, C.
        codebook: number of codes.
        channels: feature maps at strides 1, 2, 4 and 8, multiples of 32.

    Raises:
        VilpError: the size or the widths do not fit.
    """

    def __init__(
        self,
        size: tuple[int, int],
        latent_channels: int = 3,
        codebook: int = 1024,
        channels: Sequence[int] = (128, 128, 256, 512),
    ) -> None:
        super().__init__()
        from diffusers import VQModel

        if size[0] % STRIDE or size[1] % STRIDE:
            raise VilpError(f"VQGAN takes frames of multiples of 8, not {size[0]}x{size[1]}")
        if len(channels) != 4 or any(c % 32 for c in channels):
            raise VilpError(f"VQGAN takes four widths, multiples of 32, not {list(channels)}")
        self.latent_shape = (latent_channels, size[0] // STRIDE, size[1] // STRIDE)
        self.latent_dim = latent_channels * self.latent_shape[1] * self.latent_shape[2]
        self.net = VQModel(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=tuple(channels),
            layers_per_block=2,
            latent_channels=latent_channels,
            num_vq_embeddings=codebook,
            norm_num_groups=32,
        )

    @property
    def last_layer(self) -> Tensor:
        """Weight that makes the pixels: where the losses' gradients are compared."""
        return self.net.decoder.conv_out.weight

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Latents `(B, latent_dim)` of frames `(B, 3, H, W)`, and a log-variance of almost none."""
        mean = self.net.encode(frames).latents.float().flatten(1)
        return mean, torch.full_like(mean, -10.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Frames `(B, 3, H, W)`, about [-1, 1], of the codes nearest to `(B, latent_dim)`."""
        grid = latent.unflatten(1, self.latent_shape)
        index = self._quantise(grid)[2]
        codes = self.net.quantize.embedding(index).unflatten(0, (-1, *self.latent_shape[1:]))
        return self.net.decode(codes.permute(0, 3, 1, 2), force_not_quantize=True).sample

    def train_losses(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One pass with the straight-through gradient from decoder to encoder.

        Args:
            frames: `(B, 3, H, W)` in [-1, 1].

        Returns:
            Rebuilt frames; the loss that draws codes and latents together, taming's as the paper
            runs it (`legacy`: 0.25 weighs the codes' side, not the latents'); and the index of
            the code of every place, `(B * h * w,)`.
        """
        codes, loss, index = self._quantise(self.net.encode(frames).latents)
        return self.net.decode(codes, force_not_quantize=True).sample, loss, index

    def seed_codebook(self, frames: Tensor) -> None:
        """Sets the codes to latents of `frames`, drawn with torch's global generator."""
        with torch.no_grad():
            latents = self.net.encode(frames).latents.movedim(1, -1).flatten(0, 2)
            weight = self.net.quantize.embedding.weight
            weight.copy_(latents[torch.randint(len(latents), (len(weight),))])

    def _quantise(self, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes, loss and indices; in float32, since bf16 distances tie between close codes."""
        with torch.autocast(grid.device.type, enabled=False):
            codes, loss, (_, _, index) = self.net.quantize(grid.float())
        return codes, loss, index


class PatchDiscriminator(nn.Module):
    """Tells recorded from rebuilt frames, patch by patch (PatchGAN, Isola et al. 2017): 2.77 M.

    GroupNorm where the paper's has BatchNorm: the verdict on a frame then depends on that frame
    alone, not on whether recorded and rebuilt ones share a batch, and there are no running
    statistics that averaged weights or several processes would not match.

    Args:
        width: feature maps of the first layer.
        layers: strided convolutions.
    """

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for layer in range(1, layers + 1):
            inputs, outputs = (width * min(2**n, 8) for n in (layer - 1, layer))
            body += [
                nn.Conv2d(inputs, outputs, 4, 2 if layer < layers else 1, 1, bias=False),
                nn.GroupNorm(outputs // 16, outputs),
                nn.LeakyReLU(0.2),
            ]
        self.net = nn.Sequential(*body, nn.Conv2d(outputs, 1, 4, 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, frames: Tensor) -> Tensor:
        """Verdicts `(B, 1, h, w)` on frames `(B, 3, H, W)`: above 0 recorded, below rebuilt."""
        return self.net(frames)
