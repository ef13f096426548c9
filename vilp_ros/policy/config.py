"""What a policy is made of: typed, stored in every bundle, shared by training and loading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vilp_ros.contract.readers import parse_yaml, read
from vilp_ros.errors import VilpError

TRAIN_TIMESTEPS = 100
"""Diffusion times of the schedule, and so the most denoising steps (LDP section 4.2)."""

ENGINES = ("torch", "openvino", "compile")
"""What a bundle can run on."""
MOST_CHANNELS, MOST_LAYERS = 16384, 256
"""Beyond, a number is a slip; a network of it would fill the memory before that is said."""


@dataclass
class AutoencoderConfig:
    """One autoencoder per view.

    Attributes:
        kind: of LDP's vectors: `light`, or `paper` for diffusers' AutoencoderKL in the paper's
            shape. Of VILP's grids: `spatial`, or `vqgan` on diffusers' VQModel.
        latent_dim: length of one view's vector.
        latent_channels: channels of one view's grid.
        channels: widths; light takes three (strides 4, 8, 16), paper six, spatial two (strides 4
            and 8), vqgan four.
        codebook: codes of vqgan.
    """

    kind: str = "light"
    latent_dim: int = 32
    latent_channels: int = 4
    channels: list[int] = field(default_factory=lambda: [48, 96, 128])
    codebook: int = 1024


@dataclass
class RobustEncoderConfig:
    """What a robust encoder adds to the autoencoder's own, see `vilp_ros.policy.robust_encoder`.

    Attributes:
        blocks: further residual blocks at stride 16.
        reduced: of vectors: channels that the MLP sees.
        width: of vectors: width of the MLP.
        context: of grids: channels of the branch that sees the whole picture.
    """

    blocks: int = 2
    reduced: int = 48
    width: int = 384
    context: int = 96


@dataclass
class PlannerConfig:
    """The diffusion model that forecasts states or frames.

    Attributes:
        kind: of LDP: `transformer`, or `unet` for the paper's conditional 1-D U-Net. Of VILP:
            `video`, or `video3d` for the paper's 3-D U-Net, one per view.
        width: transformer width.
        depth: transformer blocks; attention blocks of `video`.
        channels: U-Net widths (LDP paper: 256, 512, 1024; video: two; video3d: one, the paper's
            64 or 128).
        prediction: `sample` (x0), or `epsilon` as in the papers.
        conditioning: of VILP, see `vilp_ros.policy.video_planner.CONDITIONING`.
        encoder: of VILP: what conditions it, `light` on the present latents, or `resnet` on the
            present frames as in the paper.
        joint: of VILP: one network for all views; false: one a view, as in the paper.
        shared_noise: of VILP: share of the noise's variance that all views have in common.
    """

    kind: str = "transformer"
    width: int = 192
    depth: int = 4
    channels: list[int] = field(default_factory=lambda: [256, 512, 1024])
    prediction: str = "sample"
    conditioning: str = "tokens"
    encoder: str = "light"
    joint: bool = True
    shared_noise: float = 0.5


@dataclass
class InverseDynamicsConfig:
    """The MLP-ResNet that gives actions (paper: width 256, 3 blocks, epsilon).

    Attributes:
        width: model width.
        blocks: residual blocks.
        prediction: `sample` (x0), or `epsilon` as in the paper.
    """

    width: int = 256
    blocks: int = 3
    prediction: str = "sample"


@dataclass
class LowLevelConfig:
    """VILP's low-level policy; behaviour cloning on grids has the shape of `latents`.

    Attributes:
        kind: `latents` on pairs of latents, or `frames` on pairs of decoded frames, as in the
            paper.
        channels: of latents: widths of each view's tower.
        width: of latents: width of the head.
    """

    kind: str = "latents"
    channels: list[int] = field(default_factory=lambda: [48, 96, 96])
    width: int = 256


@dataclass
class SamplerConfig:
    """How plans are drawn at run time, by DDIM (the LDP paper runs 100 DDPM steps).

    Attributes:
        planner_steps: denoising steps of a plan from pure noise, K.
        idm_steps: denoising steps of LDP's actions.
        warm_start: how many of a plan's steps are left out by starting from the previous plan,
            rolled forward by the time that passed and noised; 0 starts from noise.
    """

    planner_steps: int = 4
    idm_steps: int = 4
    warm_start: int = 0


@dataclass
class PolicyConfig:
    """Architecture and run-time settings of one policy.

    Attributes:
        method: name of an installed method, see `vilp_ros.policy.registry`.
        horizon: future states per plan, T (LDP: 8; VILP: 5 frames behind the present one).
        frame_interval: control periods from one state of a plan to the next (LDP: 1; VILP: 2).
        n_action_steps: actions executed per plan, N_e (LDP: 4; VILP: 6 to 16).
        engine: `openvino` or `torch`; what the bundle runs on by default.
        robust_encoder: encoders of its own, which see past paint and light; null sees with those
            of the autoencoders.
        options: what only the method knows; see `Options` in its module.
    """

    method: str = "ldp"
    horizon: int = 8
    frame_interval: int = 1
    n_action_steps: int = 4
    engine: str = "openvino"
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    idm: InverseDynamicsConfig = field(default_factory=InverseDynamicsConfig)
    low_level: LowLevelConfig = field(default_factory=LowLevelConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    robust_encoder: RobustEncoderConfig | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raises VilpError naming the first number that no policy can run with."""
        actions = self.horizon * self.frame_interval
        for key, found, low, high in (
            ("horizon", self.horizon, 1, 1000),
            ("frame_interval", self.frame_interval, 1, 1000),
            ("n_action_steps", self.n_action_steps, 1, actions),
            ("sampler.planner_steps", self.sampler.planner_steps, 1, TRAIN_TIMESTEPS),
            ("sampler.idm_steps", self.sampler.idm_steps, 1, TRAIN_TIMESTEPS),
            ("sampler.warm_start", self.sampler.warm_start, 0, TRAIN_TIMESTEPS - 1),
            ("planner.shared_noise", self.planner.shared_noise, 0, 1),
        ):
            if not low <= found <= high:
                raise VilpError(f"policy.{key} is {found}, expected {low} to {high}")
        for key in ("autoencoder", "robust_encoder", "planner", "idm", "low_level"):
            if (part := getattr(self, key)) is not None:
                _check_sizes(f"policy.{key}", part)
        choose("policy.engine", self.engine, ENGINES)
        for key, kind in (("planner", self.planner), ("idm", self.idm)):
            choose(f"policy.{key}.prediction", kind.prediction, ("sample", "epsilon"))


