"""Conditional 1-D U-Net over time (Chi et al. 2023): Diffusion Policy's, and LDP's planner."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.embedding import TimeEmbedding


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, 5, padding=2), nn.GroupNorm(8, outputs), nn.Mish()
    )


class FilmBlock(nn.Module):
    """Two convolutions with a per-channel scale and bias from the condition between them."""

    def __init__(self, inputs: int, outputs: int, condition_dim: int) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs)
        self.second = _conv(outputs, outputs)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition_dim, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Features `(B, inputs, T)` under condition `(B, C)` to `(B, outputs, T)`."""
        scale, bias = self.film(condition)[..., None].chunk(2, 1)
        return self.second(self.first(x) * scale + bias) + self.skip(x)


class PlanUNet(nn.Module):
    """Denoises the next `horizon` states; the condition enters by FiLM in every block.

    Args:
        state_dim: length of a state, D.
        condition_dim: length of the condition, C.
        horizon: number of future states, T; a multiple of 4 (two halvings).
        channels: widths of the three levels; the paper's are 256, 512, 1024 (65.6 M parameters).

    Raises:
        VilpError: the horizon is no multiple of 4.
    """

    def __init__(
        self,
        state_dim: int,
        condition_dim: int,
        horizon: int,
        channels: Sequence[int] = (256, 512, 1024),
    ) -> None:
        super().__init__()
        if horizon % 4:
            raise VilpError(f"planner kind 'unet' needs a horizon that 4 divides, not {horizon}")
        features = 256
        c = features + condition_dim
        a, b, d = channels
        self.time = TimeEmbedding(features)
        self.down = nn.ModuleList(
            nn.ModuleList([FilmBlock(i, o, c), FilmBlock(o, o, c), last])
            for i, o, last in (
                (state_dim, a, nn.Conv1d(a, a, 3, 2, 1)),
                (a, b, nn.Conv1d(b, b, 3, 2, 1)),
                (b, d, nn.Identity()),
            )
        )
        self.middle = nn.ModuleList([FilmBlock(d, d, c), FilmBlock(d, d, c)])
        self.up = nn.ModuleList(
            nn.ModuleList([FilmBlock(2 * i, o, c), FilmBlock(o, o, c), last])
            for i, o, last in (
                (d, b, nn.ConvTranspose1d(b, b, 4, 2, 1)),
                (b, a, nn.ConvTranspose1d(a, a, 4, 2, 1)),
            )
        )
        self.head = nn.Sequential(_conv(a, a), nn.Conv1d(a, state_dim, 1))

    def forward(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """Prediction `(B, T, D)` for noisy states `(B, T, D)`, times `(B,)`, condition `(B, C)`."""
        c = torch.cat([self.time(times), condition], -1)
        x = noisy.transpose(1, 2)
        skips = []
        for first, second, shrink in self.down:
            x = second(first(x, c), c)
            skips.append(x)
            x = shrink(x)
        for block in self.middle:
            x = block(x, c)
        for first, second, grow in self.up:
            x = grow(second(first(torch.cat([x, skips.pop()], 1), c), c))
        return self.head(x).transpose(1, 2)
