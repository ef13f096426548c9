"""The VILP paper's low-level policy: which actions lead from one picture to the next."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.resnet import ResNet18


class FramePolicy(nn.Module):
    """Goal-conditioned ResNet-18 a view, shared by both frames, and an MLP.

    Args:
        views: number of views, V.
        interval: control periods between two frames of a plan: actions given a pair.
        proprio_dim: length of the proprio part; 0, as in the paper, ignores it.
        width: feature maps of the ResNets' first stage; the paper's is 64 (22.95 M for 2 views).
    """

    def __init__(self, views: int, interval: int, proprio_dim: int = 0, width: int = 64) -> None:
        super().__init__()
        self.interval, self.proprio_dim = interval, proprio_dim
        self.encoders = nn.ModuleList(ResNet18(pooled=True, width=width) for _ in range(views))
        features = 2 * views * 8 * width
        self.head = nn.Sequential(
            nn.Linear(features + proprio_dim, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, interval * ACTION_DIM),
        )

    def forward(self, first: Tensor, second: Tensor, proprio: Tensor) -> Tensor:
        """Relative actions of frame pairs.

        Args:
            first: `(P, V, H, W, 3)` uint8 or 0..255.
            second: the same, `interval` periods later.
            proprio: `(P, proprio_dim)` standardised proprio and change of the present; any length
                where it is ignored.

        Returns:
            `(P, interval, 7)` standardised.
        """
        seen = [
            encoder(torch.cat([a, b]))[:, 0].unflatten(0, (2, -1)).transpose(0, 1).flatten(1)
            for encoder, a, b in zip(self.encoders, first.unbind(1), second.unbind(1), strict=True)
        ]
        if self.proprio_dim:
            seen.append(proprio)
        return self.head(torch.cat(seen, dim=1)).unflatten(1, (self.interval, ACTION_DIM))
