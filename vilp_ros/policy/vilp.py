"""Imitation learning with latent video planning at run time (VILP section III)."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from vilp_ros.policy.diffusion import share_noise
from vilp_ros.policy.policy import Noise, Policy, Previous


class VilpPolicy(Policy):
    """Forecasts frames of all views together, and finds the actions between each and the next.

    Future rows of a plan repeat the present proprio: only frames are forecast. All actions are
    relative to the present pose, so that an error of one pair is not carried on to the next.
    """

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        context = self._net["context"](state[None])
        plans = np.empty((self.samples, self.spec.horizon + 1, self._layout.row_dim), np.float32)
        plans[:] = state
        plans[:, 1:, self._layout.latents] = self._draw(state, context, noise, previous)
        return plans

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        stats, latents = self._stats, plan[:, self._layout.latents]
        step = (np.diff(latents, axis=0) - stats.delta_mean[0]) / stats.delta_std[0]
        relative = self._net["low_level"](plan[:-1], step.astype(np.float32))
        return self._absolute(
            relative.reshape(self.spec.n_actions, -1), super().ee_path(plan[:1])[0]
        )

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
