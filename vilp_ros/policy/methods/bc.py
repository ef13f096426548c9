"""Behaviour cloning from the same latents: the control experiment without a planner."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.canvas import Size
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.inverse_dynamics import ResidualMLP
from vilp_ros.policy.latent_policy import LatentPolicy
from vilp_ros.policy.layout import PROPRIO_DIM, Layout
from vilp_ros.policy.pair_policy import GridPolicy
from vilp_ros.policy.policy import Example, Noise, Previous
from vilp_ros.policy.spec import BundleSpec


class BcPolicy(LatentPolicy):
    """The state to a chunk of actions, nothing planned: a plan is the present row alone."""

    plans_states = False
    denoises = False

    @classmethod
    @override
    def plan_shape(cls, spec: BundleSpec) -> tuple[int, int, int]:
        return 1, 1, spec.layout.row_dim

    @classmethod
    @override
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        return {"bc": BehaviourCloning(config, cls.layout(config, views))}

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        state = torch.zeros(1, spec.layout.row_dim)
        return super().examples(spec, modules, samples) | {"bc": (modules["bc"], (state,))}

    @classmethod
    @override
    def small(cls) -> PolicyConfig:
        policy = PolicyConfig(method="bc")
        policy.autoencoder.latent_dim, policy.autoencoder.channels = 8, [8, 8, 8]
        policy.idm.width = 32
        return policy

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        return np.repeat(state[None, None], self.samples, axis=0)

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        return self._absolute(self._net["bc"](plan)[0], self.ee_path(plan)[0])


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