def _check_sizes(where: str, part: Any) -> None:
    """Raises VilpError naming the first size that no network of this package has."""
    for item in fields(part):
        value = getattr(part, item.name)
        layers = item.name in ("depth", "blocks")
        least, most = (0, MOST_LAYERS) if layers else (1, MOST_CHANNELS)
        for size in value if isinstance(value, list) else [value]:
            number = isinstance(size, int) and not isinstance(size, bool)
            if (number and not least <= size <= most) or (isinstance(value, list) and not number):
                raise VilpError(f"{where}.{item.name} is {value}, expected {least} to {most}")


def read_policy(recipe: str | Path) -> PolicyConfig:
    """The policy of a training recipe.

    Raises:
        VilpError: no such file, or a key of its `policy` is unknown, of the wrong type or out of
            range.
    """
    if not Path(recipe).is_file():
        raise VilpError(f"no recipe at {recipe}: recipes are YAML files as in config/training/")
    try:
        body = OmegaConf.create(parse_yaml(read(Path(recipe)), f"recipe {recipe}") or {})
        chosen = OmegaConf.select(body, "policy") or {}
        merged = OmegaConf.merge(OmegaConf.structured(PolicyConfig), chosen)
        policy = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise VilpError(f"recipe {recipe}: {str(error).splitlines()[0]}") from error
    assert isinstance(policy, PolicyConfig)
    policy.check()
    return policy


def choose(key: str, found: str, available: Iterable[str]) -> None:
    """Checks that a config asks for something that there is.

    Raises:
        VilpError: it does not.
    """
    if found not in available:
        raise VilpError(f"{key} {found!r}; available: {', '.join(available)}")
