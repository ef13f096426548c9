"""Builds the networks of a policy from its config; training and loading share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.autoencoder import LightVAE, PaperVAE
from vilp_ros.policy.config import AutoencoderConfig, PolicyConfig
from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.inverse_dynamics import InverseDynamics, ResidualMLP
from vilp_ros.policy.layout import PROPRIO_DIM, Layout
from vilp_ros.policy.pair_policy import GridPolicy
from vilp_ros.policy.spatial_autoencoder import SpatialVAE
from vilp_ros.policy.transformer import PlanTransformer
from vilp_ros.policy.unet1d import PlanUNet
from vilp_ros.policy.video_planner import (
    CONDITIONING,
    FrameContext,
    LatentContext,
    PerView,
    VideoPlanner,
)
from vilp_ros.policy.video_unet import VideoUNet
from vilp_ros.policy.video_unet3d import UNet3D
from vilp_ros.policy.vqgan import VQGAN

AUTOENCODERS: dict[str, Callable[[AutoencoderConfig, tuple[int, int]], nn.Module]] = {
    "light": lambda c, size: LightVAE(size, c.latent_dim, c.channels),
    "paper": lambda c, size: PaperVAE(size, c.latent_dim, c.channels),
    "spatial": lambda c, size: SpatialVAE(size, c.latent_channels, c.channels),
    "vqgan": lambda c, size: VQGAN(size, c.latent_channels, c.codebook, c.channels),
}


def build_autoencoder(config: AutoencoderConfig, size: tuple[int, int]) -> nn.Module:
    """The autoencoder of one view of `size` (H, W)."""
    _choose("autoencoder.kind", config.kind, AUTOENCODERS)
    return AUTOENCODERS[config.kind](config, size)


def build_parts(policy: PolicyConfig, layout: Layout) -> dict[str, nn.Module]:
    """Every network but the autoencoders, by name, in the order in which they are trained."""
    if policy.method == "bc":
        return {"bc": BehaviourCloning(policy, layout)}
    if policy.method == "vilp":
        planner = build_video_planner(policy, layout)
        return {"planner": planner, "low_level": build_low_level(policy, layout)}
    return {"planner": build_planner(policy, layout), "idm": build_idm(policy, layout)}


def build_planner(config: PolicyConfig, layout: Layout) -> PlanTransformer | PlanUNet:
    """LDP's state planner."""
    state, condition = layout.forecast_dim, layout.row_dim
    planner = config.planner
    _choose("planner.kind (of ldp)", planner.kind, ("transformer", "unet"))
    if planner.kind == "unet":
        return PlanUNet(state, condition, config.horizon, planner.channels)
    return PlanTransformer(state, condition, config.horizon, planner.width, planner.depth)


def build_video_planner(config: PolicyConfig, layout: Layout) -> VideoPlanner:
    """VILP's video planner."""
    planner, grid, views = config.planner, layout.grid, layout.views
    conditioning = planner.conditioning
    _choose("planner.conditioning", conditioning, CONDITIONING)
    _choose("planner.encoder", planner.encoder, ("light", "resnet"))
    _choose("planner.kind (of vilp)", planner.kind, ("video", "video3d"))
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
    """VILP's low-level policy."""
    _choose("low_level.kind", config.low_level.kind, ("latents", "frames"))
    if config.low_level.kind == "frames":
        return FramePolicy(layout.views, config.frame_interval, 2 * PROPRIO_DIM)
    return LowLevel(config, layout)


def build_idm(config: PolicyConfig, layout: Layout) -> InverseDynamics:
    """The inverse dynamics; its condition is state k, its change to state k + 1, last change."""
    dim = 2 * layout.forecast_dim + PROPRIO_DIM
    return InverseDynamics(ACTION_DIM, dim, config.idm.width, config.idm.blocks)


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


class BehaviourCloning(nn.Module):
    """State `(B, C)` to a chunk of relative actions `(B, N, A)`: the control without a planner."""

    def __init__(self, config: PolicyConfig, layout: Layout) -> None:
        super().__init__()
        self.steps = config.horizon * config.frame_interval
        self.split = [layout.latents.stop, 2 * PROPRIO_DIM]
        self.spatial = len(layout.latent_shape) == 3
        if self.spatial:
            low = config.low_level
            self.net: nn.Module = GridPolicy(
                1,
                layout.views,
                layout.grid,
                2 * PROPRIO_DIM,
                self.steps,
                low.channels,
                low.width,
            )
        else:
            idm = config.idm
            outputs = self.steps * ACTION_DIM
            self.net = ResidualMLP(layout.row_dim, outputs, idm.width, idm.blocks)

    def forward(self, state: Tensor) -> Tensor:
        """States `(B, C)` to chunks `(B, N, A)`."""
        if self.spatial:
            return self.net(*state.split(self.split, dim=1))
        return self.net(state).unflatten(-1, (self.steps, ACTION_DIM))


class FrameEncoder(nn.Module):
    """uint8 frames `(B, H, W, 3)` to posterior means `(B, latent_dim)`."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, frames: Tensor) -> Tensor:
        """Frames to latents."""
        return self.vae.posterior(to_signed(frames))[0]


class FrameDecoder(nn.Module):
    """Latents `(B, latent_dim)` to frames `(B, H, W, 3)` float in 0..255."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        """Latents to frames."""
        frames = self.vae.decode(latent).permute(0, 2, 3, 1)
        return ((frames + 1.0) * 127.5).clamp(0.0, 255.0)


def to_signed(frames: Tensor) -> Tensor:
    """uint8 `(B, H, W, 3)` to float `(B, 3, H, W)` in [-1, 1]."""
    return frames.to(torch.float32).div(127.5).sub(1.0).permute(0, 3, 1, 2)


def _choose(key: str, found: str, available: Iterable[str]) -> None:
    if found not in available:
        raise VilpError(f"{key} {found!r}; available: {', '.join(available)}")
