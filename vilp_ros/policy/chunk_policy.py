"""What the methods have in common whose plan is a chunk of actions, other packages' among them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import nn
from typing_extensions import override

from vilp_ros.canvas import Size, canvas_size
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
            Target xyz (m), quaternion xyzw and gripper width (m), base frame.
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
        return np.stack([self.chunk(state, one) for one in noise.plan]).astype(np.float32)

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
