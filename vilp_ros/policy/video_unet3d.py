"""The VILP paper's video planner: a U-Net of 3x3x3 convolutions over frames, rows and columns.

LDM's UNetModel with `dims=3`, as in the paper's code. It differs in the sinusoid of the diffusion
time, which has 128 features at every width (LDM: as many as `model_channels`), and in what it
attends to: any number of context tokens. The paper gives one, and with one key the softmax is 1,
so that its cross-attention adds the same vector to every place of every frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.embedding import TimeEmbedding

HEAD_DIM = 8
MULTIPLIERS = (1, 2, 4)
BLOCKS = 2
"""Residual blocks a level on the way down, one more on the way up."""


class ConvBlock(nn.Module):
    """Two 3x3x3 convolutions on a skip, with the time added between them."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv3d(inputs, outputs, 3, padding=1)
        )
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(width, outputs))
        self.second = nn.Sequential(
            nn.GroupNorm(32, outputs), nn.SiLU(), _zero(nn.Conv3d(outputs, outputs, 3, padding=1))
        )
        self.skip = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Maps `(B, inputs, T, h, w)` under time features `(B, width)`."""
        h = self.first(x) + self.time(time)[:, :, None, None, None]
        return self.skip(x) + self.second(h)


class Attention(nn.Module):
    """Multi-head attention of tokens to a context, with heads of 8 numbers."""

    def __init__(self, width: int, context_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context_dim, width, bias=False)
        self.value = nn.Linear(context_dim, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Tokens `(B, M, width)`, context `(B, N, context_dim)`."""
        parts = (self.query(x), self.key(context), self.value(context))
        q, k, v = (part.unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2) for part in parts)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Attention over all places of all frames, to the context, and a GEGLU; no positions."""

    def __init__(self, width: int, token_dim: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.enter = nn.Conv3d(width, width, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own = Attention(width, width)
        self.cross = Attention(width, token_dim)
        self.gate = nn.Linear(width, 8 * width)
        self.out = nn.Linear(4 * width, width)
        self.leave = _zero(nn.Conv3d(width, width, 1))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Maps `(B, width, T, h, w)` with context tokens `(B, N, D)`."""
        h = self.enter(self.norm(x)).flatten(2).transpose(1, 2)
        first, second, third = self.norms
        n = first(h)
        h = h + self.own(n, n)
        h = h + self.cross(second(h), tokens)
        value, gate = self.gate(third(h)).chunk(2, dim=-1)
        h = h + self.out(value * F.gelu(gate))
        return x + self.leave(h.transpose(1, 2).reshape(x.shape))


class Level(nn.Module):
    """A residual block, and attention after it at the coarsest resolution."""

    def __init__(
        self, inputs: int, outputs: int, time_dim: int, token_dim: int, attends: bool
    ) -> None:
        super().__init__()
        self.conv = ConvBlock(inputs, outputs, time_dim)
        self.attention = TransformerBlock(outputs, token_dim) if attends else None

    def forward(self, x: Tensor, time: Tensor, tokens: Tensor) -> Tensor:
        """Maps `(B, inputs, T, h, w)` to `(B, outputs, T, h, w)`."""
        x = self.conv(x, time)
        return x if self.attention is None else self.attention(x, tokens)


class UNet3D(nn.Module):
    """Denoises the frames of `views` views at once, stacked in channels; the paper has one view.

    Args:
        views: number of views, V.
        channels: channels of a latent, C.
        token_dim: length of a context token, D.
        model_channels: width of the finest level, a multiple of 32; the paper's are 64 and 128.
        outputs: channels of a denoised frame; as many as it is given unless told otherwise.
    """

    def __init__(
        self,
        views: int,
        channels: int,
        token_dim: int,
        model_channels: int = 64,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        time_dim, pixels = 4 * model_channels, views * (outputs or channels)
        self.time = TimeEmbedding(time_dim)
        self.stem = nn.Conv3d(views * channels, model_channels, 3, padding=1)
        width, deepest = model_channels, len(MULTIPLIERS) - 1
        skips = [width]
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        for level, multiplier in enumerate(MULTIPLIERS):
            blocks = nn.ModuleList()
            for _ in range(BLOCKS):
                outputs = multiplier * model_channels
                blocks.append(Level(width, outputs, time_dim, token_dim, level == deepest))
                width = outputs
                skips.append(width)
            self.down.append(blocks)
            if level < deepest:
                self.shrink.append(nn.Conv3d(width, width, 3, stride=(1, 2, 2), padding=1))
                skips.append(width)
        self.middle = nn.ModuleList(
            Level(width, width, time_dim, token_dim, attends) for attends in (True, False)
        )
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        for level in range(deepest, -1, -1):
            blocks = nn.ModuleList()
            for _ in range(BLOCKS + 1):
                outputs = MULTIPLIERS[level] * model_channels
                inputs = width + skips.pop()
                blocks.append(Level(inputs, outputs, time_dim, token_dim, level == deepest))
                width = outputs
            self.up.append(blocks)
            if level:
                self.grow.append(nn.Conv3d(width, width, 3, padding=1))
        self.head = nn.Sequential(
            nn.GroupNorm(32, width), nn.SiLU(), _zero(nn.Conv3d(width, pixels, 3, padding=1))
        )

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Prediction for noisy frames `(B, V, T, C, h, w)`, times `(B,)`, tokens `(B, N, D)`.

        Raises:
            VilpError: h or w is no multiple of 4.
        """
        h, w = noisy.shape[-2:]
        if not torch.jit.is_tracing() and (h % 4 or w % 4):
            raise VilpError(
                f"UNet3D halves the latents twice: {h}x{w} must be multiples of 4, which frames of "
                "multiples of 32 give"
            )
        time = self.time(times)
        x = self.stem(noisy.transpose(2, 3).flatten(1, 2))
        skips = [x]
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, time, tokens)
                skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
                skips.append(x)
        for block in self.middle:
            x = block(x, time, tokens)
        for level, blocks in enumerate(self.up):
            for block in blocks:
                x = block(torch.cat([x, skips.pop()], dim=1), time, tokens)
            if level < len(self.grow):
                x = self.grow[level](F.interpolate(x, scale_factor=(1.0, 2.0, 2.0)))
        return self.head(x).unflatten(1, (noisy.shape[1], -1)).transpose(2, 3)


def _zero(layer: nn.Conv3d) -> nn.Conv3d:
    """Weights at zero: the block starts as identity, the network as a constant."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
