"""Low-level policy on latents: which actions lead from one frame of a video plan to the next.

VILP maps pairs of decoded pictures to actions with a ResNet a view. A pair of latents holds the
same, and the plan need not be decoded to act.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vilp_ros.policy.actions import ACTION_DIM


class GridTower(nn.Module):
    """Latent grid `(B, C, h, w)` of one view to features; strides 1, 2 and 4 of the grid."""

    def __init__(self, grid: tuple[int, int, int], channels: Sequence[int], features: int) -> None:
        super().__init__()
        c, h, w = grid
        a, b, d = channels
        cells = -(-h // 4) * -(-w // 4)
        self.net = nn.Sequential(
            nn.Conv2d(c, a, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(b, b, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(b, d, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(d * cells, features),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, h, w)` to `(B, features)`."""
        return self.net(x)


class GridPolicy(nn.Module):
    """Latent grids of several frames of all views, and proprio, to relative actions.

    With two frames, one of a plan and its change to the next, it is VILP's low-level policy; with
    the present frame alone, behaviour cloning.

    Args:
        frames: grids a view, F.
        views: number of views, V, each with a tower of its own.
        grid: (C, h, w).
        proprio_dim: length of the proprio part.
        steps: actions given, N.
        channels: widths of the towers.
        width: width of the head.
    """

    def __init__(
        self,
        frames: int,
        views: int,
        grid: tuple[int, int, int],
        proprio_dim: int,
        steps: int,
        channels: Sequence[int] = (48, 96, 96),
        width: int = 256,
    ) -> None:
        super().__init__()
        c, h, w = grid
        self.grid, self.steps = (frames, views, *grid), steps
        self.towers = nn.ModuleList(
            GridTower((frames * c, h, w), channels, width) for _ in range(views)
        )
        self.head = nn.Sequential(
            nn.Linear(views * width + proprio_dim, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, steps * ACTION_DIM),
        )

    def forward(self, latents: Tensor, proprio: Tensor) -> Tensor:
        """`(B, F * V * C * h * w)` and `(B, P)`, standardised, to actions `(B, N, 7)`."""
        views = latents.unflatten(1, self.grid).transpose(1, 2).flatten(2, 3).unbind(1)
        seen = [tower(view) for tower, view in zip(self.towers, views, strict=True)]
        return self.head(torch.cat([*seen, proprio], dim=1)).unflatten(1, (self.steps, ACTION_DIM))
