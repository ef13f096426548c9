"""Video planner made for a CPU: the frames of a plan are channels, its views share attention.

The VILP paper runs 3x3x3 convolutions over time in one network per view (`video_unet3d`). Here
one network denoises all views together: convolutions see one view and all its frames at once,
attention joins the views, so that they imagine the same future.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vilp_ros.policy.embedding import TimeEmbedding


class ConvBlock(nn.Module):
    """Two 3x3 convolutions on a skip; layer norm over channels, shifted and scaled by the time."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Maps `(B, C, h, w)` under time features `(B, width)`."""
        shift, scale = self.modulation(time)[:, :, None, None].chunk(2, dim=1)
        h = self.first(F.silu(channel_norm(x) * (1 + scale) + shift))
        return x + self.second(F.silu(h))


def channel_norm(x: Tensor) -> Tensor:
    """Layer norm of maps `(B, C, h, w)` over C: free in channels-last memory, unlike GroupNorm."""
    return F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)).permute(0, 3, 1, 2)


class AttentionBlock(nn.Module):
    """Self-attention over all views, cross-attention to the context, MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.query = nn.Linear(width, width)
        self.keys = nn.Linear(width, 2 * width)
        self.out, self.cross = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(approximate="tanh"), nn.Linear(3 * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        for layer in (self.out, self.cross, self.mlp[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, context: Tensor, time: Tensor) -> Tensor:
        """Tokens `(B, N, width)`, context `(B, M, width)`, time features `(B, width)`."""
        width = (x.shape[-1],)
        shift1, scale1, shift2, scale2, shift3, scale3 = self.modulation(time)[:, None].chunk(6, -1)
        h = F.layer_norm(x, width) * (1 + scale1) + shift1
        x = x + self.out(self._attend(*self.qkv(h).chunk(3, dim=-1)))
        h = F.layer_norm(x, width) * (1 + scale2) + shift2
        x = x + self.cross(self._attend(self.query(h), *self.keys(context).chunk(2, dim=-1)))
        return x + self.mlp(F.layer_norm(x, width) * (1 + scale3) + shift3)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        # Written out: on a CPU the fused kernel's backward makes a training step 1.5x slower.
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)


class VideoUNet(nn.Module):
    """Denoises the frames of all views, given tokens of what is seen now.

    Args:
        views: number of views, V.
        frames: frames of a view, T.
        grid: latent grid (C, h, w); h and w even.
        token_dim: length of a context token.
        channels: widths at full and at half resolution; the latter is that of the attention.
        depth: attention blocks.
    """

    def __init__(
        self,
        views: int,
        frames: int,
        grid: tuple[int, int, int],
        token_dim: int,
        channels: Sequence[int] = (96, 256),
        depth: int = 3,
    ) -> None:
        super().__init__()
        c, h, w = grid
        fine, width = channels
        self.time = TimeEmbedding(width)
        self.context = nn.Linear(token_dim, width)
        self.stem = nn.Conv2d(frames * c, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, width, 3, stride=2, padding=1)
        self.position = nn.Parameter(0.02 * torch.randn(views * (h // 2) * (w // 2), width))
        self.before = ConvBlock(fine, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, width // 64) for _ in range(depth))
        self.up = nn.Conv2d(width, 4 * fine, 1)
        self.after = nn.ModuleList(ConvBlock(fine, width) for _ in range(2))
        self.head = nn.Conv2d(fine, frames * c, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Prediction for noisy frames `(B, V, T, C, h, w)`, times `(B,)`, tokens `(B, N, D)`."""
        b, v, t, c, h, w = noisy.shape
        time = F.silu(self.time(times))
        each = time.repeat_interleave(v, dim=0)
        x = noisy.reshape(b * v, t * c, h, w).contiguous(memory_format=torch.channels_last)
        fine = self.before(self.stem(x), each)
        x = self.down(fine).flatten(2).transpose(1, 2).reshape(b, -1, self.down.out_channels)
        x = x + self.position
        context = self.context(tokens)
        for block in self.blocks:
            x = block(x, context, time)
        x = x.reshape(b * v, h // 2, w // 2, -1).permute(0, 3, 1, 2)
        x = fine + F.pixel_shuffle(self.up(x), 2)
        for conv in self.after:
            x = conv(x, each)
        return self.head(F.silu(channel_norm(x))).reshape(b, v, t, c, h, w)
