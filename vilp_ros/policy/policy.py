"""A loaded policy: images to latent plan to actions, on plain arrays.

Both methods share one interface. `ldp` plans states and finds the actions between them
(LDP, Algorithm 1); `bc` is the control experiment that maps the state straight to actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vilp_ros.geometry import proprio_to_ee
from vilp_ros.policy.actions import ACTION_DIM, absolute_actions
from vilp_ros.policy.diffusion import sample
from vilp_ros.policy.engines import Network
from vilp_ros.policy.networks import PROPRIO_DIM
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.statistics import Statistics


@dataclass(frozen=True)
class Noise:
    """Sampling noise, kept for a whole episode.

    DDIM is deterministic, so the same noise at every replan makes the plan a continuous function
    of the observation: the policy keeps to the mode that it chose instead of choosing anew.

    Attributes:
        plan: `(T, D)` standard normal.
        action: `(T, A)` standard normal.
    """

    plan: np.ndarray
    action: np.ndarray


class Policy:
    """Made by `vilp_ros.policy.bundle.load_policy`.

    A state is one standardised row `(C,)`: latents of all views in `spec.views` order, proprio
    (10), change of the proprio since the previous control period (10). A plan is `(T + 1, C)`
    with the present state first; with method `bc` it is that row alone.
    """

    def __init__(
        self, spec: BundleSpec, networks: Mapping[str, Network], statistics: Statistics
    ) -> None:
        self.spec = spec
        self._net = networks
        self._stats = statistics
        self._forecast = spec.forecast_dim
        self._proprio = slice(spec.forecast_dim - PROPRIO_DIM, spec.forecast_dim)

    def noise(self, seed: int) -> Noise:
        """Sampling noise of one episode."""
        rng = np.random.default_rng(seed)
        shape = (self.spec.horizon, self._forecast)
        return Noise(
            rng.standard_normal(shape, dtype=np.float32),
            rng.standard_normal((self.spec.horizon, ACTION_DIM), dtype=np.float32),
        )

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
        return self._standardise(np.concatenate([*latents, proprio, change]))

    def plan(self, state: np.ndarray, noise: Noise) -> np.ndarray:
        """The next T states behind the present one: `(T + 1, C)` (`bc`: `(1, C)`)."""
        if self.spec.method == "bc":
            return state[None]
        policy, stats = self.spec.policy, self._stats
        delta = sample(
            lambda x, t, c: self._net["planner"](x, np.array([t]), c),
            noise.plan[None],
            state[None],
            policy.sampler.planner_steps,
            policy.planner.prediction,
        )[0]
        future = state[: self._forecast] + delta * stats.delta_std + stats.delta_mean
        return self._with_changes(state, future.astype(np.float32))

    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        """Absolute actions `(T, 8)`; action k holds for [t_obs + k, t_obs + k + 1) periods."""
        stats = self._stats
        if self.spec.method == "bc":
            relative = self._net["bc"](plan)[0]
            poses, _ = self.ee_path(plan)
        else:
            present, change = plan[:-1, : self._forecast], plan[:-1, self._forecast :]
            step = (plan[1:, : self._forecast] - present - stats.delta_mean[0]) / stats.delta_std[0]
            relative = sample(
                lambda x, t, c: self._net["idm"](x, np.full(len(x), t), c),
                noise.action,
                np.concatenate([present, step, change], axis=-1).astype(np.float32),
                self.spec.policy.sampler.idm_steps,
                self.spec.policy.idm.prediction,
            )
            poses = self.ee_path(plan)[0][:-1]
        return absolute_actions(relative * stats.action_std + stats.action_mean, poses)

    def decode(self, plan: np.ndarray) -> np.ndarray:
        """Imagined frames `(rows, V, H, W, 3)` uint8 of a plan."""
        raw = (plan * self._stats.state_std + self._stats.state_mean).astype(np.float32)
        dim = self.spec.latent_dim
        frames = [
            self._net[f"decoder.{view}"](np.ascontiguousarray(raw[:, i * dim : (i + 1) * dim]))
            for i, view in enumerate(self.spec.views)
        ]
        return np.stack(frames, axis=1).astype(np.uint8)

    def ee_path(self, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Planned poses `(rows, 7)` (m, quaternion xyzw, base frame) and widths `(rows,)` (m)."""
        raw = plan * self._stats.state_std + self._stats.state_mean
        return proprio_to_ee(raw[:, self._proprio])

    def _standardise(self, raw: np.ndarray) -> np.ndarray:
        return ((raw - self._stats.state_mean) / self._stats.state_std).astype(np.float32)

    def _with_changes(self, state: np.ndarray, future: np.ndarray) -> np.ndarray:
        """Appends to each future row the change of its proprio from the row before it."""
        mean, std = self._stats.state_mean, self._stats.state_std
        rows = np.concatenate([state[None, : self._forecast], future])
        proprio = rows[:, self._proprio] * std[self._proprio]
        tail = slice(self._forecast, None)
        change = (np.diff(proprio, axis=0) - mean[tail]) / std[tail]
        change = np.concatenate([state[None, tail], change])
        return np.concatenate([rows, change], axis=-1).astype(np.float32)
