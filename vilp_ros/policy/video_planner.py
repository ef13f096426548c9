"""Conditions a video network on what is seen now (VILP section III), on flat rows in and out.

The paper's code attends to a single token, so that its cross-attention is a learned bias: with one
key the softmax is 1. Here every place of every view is a token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError

CONDITIONING = ("tokens", "single", "concatenation", "both")
"""Cross-attention to spatial tokens; to one token (the paper's code); present frame concatenated
to the noisy ones (the paper's ablation); tokens and concatenation."""


class ContextEncoder(nn.Module):
    """Present latents of all views and proprio to context tokens `(B, N, D)`.

    Args:
        views: number of views, each with an encoder of its own.
        grid: latent grid (C, h, w); h and w even.
        proprio_dim: length of the proprio part.
        conditioning: one of `CONDITIONING`.
        width: token length, D.
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
        self.grid, self.conditioning = (views, *grid), conditioning
        self.proprio = nn.Sequential(
            nn.Linear(proprio_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.cells = views * (h // 2) * (w // 2)
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
            self.position = nn.Parameter(0.02 * torch.randn(self.cells, width))

    @property
    def tokens(self) -> int:
        """Number of tokens, N."""
        return {"single": 1, "concatenation": 1}.get(self.conditioning, self.cells + 1)

    def forward(self, latents: Tensor, proprio: Tensor) -> Tensor:
        """Latents `(B, V * C * h * w)` and proprio `(B, P)`, both standardised."""
        state = self.proprio(proprio)[:, None]
        if self.conditioning == "concatenation":
            return state
        frames = latents.unflatten(1, self.grid).unbind(1)
        maps = [encode(frame) for encode, frame in zip(self.views, frames, strict=True)]
        seen = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1) + self.position
        if self.conditioning == "single":
            return seen.mean(1, keepdim=True) + state
        return torch.cat([seen, state], dim=1)


class VideoPlanner(nn.Module):
    """A video network on flat frames, with its context.

    Args:
        net: denoises `(B, V, T, C, h, w)` given times and tokens, frames as many as it gets.
        encoder: makes the tokens.
        horizon: future frames, T.
        conditioning: one of `CONDITIONING`.

    Raises:
        VilpError: unknown conditioning.
    """

    def __init__(
        self, net: nn.Module, encoder: ContextEncoder, horizon: int, conditioning: str
    ) -> None:
        super().__init__()
        if conditioning not in CONDITIONING:
            raise VilpError(
                f"planner.conditioning {conditioning!r}; available: {', '.join(CONDITIONING)}"
            )
        self.net, self.encoder, self.horizon = net, encoder, horizon
        self.concatenates = conditioning in ("concatenation", "both")
        views, c, h, w = encoder.grid
        self.frame_dim = views * c * h * w

    def context(self, state: Tensor) -> Tensor:
        """What all denoising steps of a plan share: `(B, K)` of states `(B, C)`."""
        latents, proprio = state.split([self.frame_dim, state.shape[1] - self.frame_dim], dim=1)
        tokens = self.encoder(latents, proprio).flatten(1)
        return torch.cat([latents, tokens], dim=1) if self.concatenates else tokens

    def forward(self, noisy: Tensor, times: Tensor, context: Tensor) -> Tensor:
        """Prediction `(B, T, D)` for noisy frames `(B, T, D)`, times `(B,)`, context `(B, K)`."""
        views, c, h, w = self.encoder.grid
        if self.concatenates:
            present, context = context.split(
                [self.frame_dim, context.shape[1] - self.frame_dim], dim=1
            )
            noisy = torch.cat([present[:, None], noisy], dim=1)
        frames = noisy.unflatten(2, (views, c, h, w)).transpose(1, 2)
        out = self.net(frames, times, context.unflatten(1, (self.encoder.tokens, -1)))
        return out.transpose(1, 2)[:, -self.horizon :].flatten(2)


class Context(nn.Module):
    """`VideoPlanner.context` as a network of its own, run once a plan."""

    def __init__(self, planner: VideoPlanner) -> None:
        super().__init__()
        self.planner = planner

    def forward(self, state: Tensor) -> Tensor:
        """States `(B, C)` to contexts `(B, K)`."""
        return self.planner.context(state)
