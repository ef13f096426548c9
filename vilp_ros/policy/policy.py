"""A loaded policy: images to latent plan to actions, on plain arrays.

All methods share one interface: `ldp` plans states and finds the actions between them, `vilp`
plans frames and does the same, `bc` is the control experiment that maps the state to actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vilp_ros.geometry import proprio_to_ee
from vilp_ros.policy.actions import ACTION_DIM, absolute_actions
from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.engines import Network
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.statistics import Statistics


@dataclass(frozen=True)
class Noise:
    """Sampling noise, kept for a whole episode.

    DDIM is deterministic, so the same noise at every replan makes the plan a continuous function
    of the observation: the policy keeps to the mode that it chose instead of choosing anew.

    Attributes:
        plan: `(N, T, D)` standard normal, N imaginations.
        action: `(T, A)` standard normal.
    """

    plan: np.ndarray
    action: np.ndarray


class Previous(NamedTuple):
    """The plan before, to start the next one from.

    Attributes:
        plan: `(T + 1, C)`.
        elapsed_s: seconds from its observation to the present one.
    """

    plan: np.ndarray
    elapsed_s: float


class Policy(ABC):
    """Made by `vilp_ros.policy.bundle.load_policy`.

    A state is one standardised row `(C,)`, see `vilp_ros.policy.layout`. A plan is
    `(T + 1, C)`, the present state first, rows `spec.row_period_s` apart; with method `bc` it is
    that row alone.

    Args:
        spec: what the bundle is.
        networks: compiled networks by name.
        statistics: what rows and actions are standardised by.
        samples: imaginations per plan, N.
    """

    def __init__(
        self,
        spec: BundleSpec,
        networks: Mapping[str, Network],
        statistics: Statistics,
        samples: int = 1,
    ) -> None:
        self.spec = spec
        self.samples = samples
        self._net = networks
        self._stats = statistics
        self._layout = spec.layout

    def noise(self, seed: int) -> Noise:
        """Sampling noise of one episode."""
        rng = np.random.default_rng(seed)
        horizon = self.spec.horizon
        plans = [self._plan_noise(rng)]
        action = rng.standard_normal((horizon, ACTION_DIM), dtype=np.float32)
        plans += [self._plan_noise(rng) for _ in range(self.samples - 1)]
        return Noise(np.stack(plans), action)

    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> np.ndarray:
        """The present state.

        Args:
            images: `(V, H, W, 3)` uint8, views in the order of `spec.views`.
            proprio: `(10,)` see `vilp_ros.geometry.ee_proprio`.
            previous: `(10,)` proprio one control period earlier; None at the first observation.

        Returns:
            `(C,)` float32.
        """
        latents = [
            self._net[f"encoder.{view}"](image[None])[0]
            for view, image in zip(self.spec.views, images, strict=True)
        ]
        change = np.zeros_like(proprio) if previous is None else proprio - previous
        raw = np.concatenate([*latents, proprio, change])
        return ((raw - self._stats.state_mean) / self._stats.state_std).astype(np.float32)

    def plan(self, state: np.ndarray, noise: Noise, previous: Previous | None = None) -> np.ndarray:
        """The next T rows behind the present one: `(T + 1, C)` (`bc`: `(1, C)`)."""
        return self.imagine(state, noise, previous)[0]

    @abstractmethod
    def imagine(
        self, state: np.ndarray, noise: Noise, previous: Previous | None = None
    ) -> np.ndarray:
        """N plans of one state, in one batch: `(N, T + 1, C)`; `plan` is the first.

        Args:
            state: `(C,)`.
            noise: of the episode.
            previous: the plan before; what `sampler.warm_start` starts from.
        """

    @abstractmethod
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        """Absolute actions `(spec.n_actions, 8)`, one a control period from the observation on."""

    def decode(self, plan: np.ndarray) -> np.ndarray:
        """Imagined frames `(rows, V, H, W, 3)` uint8 of a plan."""
        raw = plan * self._stats.state_std + self._stats.state_mean
        latents = raw[:, self._layout.latents].astype(np.float32)
        frames = [
            self._net[f"decoder.{view}"](np.ascontiguousarray(part))
            for view, part in zip(
                self.spec.views, np.split(latents, self._layout.views, axis=1), strict=True
            )
        ]
        return np.stack(frames, axis=1).astype(np.uint8)

    def latents(self, plan: np.ndarray) -> np.ndarray:
        """Standardised latents of the views alone: `(rows, V, *latent_shape)`."""
        layout = self._layout
        return plan[:, layout.latents].reshape(len(plan), layout.views, *layout.latent_shape)

    def ee_path(self, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Planned poses `(rows, 7)` (m, quaternion xyzw, base frame) and widths `(rows,)` (m)."""
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
