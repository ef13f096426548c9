"""What a policy is made of: typed, stored in every bundle, shared by training and loading."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """

    kind: str = "light"
    latent_dim: int = 32
    latent_channels: int = 4
    channels: list[int] = field(default_factory=lambda: [48, 96, 128])


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
        shared_noise: of VILP: share of the noise's variance that all views have in common.
    """

    kind: str = "transformer"
    width: int = 192
    depth: int = 4
    channels: list[int] = field(default_factory=lambda: [256, 512, 1024])
    prediction: str = "sample"
    conditioning: str = "tokens"
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
    """VILP's low-level policy on pairs of latents; behaviour cloning on grids has the same shape.

    Attributes:
        channels: widths of each view's tower.
        width: width of the head.
    """

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
        method: `ldp`, `vilp`, or `bc`: behaviour cloning from the same latents, the control
            experiment.
        horizon: future states per plan, T (LDP: 8; VILP: 5 frames behind the present one).
        frame_interval: control periods from one state of a plan to the next (LDP: 1; VILP: 2).
        n_action_steps: actions executed per plan, N_e (LDP: 4; VILP: 6 to 16).
        engine: `openvino` or `torch`; what the bundle runs on by default.
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
