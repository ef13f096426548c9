"""Builds the networks of a policy from its config; training and loading share it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.autoencoder import AUTOENCODERS, LightVAE, PaperVAE
from vilp_ros.policy.config import AutoencoderConfig, PolicyConfig
from vilp_ros.policy.inverse_dynamics import InverseDynamics, ResidualMLP
from vilp_ros.policy.transformer import PlanTransformer
from vilp_ros.policy.unet1d import PlanUNet

PROPRIO_DIM = 10
"""xyz, rot6d and gripper width (see `vilp_ros.geometry.ee_proprio`)."""


def forecast_dim(config: PolicyConfig, n_views: int) -> int:
    """Length of what the planner forecasts: latents of all views, then proprio."""
    return n_views * config.autoencoder.latent_dim + PROPRIO_DIM


def condition_dim(config: PolicyConfig, n_views: int) -> int:
    """Length of a state: what the planner forecasts, then the last change of the proprio."""
    return forecast_dim(config, n_views) + PROPRIO_DIM


def build_autoencoder(config: AutoencoderConfig, size: tuple[int, int]) -> LightVAE | PaperVAE:
    """The VAE of one view of `size` (H, W)."""
    if config.kind not in AUTOENCODERS:
        raise VilpError(f"autoencoder.kind {config.kind!r}; available: {', '.join(AUTOENCODERS)}")
    return AUTOENCODERS[config.kind](size, config.latent_dim, config.channels)


def build_planner(config: PolicyConfig, n_views: int) -> PlanTransformer | PlanUNet:
    """The state planner."""
    state, condition = forecast_dim(config, n_views), condition_dim(config, n_views)
    planner = config.planner
    if planner.kind == "transformer":
        return PlanTransformer(state, condition, config.horizon, planner.width, planner.depth)
    if planner.kind == "unet":
        return PlanUNet(state, condition, config.horizon, planner.channels)
    raise VilpError(f"planner.kind {planner.kind!r}; available: transformer, unet")


def build_idm(config: PolicyConfig, n_views: int) -> InverseDynamics:
    """The inverse dynamics; its condition is state k, its change to state k + 1, last change."""
    dim = 2 * forecast_dim(config, n_views) + PROPRIO_DIM
    return InverseDynamics(ACTION_DIM, dim, config.idm.width, config.idm.blocks)


class BehaviourCloning(nn.Module):
    """State `(B, C)` to a chunk of relative actions `(B, T, A)`: the control without a planner."""

    def __init__(self, config: PolicyConfig, n_views: int) -> None:
        super().__init__()
        self.horizon = config.horizon
        outputs = config.horizon * ACTION_DIM
        self.net = ResidualMLP(
            condition_dim(config, n_views), outputs, config.idm.width, config.idm.blocks
        )

    def forward(self, state: Tensor) -> Tensor:
        """States `(B, C)` to chunks `(B, T, A)`."""
        return self.net(state).unflatten(-1, (self.horizon, ACTION_DIM))


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
