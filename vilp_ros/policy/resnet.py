"""ResNet-18 with GroupNorm (He et al. 2016; Wu and He 2018): what the VILP paper sees with."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

LEAST_SIDE = 24
"""Pixels a side, below which its last maps have one place: bf16 gradients of such were seen NaN."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions on a skip."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            _norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            _norm(outputs),
        )
        self.skip = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs))
            if stride > 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`."""
        return F.relu(self.body(x) + self.skip(x))


class ResNet18(nn.Module):
    """Frames of one view to tokens: one a place of the last map, or one in all.

    Weights start at random, as in the paper. Its frames are shifted to [-1, 1] and then once more
    by ImageNet's mean and deviation, which are meant for [0, 1]; here they are [-1, 1].

    Args:
        pooled: average over the last map, as in the paper, instead of a token a place.
        width: feature maps of the first stage, a multiple of 16; 64 is ResNet-18 (11.18 M).

    Attributes:
        token_dim: length of a token.
    """

    def __init__(self, pooled: bool = False, width: int = 64) -> None:
        super().__init__()
        self.pooled = pooled
        self.token_dim = 8 * width
        stages = [(width, width, 1)] + [(width * n, width * 2 * n, 2) for n in (1, 2, 4)]
        self.net = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False),
            _norm(width),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            *(
                block
                for inputs, outputs, stride in stages
                for block in (BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))
            ),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        """Tokens `(B, H/32 * W/32 or 1, token_dim)` of frames `(B, H, W, 3)`, uint8 or 0..255."""
        x = self.net(frames.permute(0, 3, 1, 2).float() / 127.5 - 1.0)
        tokens = x.flatten(2).transpose(1, 2)
        return tokens.mean(1, keepdim=True) if self.pooled else tokens


def _norm(channels: int) -> nn.GroupNorm:
    """16 channels a group, as in the paper's code."""
    return nn.GroupNorm(channels // 16, channels)
