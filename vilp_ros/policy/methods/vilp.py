"""Imitation learning with latent video planning (VILP section III)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.canvas import Size
from vilp_ros.policy.config import AutoencoderConfig, PlannerConfig, PolicyConfig, choose
from vilp_ros.policy.diffusion import share_noise
from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.latent_policy import LatentPolicy
from vilp_ros.policy.layout import PROPRIO_DIM, Layout
from vilp_ros.policy.pair_policy import GridPolicy
from vilp_ros.policy.policy import Example, Noise, Previous
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.video_planner import (
    CONDITIONING,
    Context,
    FrameContext,
    LatentContext,
    PerView,
    VideoPlanner,
)
from vilp_ros.policy.video_unet import VideoUNet
from vilp_ros.policy.video_unet3d import UNet3D


class VilpPolicy(LatentPolicy):
    """Forecasts frames of all views together, and finds the actions between each and the next.

    A state is a row and, behind it, the planner's context `(C + K,)`. Future rows of a plan repeat
    the present proprio: only frames are forecast. All actions are relative to the present pose,
    so that an error of one pair is not carried on to the next.
    """

    forecasts_proprio = False

    @classmethod
    @override
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        """`planner`, and `low_level`, which learns from its frames too."""
        layout = cls.layout(config, views)
        planner = build_planner(config, layout)
        return {"planner": planner, "low_level": build_low_level(config, layout)}

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        layout, horizon, planner = spec.layout, spec.horizon, modules["planner"]
        assert isinstance(planner, VideoPlanner)
        state = torch.zeros(1, layout.row_dim)
        size = next(iter(spec.views.values()))
        frames = torch.zeros(2, horizon, layout.views, *size, 3, dtype=torch.uint8)
        seen = (state, frames[0, :1]) if planner.sees_frames else (state,)
        with torch.inference_mode():
            context = planner.context(*seen).clone()
        noisy = torch.zeros(samples, horizon, layout.forecast_dim)
        times = torch.zeros(samples, dtype=torch.int64)
        rows = torch.zeros(horizon, layout.row_dim)
        pair: tuple[Tensor, ...] = (rows, torch.zeros(horizon, layout.forecast_dim))
        if isinstance(modules["low_level"], FramePolicy):
            pair = (*frames.unbind(), rows[:, layout.latents.stop :])
        return super().examples(spec, modules, samples) | {
            "context": (Context(planner), seen),
            "low_level": (modules["low_level"], pair),
            "planner": (planner, (noisy, times, context.repeat(samples, 1))),
        }

    @classmethod
    @override
    def small(cls) -> PolicyConfig:
        policy = PolicyConfig(method="vilp", horizon=5, frame_interval=2)
        policy.autoencoder = AutoencoderConfig("spatial", latent_dim=8, channels=[8, 8])
        policy.planner = PlannerConfig("video", width=32, depth=1, channels=[8, 64])
        policy.low_level.channels, policy.low_level.width = [8, 8, 8], 16
        policy.idm.width = 32
        return policy

    @property
    @override
    def acts_on_frames(self) -> bool:
        return self.spec.policy.low_level.kind == "frames"

    @override
    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> np.ndarray:
        row = super().encode(images, proprio, previous)
        frames = (images[None],) if self.spec.policy.planner.encoder == "resnet" else ()
        return np.concatenate([row, self._net["context"](row[None], *frames)[0]])

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        row, context = np.split(state, [self._layout.row_dim])
        plans = np.empty((self.samples, self.spec.horizon + 1, len(row)), np.float32)
        plans[:] = row
        plans[:, 1:, self._layout.latents] = self._draw(row, context[None], noise, previous)
        return plans

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        stats, latents = self._stats, plan[:, self._layout.latents]
        if self.acts_on_frames:
            frames, proprio = self.decode(plan), plan[:-1, self._layout.latents.stop :]
            relative = self._net["low_level"](frames[:-1], frames[1:], proprio)
        else:
            step = (np.diff(latents, axis=0) - stats.delta_mean[0]) / stats.delta_std[0]
            relative = self._net["low_level"](plan[:-1], step.astype(np.float32))
        pose, _ = super().ee_path(plan[:1])
        return self._absolute(relative.reshape(self.spec.n_actions, -1), pose)

    @override
    def ee_path(self, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As planned by the actions: frames alone do not tell a pose."""
        poses, widths = super().ee_path(plan[:1])
        ends = self.act(plan, self.noise(0))[
            self.spec.policy.frame_interval - 1 :: self.spec.policy.frame_interval
        ]
        return np.concatenate([poses, ends[:, :7]]), np.concatenate([widths, ends[:, 7]])

    @override
    def _plan_noise(self, rng: np.random.Generator) -> np.ndarray:
        layout = self._layout
        shape = (self.spec.horizon, layout.views, layout.latent_dim)
        own = rng.standard_normal(shape, dtype=np.float32)
        common = rng.standard_normal((shape[0], 1, shape[2]), dtype=np.float32)
        mixed = share_noise(own, common, self.spec.policy.planner.shared_noise)
        return mixed.reshape(shape[0], -1)


def build_planner(config: PolicyConfig, layout: Layout) -> VideoPlanner:
    """The video planner."""
    planner, grid, views = config.planner, layout.grid, layout.views
    conditioning = planner.conditioning
    choose("planner.conditioning", conditioning, CONDITIONING)
    choose("planner.encoder", planner.encoder, ("light", "resnet"))
    choose("planner.kind (of vilp)", planner.kind, ("video", "video3d"))
    context = LatentContext if planner.encoder == "light" else FrameContext
    encoder = context(views, grid, 2 * PROPRIO_DIM, conditioning)
    frames = config.horizon + (conditioning in ("concatenation", "both"))

    def network(views: int) -> nn.Module:
        if planner.kind == "video3d":
            return UNet3D(views, grid[0], encoder.token_dim, planner.channels[0])
        return VideoUNet(views, frames, grid, encoder.token_dim, planner.channels, planner.depth)

    net = network(views) if planner.joint else PerView(network(1) for _ in range(views))
    return VideoPlanner(net, encoder, (views, *grid), config.horizon, conditioning)


def build_low_level(config: PolicyConfig, layout: Layout) -> LowLevel | FramePolicy:
    """The low-level policy."""
    choose("low_level.kind", config.low_level.kind, ("latents", "frames"))
    if config.low_level.kind == "frames":
        return FramePolicy(layout.views, config.frame_interval, 2 * PROPRIO_DIM)
    return LowLevel(config, layout)


class LowLevel(nn.Module):
    """Neighbouring rows of a video plan to the actions between them."""

    def __init__(self, config: PolicyConfig, layout: Layout) -> None:
        super().__init__()
        self.split = [layout.latents.stop, 2 * PROPRIO_DIM]
        low = config.low_level
        self.net = GridPolicy(
            2,
            layout.views,
            layout.grid,
            2 * PROPRIO_DIM,
            config.frame_interval,
            low.channels,
            low.width,
        )

    def forward(self, row: Tensor, step: Tensor) -> Tensor:
        """Rows `(P, C)` and the latents' change to the next row `(P, D)` to `(P, interval, A)`.

        The actions are relative to the end effector's pose at the observation, which the rows'
        proprio tells.
        """
        latents, proprio = row.split(self.split, dim=1)
        return self.net(torch.cat([latents, step], dim=1), proprio)
