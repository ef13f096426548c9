"""What the methods have in common whose plan is a chunk of actions, other packages' among them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import nn
from typing_extensions import override

from vilp_ros.canvas import Size, canvas_size
from vilp_ros.errors import VilpError
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.layout import Layout
from vilp_ros.policy.policy import Example, Noise, Policy, Previous
from vilp_ros.policy.spec import BundleSpec


class Seen(NamedTuple):
    """One observation, as `Policy.encode` is given it.

    Attributes:
        images: `(V, H, W, 3)` uint8, views in the order of `spec.views`; where their sizes differ,
            see `vilp_ros.canvas`.
        proprio: `(10,)` xyz (m), rot6d and gripper width (m), base frame.
        previous: the same one control period earlier; None at the first observation.
    """

    images: np.ndarray
    proprio: np.ndarray
    previous: np.ndarray | None


class ChunkPolicy(Policy):
    """Images and state in, actions out: `chunk` is all that a method must say.

    The plan on the wire is the chunk itself, `(spec.n_actions, 8)` absolute actions, so that the
    controller runs no network. Nothing is imagined, and there is nothing to decode.
    """

    @abstractmethod
    def chunk(self, state: Any, noise: np.ndarray) -> np.ndarray:
        """Absolute actions `(spec.n_actions, 8)`, one a control period from the observation on.

        Args:
            state: of `encode`; a `Seen` unless that is overridden.
            noise: `(spec.n_actions, 7)` standard normal, the same for a whole episode. A method
                that draws anything takes it from here, or a recording cannot be replayed.

        Returns:
            Target xyz (m), quaternion xyzw and gripper width (m), base frame. Of another shape, not
            finite, or with a quaternion that is none, they are refused.
        """

    @classmethod
    @override
    def plan_shape(cls, spec: BundleSpec) -> tuple[int, int, int]:
        return spec.n_actions, 1, 8

    @classmethod
    @override
    def layout(cls, config: PolicyConfig, views: Mapping[str, Size]) -> Layout:
        """The proprio alone."""
        return Layout(views=0, latent_shape=(0,), forecasts_proprio=False)

    @classmethod
    @override
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        return {}

    @classmethod
    @override
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        return {}

    @override
    def noise(self, seed: int) -> Noise:
        shape = (self.samples, self.spec.n_actions, ACTION_DIM)
        plan = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
        return Noise(plan, plan[0])

    @override
    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> Any:
        return Seen(images, proprio, previous)

    @override
    def imagine(self, state: Any, noise: Noise, previous: Previous | None = None) -> np.ndarray:
        return np.stack([self._judged(self.chunk(state, one)) for one in noise.plan])

    def _judged(self, chunk: Any) -> np.ndarray:
        """What another package's `chunk` gave, as float32.

        Raises:
            VilpError: it is no chunk of actions.
        """
        wanted, said = (self.spec.n_actions, 8), f"method {self.spec.method!r}: chunk"
        try:
            rows = np.asarray(chunk, np.float32)
        except (TypeError, ValueError) as error:
            raise VilpError(f"{said} gave no array of numbers ({error})") from error
        if rows.shape != wanted:
            raise VilpError(f"{said} gave the shape {rows.shape}, expected {wanted}")
        if not np.isfinite(rows).all():
            raise VilpError(f"{said} gave a number that is not finite")
        lengths = np.linalg.norm(rows[:, 3:7], axis=1)
        worst = lengths[np.argmax(np.abs(lengths - 1))]
        if abs(worst - 1) > 0.01:
            raise VilpError(f"{said} gave a quaternion (3:7, xyzw) of length {worst:g}, expected 1")
        return rows

    @override
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        return plan

    @override
    def decode(self, plan: np.ndarray) -> np.ndarray:
        size = canvas_size(self.spec.views.values())
        return np.empty((0, len(self.spec.views), *size, 3), np.uint8)

    @override
    def latents(self, plan: np.ndarray) -> np.ndarray:
        return np.empty((0, len(self.spec.views)), np.float32)

    @override
    def ee_path(self, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return plan[:, :7], plan[:, 7]
