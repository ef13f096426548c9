"""What the methods have in common that plan on latents: `ldp`, `vilp` and the control `bc`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from typing_extensions import override

from vilp_ros.canvas import Size, on_canvas, views_on
from vilp_ros.geometry import proprio_to_ee
from vilp_ros.policy.actions import ACTION_DIM, absolute_actions
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.engines import Network
from vilp_ros.policy.frame_codec import FrameDecoder, FrameEncoder
from vilp_ros.policy.layout import Layout, latent_layout
from vilp_ros.policy.policy import Example, Noise, Policy, Previous
from vilp_ros.policy.robust_encoder import RobustFrameEncoder
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.statistics import Statistics


class LatentPolicy(Policy):
    """States are standardised rows of latents and proprio, see `vilp_ros.policy.layout`.

    A plan is `(T + 1, C)`, the present row first.

    Attributes:
        forecasts_proprio: whether the proprio of future rows is forecast, or repeats the present.
    """

    autoencodes = True
    plans_states = True
    denoises = True
    forecasts_proprio: ClassVar[bool] = True

    @override
    def __init__(
        self,
        spec: BundleSpec,
        networks: Mapping[str, Network],
        statistics: Statistics,
        samples: int = 1,
    ) -> None:
        super().__init__(spec, networks, statistics, samples)
        self._layout = spec.layout

    @classmethod
    @override
    def layout(cls, config: PolicyConfig, views: Mapping[str, Size]) -> Layout:
        return latent_layout(config.autoencoder, views, cls.forecasts_proprio)

    @classmethod
    @override
    def plan_shape(cls, spec: BundleSpec) -> tuple[int, int, int]:
        return spec.horizon + 1, 1, spec.layout.row_dim

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        """Encoders and decoders of the views."""
        rows = spec.plan_shape[0]
        examples: dict[str, Example] = {}
        for view, (height, width) in spec.views.items():
            vae = modules[f"autoencoder.{view}"]
            frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
            latents = torch.zeros(rows, spec.layout.latent_dim)
            robust = modules.get(f"encoder.{view}")
            encoder = FrameEncoder(vae) if robust is None else RobustFrameEncoder(robust)
            examples[f"encoder.{view}"] = encoder, (frame,)
            examples[f"decoder.{view}"] = FrameDecoder(vae), (latents,)
        return examples

    @override
    def noise(self, seed: int) -> Noise:
        rng = np.random.default_rng(seed)
        horizon = self.spec.horizon
        plans = [self._plan_noise(rng)]
        action = rng.standard_normal((horizon, ACTION_DIM), dtype=np.float32)
        plans += [self._plan_noise(rng) for _ in range(self.samples - 1)]
        return Noise(np.stack(plans), action)

    @override
    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> np.ndarray:
        latents = [
            self._net[f"encoder.{view}"](np.ascontiguousarray(image)[None])[0]
            for view, image in zip(
                self.spec.views, views_on(images, self.spec.views.values()), strict=True
            )
        ]
        change = np.zeros_like(proprio) if previous is None else proprio - previous
        raw = np.concatenate([*latents, proprio, change])
        return ((raw - self._stats.state_mean) / self._stats.state_std).astype(np.float32)

    @override
    def decode(self, plan: np.ndarray) -> np.ndarray:
        raw = plan * self._stats.state_std + self._stats.state_mean
        latents = raw[:, self._layout.latents].astype(np.float32)
        frames = [
            self._net[f"decoder.{view}"](np.ascontiguousarray(part))
            for view, part in zip(
                self.spec.views, np.split(latents, self._layout.views, axis=1), strict=True
            )
        ]
        return on_canvas(frames).astype(np.uint8)

    @override
    def latents(self, plan: np.ndarray) -> np.ndarray:
        """Standardised latents of the views alone: `(rows, V, *latent_shape)`."""
        layout = self._layout
        return plan[:, layout.latents].reshape(len(plan), layout.views, *layout.latent_shape)

    @override
    def ee_path(self, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        part = self._layout.proprio
        return proprio_to_ee(
            plan[:, part] * self._stats.state_std[part] + self._stats.state_mean[part]
        )

    def _plan_noise(self, rng: np.random.Generator) -> np.ndarray:
        """Noise `(T, D)` of one imagination."""
        shape = (self.spec.horizon, self._layout.forecast_dim)
        return rng.standard_normal(shape, dtype=np.float32)

    def _draw(
        self, state: np.ndarray, condition: np.ndarray, noise: Noise, previous: Previous | None
    ) -> np.ndarray:
        """What the planner forecasts, `(N, T, D)`, under a condition `(1, K)`."""
        policy, stats = self.spec.policy, self._stats
        present = state[: self._layout.forecast_dim]
        start = None
        if previous is not None:
            rolled = self._rolled(previous) - present
            start = ((rolled - stats.delta_mean) / stats.delta_std).astype(np.float32)
        delta = sample(
            lambda x, t, c: self._net["planner"](x, np.full(len(x), t), c),
            noise.plan,
            np.repeat(condition, self.samples, axis=0),
            policy.sampler.planner_steps,
            policy.planner.prediction,
            start,
            min(policy.sampler.warm_start, policy.sampler.planner_steps - 1),
        )
        return (present + delta * stats.delta_std + stats.delta_mean).astype(np.float32)

    def _rolled(self, previous: Previous) -> np.ndarray:
        """Rows 1 to T of the plan before, as seen from now: `(T, D)`; its last row stays."""
        rows = previous.plan[:, : self._layout.forecast_dim]
        at = np.arange(1, len(rows)) + previous.elapsed_s / self.spec.row_period_s
        at = np.clip(at, 0, len(rows) - 1)
        low = np.minimum(at.astype(int), len(rows) - 2)
        part = (at - low)[:, None]
        return (1 - part) * rows[low] + part * rows[low + 1]

    def _absolute(self, relative: np.ndarray, poses: np.ndarray) -> np.ndarray:
        stats = self._stats
        return absolute_actions(relative * stats.action_std + stats.action_mean, poses)
