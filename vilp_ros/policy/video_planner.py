"""Conditions a video network on what is seen now (VILP section III), on flat rows in and out.

The paper's code attends to a single token, so that its cross-attention is a learned bias: with one
key the softmax is 1. Here every place of every view is a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor, nn

from vilp_ros.policy.resnet import ResNet18

CONDITIONING = ("tokens", "single", "concatenation", "both")
"""Cross-attention to spatial tokens; to one token (the paper's code); present frame concatenated
to the noisy ones (the paper's ablation); tokens and concatenation."""


class LatentContext(nn.Module):
    """Present latents of all views and proprio to context tokens: cheap, nothing is seen twice.

    Args:
        views: number of views, V, each with an encoder of its own.
        grid: latent grid (C, h, w); h and w even.
        proprio_dim: length of the proprio part, P.
        conditioning: one of `CONDITIONING`.
        width: token length.

    Attributes:
        token_dim: token length, D.
        tokens: number of tokens, N.
    """

    def __init__(
        self,
        views: int,
        grid: tuple[int, int, int],
        proprio_dim: int,
        conditioning: str,
        width: int = 128,
    ) -> None:
        super().__init__()
        c, h, w = grid
        self.grid, self.conditioning, self.token_dim = (views, *grid), conditioning, width
        cells = views * (h // 2) * (w // 2)
        self.tokens = 1 if conditioning in ("single", "concatenation") else cells + 1
        self.proprio = nn.Sequential(
            nn.Linear(proprio_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        if conditioning != "concatenation":
            self.views = nn.ModuleList(
                nn.Sequential(
                    nn.Conv2d(c, width // 2, 3, padding=1),
                    nn.SiLU(),
                    nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
                    nn.SiLU(),
                    nn.Conv2d(width, width, 3, padding=1),
                )
                for _ in range(views)
            )
            self.position = nn.Parameter(0.02 * torch.randn(cells, width))

    def forward(self, latents: Tensor, proprio: Tensor, frames: Tensor | None) -> Tensor:
        """Tokens `(B, N, D)`.

        Args:
            latents: `(B, V * C * h * w)`, standardised.
            proprio: `(B, P)`, standardised.
            frames: not looked at.
        """
        state = self.proprio(proprio)[:, None]
        if self.conditioning == "concatenation":
            return state
        grids = latents.unflatten(1, self.grid).unbind(1)
        maps = [encode(grid) for encode, grid in zip(self.views, grids, strict=True)]
        seen = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1) + self.position
        if self.conditioning == "single":
            return seen.mean(1, keepdim=True) + state
        return torch.cat([seen, state], dim=1)


class FrameContext(nn.Module):
    """Present frames of all views, through a ResNet-18 each as in the paper, and proprio to tokens.

    With `single`, the paper's: the pooled features of all views and the raw proprio in one token.

    Args:
        views: number of views, V.
        grid: latent grid (C, h, w) of frames of 8h x 8w; h and w multiples of 4.
        proprio_dim: length of the proprio part, P.
        conditioning: one of `CONDITIONING`.

    Attributes:
        token_dim: token length, D.
        tokens: number of tokens, N.
    """

    def __init__(
        self, views: int, grid: tuple[int, int, int], proprio_dim: int, conditioning: str
    ) -> None:
        super().__init__()
        self.pooled = conditioning in ("single", "concatenation")
        self.views = nn.ModuleList(ResNet18(self.pooled) for _ in range(views))
        features = self.views[0].token_dim
        if self.pooled:
            self.token_dim, self.tokens = views * features + proprio_dim, 1
        else:
            cells = views * (grid[1] // 4) * (grid[2] // 4)
            self.token_dim, self.tokens = features, cells + 1
            self.proprio = nn.Linear(proprio_dim, features)
            self.position = nn.Parameter(0.02 * torch.randn(cells, features))

    def forward(self, latents: Tensor, proprio: Tensor, frames: Tensor) -> Tensor:
        """Tokens `(B, N, D)`.

        Args:
            latents: not looked at.
            proprio: `(B, P)`, standardised.
            frames: `(B, V, H, W, 3)` uint8.
        """
        seen = [encode(f) for encode, f in zip(self.views, frames.unbind(1), strict=True)]
        if self.pooled:
            return torch.cat([*seen, proprio[:, None]], dim=2)
        return torch.cat(
            [torch.cat(seen, dim=1) + self.position, self.proprio(proprio)[:, None]], dim=1
        )


class PerView(nn.Module):
    """The paper's multi-view planner: one network a view, each given the tokens of all views.

    Nothing joins the views but what they are conditioned on: with independent noise they may
    imagine different futures.

    Args:
        nets: video networks of one view each.
    """

    def __init__(self, nets: Iterable[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Prediction for noisy frames `(B, V, T, C, h, w)`, times `(B,)`, tokens `(B, N, D)`."""
        views = noisy.split(1, dim=1)
        return torch.cat(
            [net(view, times, tokens) for net, view in zip(self.nets, views, strict=True)], dim=1
        )


class VideoPlanner(nn.Module):
    """A video network on flat frames, with its context.

    Args:
        net: denoises `(B, V, T, C, h, w)` given times and tokens, frames as many as it gets.
        encoder: makes the tokens.
        grid: (V, C, h, w).
        horizon: future frames, T.
        conditioning: one of `CONDITIONING`.

    Attributes:
        sees_frames: whether the context is made from frames beside the state.
    """

    def __init__(
        self,
        net: nn.Module,
        encoder: LatentContext | FrameContext,
        grid: tuple[int, int, int, int],
        horizon: int,
        conditioning: str,
    ) -> None:
        super().__init__()
        self.net, self.encoder, self.grid, self.horizon = net, encoder, grid, horizon
        self.sees_frames = isinstance(encoder, FrameContext)
        self.concatenates = conditioning in ("concatenation", "both")
        self.frame_dim = prod(grid)

    def context(self, state: Tensor, frames: Tensor | None = None) -> Tensor:
        """What all denoising steps of a plan share: `(B, K)`.

        Args:
            state: `(B, C)`.
            frames: `(B, V, H, W, 3)` uint8, where `sees_frames`.
        """
        latents, proprio = state.split([self.frame_dim, state.shape[1] - self.frame_dim], dim=1)
        tokens = self.encoder(latents, proprio, frames).flatten(1)
        return torch.cat([latents, tokens], dim=1) if self.concatenates else tokens

    def forward(self, noisy: Tensor, times: Tensor, context: Tensor) -> Tensor:
        """Prediction `(B, T, D)` for noisy frames `(B, T, D)`, times `(B,)`, context `(B, K)`."""
        if self.concatenates:
            present, context = context.split(
                [self.frame_dim, context.shape[1] - self.frame_dim], dim=1
            )
            noisy = torch.cat([present[:, None], noisy], dim=1)
        frames = noisy.unflatten(2, self.grid).transpose(1, 2)
        out = self.net(frames, times, context.unflatten(1, (self.encoder.tokens, -1)))
        return out.transpose(1, 2)[:, -self.horizon :].flatten(2)


class Context(nn.Module):
    """`VideoPlanner.context` as a network of its own, run once a plan."""

    def __init__(self, planner: VideoPlanner) -> None:
        super().__init__()
        self.planner = planner

    def forward(self, state: Tensor, frames: Tensor | None = None) -> Tensor:
        """States `(B, C)`, and frames where they are seen, to contexts `(B, K)`."""
        return self.planner.context(state, frames)
