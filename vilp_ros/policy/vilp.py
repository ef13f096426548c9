"""Imitation learning with latent video planning at run time (VILP section III)."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from vilp_ros.policy.diffusion import share_noise
from vilp_ros.policy.policy import Noise, Policy, Previous


class VilpPolicy(Policy):
    """Forecasts frames of all views together, and finds the actions between each and the next.

    A state is a row and, behind it, the planner's context `(C + K,)`. Future rows of a plan repeat
    the present proprio: only frames are forecast. All actions are relative to the present pose,
    so that an error of one pair is not carried on to the next.
    """

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
        if self.spec.policy.low_level.kind == "frames":
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
