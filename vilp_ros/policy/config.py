"""What a policy is made of: typed, stored in every bundle, shared by training and loading."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class AutoencoderConfig:
    """One VAE per view.

    Attributes:
        kind: `light`, or `paper` for diffusers' AutoencoderKL in the shape of LDP.
        latent_dim: length of one view's latent.
        channels: widths; light takes three (strides 4, 8, 16), paper six.
    """

    kind: str = "light"
    latent_dim: int = 32
    channels: list[int] = field(default_factory=lambda: [48, 96, 128])


@dataclass
class PlannerConfig:
    """The diffusion model that forecasts states.

    Attributes:
        kind: `transformer`, or `unet` for the paper's conditional 1-D U-Net.
        width: transformer width.
        depth: transformer blocks.
        channels: U-Net widths (paper: 256, 512, 1024).
        prediction: `sample` (x0), or `epsilon` as in the paper.
    """

    kind: str = "transformer"
    width: int = 192
    depth: int = 4
    channels: list[int] = field(default_factory=lambda: [256, 512, 1024])
    prediction: str = "sample"


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
class SamplerConfig:
    """Network calls per plan and per action at run time (DDIM; the paper runs 100 DDPM steps)."""

    planner_steps: int = 4
    idm_steps: int = 4


@dataclass
class PolicyConfig:
    """Architecture and run-time settings of one policy.

    Attributes:
        method: `ldp`, or `bc`: behaviour cloning from the same latents, the control experiment.
        horizon: future states per plan (paper: 8).
        n_action_steps: actions executed per plan, N_e (paper: 4).
        engine: `openvino` or `torch`; what the bundle runs on by default.
    """

    method: str = "ldp"
    horizon: int = 8
    n_action_steps: int = 4
    engine: str = "openvino"
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    idm: InverseDynamicsConfig = field(default_factory=InverseDynamicsConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
