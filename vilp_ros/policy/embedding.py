"""Sinusoidal embedding of the diffusion time, shared by all denoisers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Diffusion time `(B,)` to features `(B, width)`: sinusoid, linear, SiLU, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer(
            "frequencies",
            torch.exp(-math.log(1000.0) * torch.arange(64) / 64),
            persistent=False,
        )
        self.mlp = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, times: Tensor) -> Tensor:
        """Times `(B,)` to `(B, width)`."""
        angle = times.float()[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], -1))
