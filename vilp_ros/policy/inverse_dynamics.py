"""Networks that give actions: the diffusion inverse dynamics and its behaviour-cloning control."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vilp_ros.policy.embedding import TimeEmbedding


class ResidualMLP(nn.Module):
    """Pre-norm MLP-ResNet of IDQL (Hansen-Estruch et al. 2023), as in LDP section 4.3."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 4 * width),
                nn.ReLU(),
                nn.Linear(4 * width, width),
            )
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs)` to `(B, outputs)`."""
        x = self.embed(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(F.relu(x))


class InverseDynamics(nn.Module):
    """Denoises the action between two states (LDP section 4.3).

    Args:
        action_dim: length of a relative action, A.
        condition_dim: length of the condition, C.
        width: model width.
        blocks: residual blocks.
    """

    def __init__(
        self, action_dim: int, condition_dim: int, width: int = 256, blocks: int = 3
    ) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.net = ResidualMLP(action_dim + condition_dim + width, action_dim, width, blocks)

    def forward(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """Prediction `(B, A)` for noisy actions `(B, A)`, times `(B,)`, condition `(B, C)`."""
        return self.net(torch.cat([noisy, condition, self.time(times)], -1))
