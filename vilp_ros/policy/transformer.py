"""State planner as an adaLN transformer over the horizon (DiT, Peebles and Xie 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vilp_ros.policy.embedding import TimeEmbedding


class Block(nn.Module):
    """Self-attention and MLP, each shifted, scaled and gated by the condition."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Tokens `(B, T, width)` under condition `(B, width)`."""
        b, t, width = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(
            6, -1
        )
        h = F.layer_norm(x, (width,)) * (1 + scale1) + shift1
        q, k, v = self.qkv(h).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width)
        x = x + gate1 * self.out(h)
        h = F.layer_norm(x, (width,)) * (1 + scale2) + shift2
        return x + gate2 * self.mlp(h)


class PlanTransformer(nn.Module):
    """Denoises the next `horizon` states given the current one.

    Args:
        state_dim: length of a state, D.
        condition_dim: length of the condition, C.
        horizon: number of future states, T.
        width: model width.
        depth: number of blocks.
        heads: attention heads.
    """

    def __init__(
        self,
        state_dim: int,
        condition_dim: int,
        horizon: int,
        width: int = 192,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.condition = nn.Sequential(
            nn.Linear(condition_dim, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.embed = nn.Linear(state_dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, state_dim)
        for layer in (self.modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """Prediction `(B, T, D)` for noisy states `(B, T, D)`, times `(B,)`, condition `(B, C)`."""
        c = F.silu(self.time(times) + self.condition(condition))
        x = self.embed(noisy) + self.position
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.modulation(c)[:, None].chunk(2, -1)
        return self.head(F.layer_norm(x, (x.shape[-1],)) * (1 + scale) + shift)
