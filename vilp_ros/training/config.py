"""Recipes: what is trained from which episodes, how long, with which seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vilp_ros.data.table import Source
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.spec import METHODS


@dataclass
class EpisodeSet:
    """Episodes of one file.

    Attributes:
        path: HDF5 file of episodes.
        start: index of the first one taken.
        count: how many; null for all that follow.
    """

    path: str = MISSING
    start: int = 0
    count: int | None = None


@dataclass
class DataConfig:
    """Who learns from what (LDP section 5).

    The planner learns from expert and action-free episodes, the inverse dynamics from expert and
    suboptimal ones, the autoencoders from all.

    Attributes:
        expert: demonstrations with actions.
        action_free: demonstrations whose actions are not used.
        suboptimal: failures with actions.
        validation: fraction of the episodes held out of training.
    """

    expert: list[EpisodeSet] = field(default_factory=list)
    action_free: list[EpisodeSet] = field(default_factory=list)
    suboptimal: list[EpisodeSet] = field(default_factory=list)
    validation: float = 0.04

    def sources(self) -> list[Source]:
        """All episodes with their roles."""
        return [
            Source(s.path, role, s.start, s.count)
            for role in ("expert", "action_free", "suboptimal")
            for s in getattr(self, role)
        ]


@dataclass
class OptimConfig:
    """One optimisation: AdamW, warm-up, cosine to zero, EMA. Lengths are steps, never seconds.

    Attributes:
        steps: gradient steps.
        batch_size: samples per step and process.
        lr: peak learning rate.
        warmup: steps of linear warm-up.
        weight_decay: AdamW's.
        grad_clip: bound of the gradient's norm.
        ema: highest decay of the averaged weights, which are the ones kept.
        validate_every: steps between two looks at the held-out episodes.
        keep_best: keep the averaged weights of the best look instead of the last.
    """

    steps: int = 1000
    batch_size: int = 64
    lr: float = 1e-3
    warmup: int = 100
    weight_decay: float = 1e-4
    grad_clip: float = 1.0
    ema: float = 0.995
    validate_every: int = 250
    keep_best: bool = False


@dataclass
class VqganTraining:
    """Loss of a VQGAN.

    Attributes:
        contrast: extra weight of a pixel that differs fully from the view's median image.
        perceptual: safetensors file of a VGG-16 (see `VggDistance`); null leaves the term out.
        perceptual_weight: weight of the perceptual distance (paper: 1, with LPIPS).
        codebook: weight of the loss between latents and codes (paper: 1).
        adversarial: weight of the discriminator's verdict, on top of the one that balances the
            two gradients at the last layer (paper: 0.8).
        disc_start: step at which the discriminator starts to learn and to count (paper: 10,000 on
            Can; 1,000,000, which is never, on Push-T); null for never.
    """

    contrast: float = 8.0
    perceptual: str | None = None
    perceptual_weight: float = 1.0
    codebook: float = 1.0
    adversarial: float = 0.8
    disc_start: int | None = 10_000


@dataclass
class AutoencoderTraining:
    """Loss of the autoencoders.

    Attributes:
        bundle: take the frozen autoencoders of this bundle instead of training any.
        optim: optimisation.
        beta: weight of the KL term (paper: 1e-5 with unweighted pixels).
        contrast: extra weight of a pixel that differs fully from the view's median image.
        foresight: weight of predicting the end effector's pose `foresight_steps` ahead from
            latent and proprio; makes the latent keep what the next moves depend on.
        foresight_steps: control periods ahead.
        vqgan: loss of `kind: vqgan`, instead of beta, contrast and foresight.
    """

    bundle: str | None = None
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=2000, batch_size=64, lr=1e-3)
    )
    beta: float = 1e-4
    contrast: float = 8.0
    foresight: float = 0.05
    foresight_steps: list[int] = field(default_factory=lambda: [4, 8, 16, 32])
    vqgan: VqganTraining = field(default_factory=VqganTraining)


@dataclass
class PlannerTraining:
    """Loss of the planner.

    Attributes:
        optim: optimisation.
        pure_noise: of VILP: share of the samples at the last diffusion time, where every plan
            starts and few steps follow; 1 trains a regression.
    """

    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=3000, batch_size=256, lr=6e-4)
    )
    pure_noise: float = 0.2


@dataclass
class IdmTraining:
    """Loss of the inverse dynamics.

    Attributes:
        optim: optimisation; stopped on held-out pairs.
        noise: upper bound of the standard deviation of noise on the change between the two
            states, drawn per pair; plans are less exact than recordings.
        suboptimal_share: share of suboptimal pairs in a batch where there are any (paper: 0.5).
    """

    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=1500, batch_size=1024, lr=1e-3, keep_best=True)
    )
    noise: float = 0.3
    suboptimal_share: float = 0.5


@dataclass
class LowLevelTraining:
    """Loss of VILP's low-level policy.

    Attributes:
        optim: optimisation; a sample is a pair of frames, a batch whole plans. Stopped on held-out
            pairs.
        noise: upper bound of the standard deviation of noise on a plan's frames, drawn per plan.
        imagined_share: share of the plans that the planner draws anew.
        suboptimal_share: share of suboptimal plans in a batch where there are any.
    """

    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=1500, batch_size=320, lr=1e-3, keep_best=True)
    )
    noise: float = 0.3
    imagined_share: float = 0.4
    suboptimal_share: float = 0.5


@dataclass
class Recipe:
    """Everything `vilp train` needs to make one bundle.

    Attributes:
        name: name of the bundle.
        seed: seed of weights, batches and noise.
        views: views that the policy sees; empty for the proprio-only control.
        data: episodes by role.
        policy: what is trained.
        autoencoder: how the autoencoders are trained.
        planner: how the planner is trained.
        idm: how the inverse dynamics is trained.
        low_level: how VILP's low-level policy is trained.
        bc: how behaviour cloning is trained (method `bc`).
    """

    name: str = MISSING
    seed: int = 0
    views: list[str] = field(default_factory=lambda: ["agentview", "eye_in_hand"])
    data: DataConfig = field(default_factory=DataConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    autoencoder: AutoencoderTraining = field(default_factory=AutoencoderTraining)
    planner: PlannerTraining = field(default_factory=PlannerTraining)
    idm: IdmTraining = field(default_factory=IdmTraining)
    low_level: LowLevelTraining = field(default_factory=LowLevelTraining)
    bc: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=3000, batch_size=256, lr=6e-4)
    )


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides such as `planner.optim.steps=100`.

    Raises:
        VilpError: missing file, unknown key, wrong type, or no name.
    """
    if not Path(path).is_file():
        raise VilpError(f"no recipe at {path}: recipes are YAML files as in config/training/")
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(Recipe), OmegaConf.load(path), OmegaConf.from_dotlist([*overrides])
        )
        recipe = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, yaml.YAMLError, TypeError) as error:
        said = " ".join(str(error).split()) if isinstance(error, yaml.YAMLError) else str(error)
        raise VilpError(f"recipe {path}: {said.splitlines()[0]}") from error
    assert isinstance(recipe, Recipe)
    if recipe.policy.method not in METHODS:
        available = ", ".join(METHODS)
        raise VilpError(f"recipe {path}: method {recipe.policy.method!r}; available: {available}")
    return recipe
