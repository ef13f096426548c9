"""Diffusion Policy, the CNN (Chi et al. 2023): denoises a chunk of actions under what is seen.

The paper's image encoder, U-Net and schedule. Different here, as in the LDP paper's comparison: one
observation is seen, not two (the change of the proprio tells the speed). Actions are relative to
the present pose and standardised, where the paper scales them to [-1, 1] and clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.canvas import Size, views_on
from vilp_ros.errors import VilpError
from vilp_ros.geometry import proprio_to_ee
from vilp_ros.policy.actions import ACTION_DIM, absolute_actions
from vilp_ros.policy.chunk_policy import ChunkPolicy
from vilp_ros.policy.config import PlannerConfig, PolicyConfig, SamplerConfig
from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.layout import PROPRIO_DIM
from vilp_ros.policy.policy import Example, Noise, Previous
from vilp_ros.policy.resnet import LEAST_SIDE, ResNet18
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.unet1d import PlanUNet

ROW_DIM = 2 * PROPRIO_DIM


@dataclass
class Options:
    """What only this method knows.

    Attributes:
        width: feature maps of the ResNets' first stage; 64 is ResNet-18.
        keypoints: of the spatial softmax, a view.
        features: numbers that the U-Net is told of each view.
        shrink: sides of the frames are divided by this first.
        crop: share of each side that is seen: anywhere in training, the middle at run time.
    """

    width: int = 64
    keypoints: int = 32
    features: int = 64
    shrink: int = 1
    crop: float = 0.9


class DiffusionPolicy(ChunkPolicy):
    """A state is the standardised proprio and its change, and behind them the views' features."""

    denoises = True
    Options = Options

    @classmethod
    @override
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        """`planner`: image encoders and U-Net, trained as one."""
        if config.sampler.warm_start or config.frame_interval != 1:
            raise VilpError(
                "diffusion_policy knows no sampler.warm_start and gives an action a control period "
                "(frame_interval 1): leave both out"
            )
        return {"planner": ChunkDenoiser(views, config, cls.options(config))}

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        net = modules["planner"]
        assert isinstance(net, ChunkDenoiser)
        noisy = torch.zeros(samples, spec.horizon, ACTION_DIM)
        times = torch.zeros(samples, dtype=torch.int64)
        examples: dict[str, Example] = {
            f"encoder.{view}": (encoder, (torch.zeros(1, *size, 3, dtype=torch.uint8),))
            for (view, size), encoder in zip(spec.views.items(), net.encoders, strict=True)
        }
        condition = torch.zeros(samples, net.condition_dim)
        return examples | {"denoiser": (net.denoiser, (noisy, times, condition))}

    @classmethod
    @override
    def small(cls) -> PolicyConfig:
        options = {"width": 16, "keypoints": 4, "features": 8, "shrink": 2}
        policy = PolicyConfig(method="diffusion_policy", horizon=8, options=options)
        policy.planner = PlannerConfig("unet", channels=[16, 16, 16])
        policy.sampler = SamplerConfig(planner_steps=2)
        return policy

    @override
    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> np.ndarray:
        change = np.zeros_like(proprio) if previous is None else proprio - previous
        raw = np.concatenate([proprio, change])
        row = (raw - self._stats.state_mean) / self._stats.state_std
        features = [
            self._net[f"encoder.{view}"](np.ascontiguousarray(image)[None])[0]
            for view, image in zip(
                self.spec.views, views_on(images, self.spec.views.values()), strict=True
            )
        ]
        return np.concatenate([row, *features]).astype(np.float32)

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        policy, stats = self.spec.policy, self._stats
        chunks = sample(
            lambda x, t, c: self._net["denoiser"](x, np.full(len(x), t), c),
            noise.plan,
            np.repeat(state[None], self.samples, axis=0),
            policy.sampler.planner_steps,
            policy.planner.prediction,
        )
        row = state[:ROW_DIM] * stats.state_std + stats.state_mean
        pose, _ = proprio_to_ee(row[:PROPRIO_DIM])
        return absolute_actions(chunks * stats.action_std + stats.action_mean, pose[None, None])

    @override
    def chunk(self, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return self.imagine(state, Noise(noise[None], noise))[0]


class ViewEncoder(nn.Module):
    """Frames of one view to features: ResNet-18 with GroupNorm, spatial softmax, a linear layer.

    The softmax turns each of K maps into the mean place of its mass (Finn et al. 2016).
    """

    def __init__(self, size: Size, options: Options) -> None:
        super().__init__()
        self.shrink = options.shrink
        small = [side // options.shrink for side in size]
        self.window = [round(options.crop * side) for side in small]
        if min(self.window) < LEAST_SIDE:
            raise VilpError(
                f"diffusion_policy sees {self.window[0]}x{self.window[1]} of frames of "
                f"{size[0]}x{size[1]} (options.shrink {options.shrink}, options.crop "
                f"{options.crop}): {LEAST_SIDE} are the least"
            )
        self.corner = [(side - seen) // 2 for side, seen in zip(small, self.window)]
        resnet = ResNet18(width=options.width)
        self.resnet = resnet.net
        self.keypoints = nn.Conv2d(resnet.token_dim, options.keypoints, 1)
        self.out = nn.Linear(2 * options.keypoints, options.features)

    def features(self, window: Tensor) -> Tensor:
        """`(B, F)` of what was cut out, `(B, *window, 3)` in 0..255."""
        maps = self.keypoints(self.resnet(window.permute(0, 3, 1, 2).float() / 127.5 - 1.0))
        h, w = maps.shape[-2:]
        mass = maps.flatten(2).softmax(-1)
        y = torch.linspace(-1.0, 1.0, h, device=maps.device).repeat_interleave(w)
        x = torch.linspace(-1.0, 1.0, w, device=maps.device).repeat(h)
        places = torch.cat([(mass * x).sum(-1), (mass * y).sum(-1)], dim=-1)
        return self.out(places)

    def forward(self, frames: Tensor) -> Tensor:
        """`(B, F)` of frames `(B, H, W, 3)` uint8."""
        small = shrunk(frames, self.shrink)
        (y, x), (height, width) = self.corner, self.window
        return self.features(small[:, y : y + height, x : x + width])


class ChunkDenoiser(nn.Module):
    """Encoders of all views, and the U-Net that they and the proprio condition by FiLM.

    Args:
        views: view name to (height, width).
        config: horizon, a multiple of 4, and widths of the U-Net; the paper's are 512, 1024, 2048.
        options: of the encoders.
    """

    def __init__(self, views: Mapping[str, Size], config: PolicyConfig, options: Options) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(ViewEncoder(size, options) for size in views.values())
        self.condition_dim = ROW_DIM + len(views) * options.features
        self.denoiser = PlanUNet(
            ACTION_DIM, self.condition_dim, config.horizon, config.planner.channels
        )


def shrunk(frames: Tensor, factor: int) -> Tensor:
    """Frames `(B, H, W, 3)` with both sides divided, each pixel the mean of its square, 0..255."""
    if factor == 1:
        return frames.float()
    return F.avg_pool2d(frames.permute(0, 3, 1, 2).float(), factor).permute(0, 2, 3, 1)
