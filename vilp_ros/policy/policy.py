"""A method, and at run time a loaded bundle of it: images to plan to actions, on plain arrays.

A method is a subclass of `Policy`, in a module of `vilp_ros.policy.methods` or in another package,
found by `vilp_ros.policy.registry`. The class says what the method is made of; an object of it runs
one bundle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from typing_extensions import Self

from vilp_ros.canvas import Size
from vilp_ros.errors import VilpError
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.engines import Network, Networks, Runtime
from vilp_ros.policy.frame_codec import build_autoencoder
from vilp_ros.policy.layout import Layout
from vilp_ros.policy.robust_encoder import build_encoder
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.statistics import Statistics
from vilp_ros.policy.weights import read_weights

Example = tuple[nn.Module, tuple[Tensor, ...]]


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
        plan: as `Policy.plan` gave it.
        elapsed_s: seconds from its observation to the present one.
    """

    plan: np.ndarray
    elapsed_s: float


@dataclass
class NoOptions:
    """Of a method that knows nothing that others do not."""


class Policy(ABC):
    """One method. `vilp_ros.policy.bundle.load_policy` makes the objects.

    `encode`, `plan` and `act` are the whole of a replan. The plan is what travels from the planner
    to the controller, which runs `act`; rows are `spec.row_period_s` apart.

    Args:
        spec: what the bundle is.
        networks: compiled networks by name.
        statistics: what states and actions are standardised by.
        samples: imaginations per plan, N.

    Attributes:
        versions: of its bundles that it can run; it writes the last.
        autoencodes: whether it plans on the latents of one autoencoder a view.
        plans_states: whether a plan holds states to come, and `act` finds the actions between any
            such states; false: a plan holds the actions, or nothing that was imagined.
        denoises: whether `sampler.planner_steps` changes anything.
        Options: dataclass of what only this method knows, see `options`.
    """

    versions: ClassVar[tuple[int, ...]] = (1,)
    autoencodes: ClassVar[bool] = False
    plans_states: ClassVar[bool] = False
    denoises: ClassVar[bool] = False
    Options: ClassVar[type] = NoOptions

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

    # What the method is made of.

    @classmethod
    @abstractmethod
    def plan_shape(cls, spec: BundleSpec) -> tuple[int, int, int]:
        """Rows, tokens per row and channels of a plan on the wire."""

    @classmethod
    @abstractmethod
    def layout(cls, config: PolicyConfig, views: Mapping[str, Size]) -> Layout:
        """What the numbers of a standardised state are.

        Raises:
            VilpError: the method cannot see these views.
        """

    @classmethod
    @abstractmethod
    def parts(cls, config: PolicyConfig, views: Mapping[str, Size]) -> dict[str, nn.Module]:
        """Fresh networks but the autoencoders, by name, in the order in which they are trained.

        Raises:
            VilpError: the config asks for something that there is not, or the views do not fit.
        """

    @classmethod
    @abstractmethod
    def examples(
        cls, spec: BundleSpec, modules: dict[str, nn.Module], samples: int
    ) -> dict[str, Example]:
        """Every network that is run, with inputs of the shapes that it is run with."""

    @classmethod
    def small(cls) -> PolicyConfig:
        """A configuration that runs in no time, for trying out everything but the behaviour."""
        return PolicyConfig()

    @classmethod
    def plausible_statistics(cls, config: PolicyConfig, views: Mapping[str, Size]) -> Statistics:
        """What states and actions are standardised by where nothing was measured."""
        layout = cls.layout(config, views)
        mean = np.zeros(layout.row_dim, np.float32)
        mean[layout.proprio] = [0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.08]  # down, open
        return Statistics(
            state_mean=mean,
            state_std=np.full(layout.row_dim, 0.1, np.float32),
            delta_mean=np.zeros((config.horizon, layout.forecast_dim), np.float32),
            delta_std=np.full((config.horizon, layout.forecast_dim), 0.05, np.float32),
            action_mean=np.array([0, 0, 0, 0, 0, 0, 0.04], np.float32),
            action_std=np.full(ACTION_DIM, 0.01, np.float32),
        )

    @classmethod
    def options(cls, config: PolicyConfig) -> Any:
        """`policy.options` as an object of `Options`.

        Raises:
            VilpError: a key that it has not, or a value of the wrong type.
        """
        try:
            return OmegaConf.to_object(
                OmegaConf.merge(OmegaConf.structured(cls.Options), config.options)
            )
        except OmegaConfBaseException as error:
            raise VilpError(
                f"policy.options of method {config.method!r}: {str(error).splitlines()[0]}"
            ) from error

    @classmethod
    def modules(cls, spec: BundleSpec) -> dict[str, nn.Module]:
        """Fresh networks by name: `autoencoder.<view>`, perhaps `encoder.<view>`, the parts."""
        cls.options(
            spec.policy
        )  # what it does not know is said even by a method that asks for none
        modules: dict[str, nn.Module] = {}
        if cls.autoencodes:
            for view, size in spec.views.items():
                modules[f"autoencoder.{view}"] = build_autoencoder(spec.policy.autoencoder, size)
                if config := spec.policy.robust_encoder:
                    encoder = build_encoder(spec.policy.autoencoder, config, size)
                    modules[f"encoder.{view}"] = encoder
        return modules | cls.parts(spec.policy, spec.views)

    @classmethod
    def load(cls, folder: Path, spec: BundleSpec, runtime: Runtime) -> Self:
        """A bundle, ready to run.

        Raises:
            VilpError: the weights are missing, damaged or do not match `spec`.
        """
        modules, statistics = cls.load_modules(folder, spec)
        examples = cls.examples(spec, modules, runtime.samples)
        return cls(spec, Networks(examples, runtime), statistics, runtime.samples)

    @classmethod
    def load_modules(
        cls, folder: Path, spec: BundleSpec
    ) -> tuple[dict[str, nn.Module], Statistics]:
        """Networks of a bundle in their trained weights, and its statistics.

        Raises:
            VilpError: the weights are missing, damaged or do not match `spec`.
        """
        path, parts = read_weights(folder)
        try:
            modules = cls.modules(spec)
        except VilpError as error:
            raise VilpError(f"{folder / 'policy.yaml'}: {error}") from error
        except Exception as error:  # whatever torch says of a network that cannot be
            what = str(error).split("\n")[0]
            raise VilpError(
                f"{folder / 'policy.yaml'} describes networks that cannot be built ({what})"
            ) from error
        try:
            for name, module in modules.items():
                module.load_state_dict(parts[name])
            return modules, Statistics.from_tensors(parts["statistics"])
        except VilpError as error:
            raise VilpError(f"{path}: {error}") from error
        except (KeyError, RuntimeError) as error:
            what = str(error).splitlines()[0]
            raise VilpError(f"{path} does not fit its policy.yaml: {what}") from error

    # How it is run.

    @property
    def acts_on_frames(self) -> bool:
        """Whether `act` decodes every frame of the plan."""
        return False

    @abstractmethod
    def noise(self, seed: int) -> Noise:
        """Sampling noise of one episode."""

    @abstractmethod
    def encode(
        self, images: np.ndarray, proprio: np.ndarray, previous: np.ndarray | None = None
    ) -> Any:
        """The present state: what `imagine` wants to know.

        Args:
            images: `(V, H, W, 3)` uint8, views in the order of `spec.views`; where their sizes
                differ, see `vilp_ros.canvas`.
            proprio: `(10,)` see `vilp_ros.geometry.ee_proprio`.
            previous: `(10,)` proprio one control period earlier; None at the first observation.
        """

    def plan(self, state: Any, noise: Noise, previous: Previous | None = None) -> np.ndarray:
        """The first of `imagine`'s plans: `(rows, channels)`."""
        return self.imagine(state, noise, previous)[0]

    @abstractmethod
    def imagine(self, state: Any, noise: Noise, previous: Previous | None = None) -> np.ndarray:
        """N plans of one state: `(N, rows, channels)` float32.

        Args:
            state: of `encode`.
            noise: of the episode.
            previous: the plan before; what `sampler.warm_start` starts from.
        """

    @abstractmethod
    def act(self, plan: np.ndarray, noise: Noise) -> np.ndarray:
        """Absolute actions `(spec.n_actions, 8)`, one a control period from the observation on.

        Target xyz (m), quaternion xyzw and gripper width (m), base frame.
        """

    @abstractmethod
    def decode(self, plan: np.ndarray) -> np.ndarray:
        """Imagined frames `(rows, V, H, W, 3)` uint8 of a plan; no rows where there are none."""

    @abstractmethod
    def latents(self, plan: np.ndarray) -> np.ndarray:
        """What is imagined of each view as the method itself sees it: `(rows, V, ...)`."""

    @abstractmethod
    def ee_path(self, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Planned poses `(rows, 7)` (m, quaternion xyzw, base frame) and widths `(rows,)` (m)."""
