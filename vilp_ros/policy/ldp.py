"""Latent Diffusion Planning at run time (LDP, Algorithm 1)."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.policy import Noise, Policy, Previous


class LdpPolicy(Policy):
    """Forecasts latents and proprio, and finds the action between each state and the next."""

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


class BcPolicy(Policy):
    """Behaviour cloning: the state to a chunk of actions, nothing planned."""

    @override
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        return np.repeat(state[None, None], self.samples, axis=0)

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        return self._absolute(self._net["bc"](plan)[0], self.ee_path(plan)[0])
