"""UniPi (Du et al. 2023) without text, closed loop: plans frames in pixels, acts between them.

What VILP and LDP are compared with. A video diffusion model draws the frames to come; the first
frame, concatenated to each noisy one, is all that it is told. Inverse dynamics of frames, VILP's
low-level policy, gives the actions. No latents: every denoising step computes on every pixel. The
network is the one of VILP's paper in pixels, close to the U-Net that the paper compares with
(channels 64, multipliers 1, 2, 4), with full 3x3x3 convolutions instead of factorised ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.canvas import Size
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PlannerConfig, PolicyConfig, SamplerConfig
from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.layout import PROPRIO_DIM, Layout
from vilp_ros.policy.methods.vilp import VilpPolicy
from vilp_ros.policy.policy import Example, Noise, Previous
from vilp_ros.policy.resnet import LEAST_SIDE
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.statistics import Statistics
from vilp_ros.policy.video_planner import PerView
from vilp_ros.policy.video_unet3d import UNet3D

COLOURS = 3
TOKEN_DIM = 8


@dataclass
class Options:
    """What only this method knows.

    Attributes:
        shrink: sides of the frames are divided by this; the plan has what remains.
        width: feature maps of the inverse dynamics' first stage; 64 is ResNet-18.
    """

    shrink: int = 1
    width: int = 64


class UnipiPolicy(VilpPolicy):
    """VILP with pixels in [-1, 1] where that has latents; nothing of them is standardised."""

    autoencodes = False
    Options = Options

    @classmethod
    @override
    def layout(cls, config: PolicyConfig, views: Mapping[str, Size]) -> Layout:
        shrink = cls.options(config).shrink
        sizes = {(height // shrink, width // shrink) for height, width in views.values()}
        fits = all(h % 4 == w % 4 == 0 and min(h, w) >= LEAST_SIDE for h, w in sizes)
        if len(sizes) != 1 or not fits:
            raise VilpError(
                f"unipi needs views of one size, with sides of multiples of {4 * shrink} and at "
                f"least {LEAST_SIDE * shrink} (options.shrink is {shrink}), not {dict(views)}"
            )
        return Layout(len(views), (COLOURS, *sizes.pop()), forecasts_proprio=False)

    @classmethod
    @override
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        """`planner` and `low_level`."""
        if config.sampler.warm_start:
            raise VilpError("unipi knows no sampler.warm_start: leave it out")
        layout, width = cls.layout(config, views), cls.options(config).width
        low_level = FramePolicy(layout.views, config.frame_interval, 2 * PROPRIO_DIM, width)
        return {"planner": PixelPlanner(config, layout), "low_level": low_level}

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        layout, horizon = spec.layout, spec.horizon
        rows, dim = spec.plan_shape[0], layout.latent_dim
        shrink = cls.options(spec.policy).shrink
        examples: dict[str, Example] = {}
        for view, size in spec.views.items():
            frame = torch.zeros(1, *size, 3, dtype=torch.uint8)
            examples[f"encoder.{view}"] = ToPixels(shrink), (frame,)
            examples[f"decoder.{view}"] = FromPixels(layout.grid, shrink), (torch.zeros(rows, dim),)
        noisy = torch.zeros(samples, horizon, layout.forecast_dim)
        times = torch.zeros(samples, dtype=torch.int64)
        frames = torch.zeros(2, horizon, layout.views, *layout.grid[1:], COLOURS)
        proprio = torch.zeros(horizon, 2 * PROPRIO_DIM)
        return examples | {
            "planner": (modules["planner"], (noisy, times, noisy[:, 0].clone())),
            "low_level": (modules["low_level"], (*frames.unbind(), proprio)),
        }

    @classmethod
    @override
    def small(cls) -> PolicyConfig:
        options = {"shrink": 4, "width": 16}
        policy = PolicyConfig("unipi", horizon=5, frame_interval=2, options=options)
        policy.planner = PlannerConfig("video3d", channels=[32])
        policy.sampler = SamplerConfig(planner_steps=1)
        return policy

    @classmethod
    @override
    def plausible_statistics(cls, config: PolicyConfig, views: Mapping[str, Size]) -> Statistics:
        found = super().plausible_statistics(config, views)
        found.state_std[cls.layout(config, views).latents] = 1.0
        return found

    @property
    @override
    def acts_on_frames(self) -> bool:
        """False: the plan is frames."""
        return False

    @override
    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> np.ndarray:
        return super(VilpPolicy, self).encode(images, proprio, previous)

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        policy, pixels = self.spec.policy, self._layout.latents
        plans = np.empty((self.samples, self.spec.horizon + 1, len(state)), np.float32)
        plans[:] = state
        drawn = sample(
            lambda x, t, first: self._net["planner"](x, np.full(len(x), t), first),
            noise.plan,
            np.repeat(state[None, pixels], self.samples, axis=0),
            policy.sampler.planner_steps,
            policy.planner.prediction,
        )
        plans[:, 1:, pixels] = np.clip(drawn, -1.0, 1.0)
        return plans

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        frames = np.moveaxis((self.latents(plan) + 1.0) * 127.5, 2, -1)
        proprio = plan[:-1, self._layout.latents.stop :]
        relative = self._net["low_level"](frames[:-1], frames[1:], proprio)
        pose, _ = super(VilpPolicy, self).ee_path(plan[:1])
        return self._absolute(relative.reshape(self.spec.n_actions, -1), pose)


class PixelPlanner(nn.Module):
    """Denoises all frames of a plan, each with the first frame behind it.

    Args:
        config: `planner.kind` video3d, `channels` one width (the papers' 64), `joint` one network
            for all views or one a view.
        layout: of the rows.
    """

    def __init__(self, config: PolicyConfig, layout: Layout) -> None:
        super().__init__()
        planner = config.planner
        if planner.kind != "video3d" or len(planner.channels) != 1:
            raise VilpError(
                "unipi's planner is of kind video3d with one width, such as channels: [64]; not "
                f"{planner.kind} with {planner.channels}"
            )

        def network(views: int) -> nn.Module:
            return UNet3D(views, 2 * COLOURS, TOKEN_DIM, planner.channels[0], COLOURS)

        self.shape = (layout.views, *layout.grid)
        self.net = (
            network(layout.views)
            if planner.joint
            else PerView(network(1) for _ in range(layout.views))
        )
        self.register_buffer("no_text", torch.zeros(1, 1, TOKEN_DIM), persistent=False)

    def forward(self, noisy: Tensor, times: Tensor, first: Tensor) -> Tensor:
        """Prediction `(B, T, D)` for noisy frames `(B, T, D)`, times `(B,)`, first frame `(B, D)`.

        D is views, colours, rows and columns.
        """
        frames = noisy.unflatten(2, self.shape).transpose(1, 2)
        seen = first.unflatten(1, self.shape)[:, :, None].expand_as(frames)
        tokens = self.no_text.repeat(len(noisy), 1, 1)
        drawn = self.net(torch.cat([frames, seen], dim=3), times, tokens)
        return drawn.transpose(1, 2).flatten(2)


class ToPixels(nn.Module):
    """Frames `(B, H, W, 3)` uint8 to what is planned: smaller, in [-1, 1], `(B, 3 * h * w)`."""

    def __init__(self, shrink: int) -> None:
        super().__init__()
        self.shrink = shrink

    def forward(self, frames: Tensor) -> Tensor:
        """Frames to pixels."""
        return F.avg_pool2d(frames.permute(0, 3, 1, 2).float(), self.shrink).flatten(1) / 127.5 - 1


class FromPixels(nn.Module):
    """Inverse of `ToPixels`, as far as there is one: `(B, 3 * h * w)` to `(B, H, W, 3)` 0..255."""

    def __init__(self, grid: tuple[int, int, int], shrink: int) -> None:
        super().__init__()
        self.grid, self.shrink = grid, shrink

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to frames."""
        frames = (pixels.unflatten(1, self.grid) + 1.0) * 127.5
        if self.shrink > 1:
            frames = F.interpolate(frames, scale_factor=float(self.shrink), mode="bilinear")
        return frames.clamp(0.0, 255.0).permute(0, 2, 3, 1)
