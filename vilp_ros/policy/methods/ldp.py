"""Latent Diffusion Planning (LDP, Algorithm 1): forecasts states, finds the actions between."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from typing_extensions import override

from vilp_ros.canvas import Size
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.config import PolicyConfig, choose
from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.inverse_dynamics import InverseDynamics
from vilp_ros.policy.latent_policy import LatentPolicy
from vilp_ros.policy.layout import PROPRIO_DIM, Layout
from vilp_ros.policy.policy import Example, Noise, Previous
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.transformer import PlanTransformer
from vilp_ros.policy.unet1d import PlanUNet


class LdpPolicy(LatentPolicy):
    """Forecasts latents and proprio, and finds the action between each state and the next."""

    @classmethod
    @override
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        """`planner`, and `idm`, whose condition is state k, its change to k + 1, last change."""
        layout = cls.layout(config, views)
        pair = 2 * layout.forecast_dim + PROPRIO_DIM
        return {
            "planner": build_planner(config, layout),
            "idm": InverseDynamics(ACTION_DIM, pair, config.idm.width, config.idm.blocks),
        }

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        layout, horizon = spec.layout, spec.horizon
        forecast = layout.forecast_dim
        action, times = torch.zeros(horizon, ACTION_DIM), torch.zeros(horizon, dtype=torch.int64)
        pair = torch.zeros(horizon, 2 * forecast + PROPRIO_DIM)
        noisy = torch.zeros(samples, horizon, forecast), torch.zeros(samples, dtype=torch.int64)
        return super().examples(spec, modules, samples) | {
            "idm": (modules["idm"], (action, times, pair)),
            "planner": (modules["planner"], (*noisy, torch.zeros(samples, layout.row_dim))),
        }

    @classmethod
    @override
    def small(cls) -> PolicyConfig:
        policy = PolicyConfig(method="ldp")
        policy.autoencoder.latent_dim, policy.autoencoder.channels = 8, [8, 8, 8]
        policy.planner.width, policy.planner.depth, policy.idm.width = 32, 1, 32
        return policy

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        future = self._draw(state, state[None], noise, previous)
        return np.stack([self._with_changes(state, plan) for plan in future])

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        stats, forecast = self._stats, self._layout.forecast_dim
        present, change = plan[:-1, :forecast], plan[:-1, forecast:]
        step = (plan[1:, :forecast] - present - stats.delta_mean[0]) / stats.delta_std[0]
        relative = sample(
            lambda x, t, c: self._net["idm"](x, np.full(len(x), t), c),
            noise.action,
            np.concatenate([present, step, change], axis=-1).astype(np.float32),
            self.spec.policy.sampler.idm_steps,
            self.spec.policy.idm.prediction,
        )
        return self._absolute(relative, self.ee_path(plan)[0][:-1])

    def _with_changes(self, state: np.ndarray, future: np.ndarray) -> np.ndarray:
        """Appends to each future row the change of its proprio from the row before it."""
        mean, std, layout = self._stats.state_mean, self._stats.state_std, self._layout
        rows = np.concatenate([state[None, : layout.forecast_dim], future])
        proprio = rows[:, layout.proprio] * std[layout.proprio]
        change = (np.diff(proprio, axis=0) - mean[layout.change]) / std[layout.change]
        change = np.concatenate([state[None, layout.change], change])
        return np.concatenate([rows, change], axis=-1).astype(np.float32)


def build_planner(config: PolicyConfig, layout: Layout) -> PlanTransformer | PlanUNet:
    """The state planner."""
    state, condition = layout.forecast_dim, layout.row_dim
    planner = config.planner
    choose("planner.kind (of ldp)", planner.kind, ("transformer", "unet"))
    if planner.kind == "unet":
        return PlanUNet(state, condition, config.horizon, planner.channels)
    return PlanTransformer(state, condition, config.horizon, planner.width, planner.depth)
