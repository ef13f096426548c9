"""Recipes: what is trained from which episodes, how long, with which seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vilp_ros.contract.readers import parse_yaml, read
from vilp_ros.data.table import Source
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig, RobustEncoderConfig
from vilp_ros.policy.registry import METHODS
from vilp_ros.training.alterations import AlterationConfig
from vilp_ros.training.ranges import ABOVE_0, check_ranges, in_range
from vilp_ros.training.registry import TRAININGS


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
    suboptimal ones, the autoencoders from all. A planner needs no expert: it can watch action-free
    episodes, and learn from play under `suboptimal` what actions do.

    Attributes:
        expert: demonstrations with actions.
        action_free: demonstrations whose actions are not used.
        suboptimal: failures, or play, with actions; nobody imitates them.
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
        batch_size: samples per step, of all processes together.
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

    def check(self) -> None:
        """Raises VilpError naming the first number that no optimisation can have."""
        for key, low, high in (
            ("steps", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("lr", ABOVE_0, math.inf),
            ("warmup", 0, math.inf),
            ("weight_decay", 0, math.inf),
            ("grad_clip", ABOVE_0, math.inf),
            ("ema", 0, 0.999999),  # 1 keeps the weights that it began with
            ("validate_every", 1, math.inf),
        ):
            in_range(key, getattr(self, key), low, high)


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
        bundle: begin with the autoencoders of this bundle.
        frozen: take those as they are, instead of training them further on these episodes.
        optim: optimisation.
        beta: weight of the KL term (paper: 1e-5 with unweighted pixels).
        contrast: extra weight of a pixel that differs fully from the view's median image.
        foresight: weight of predicting the end effector's pose `foresight_steps` ahead from
            latent and proprio; makes the latent keep what the next moves depend on.
        foresight_steps: control periods ahead.
        vqgan: loss of `kind: vqgan`, instead of beta, contrast and foresight.
    """

    bundle: str | None = None
    frozen: bool = True
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
        pure_noise: share of the samples at the last diffusion time, where every plan starts and few
            steps follow; 1 trains a regression. Null: 0.2 of VILP, 0 of the others.
    """

    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=3000, batch_size=256, lr=6e-4)
    )
    pure_noise: float | None = None


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
class RobustTraining:
    """The last stage: encoders that see past paint, light and a bumped camera.

    Attributes:
        enabled: whether the bundle gets them.
        bundle: give them to this bundle, and train nothing else.
        pairs: files of `vilp redraw` (or `vilp collect --vary --usual`): frames in drawn looks
            beside the usual ones. Without any, the recordings are altered alone.
        encoder: the networks.
        optim: optimisation, of each view.
        drawn_share: share of a batch in drawn looks, where there are pairs.
        clean_share: share of a batch that is not altered at all.
        alterations: strength of each alteration.
        warp: by view: factor on the geometric alterations. What a camera on a tripod may do, one
            on the hand may not: there a shift is a missed grasp.
        warp_otherwise: for views that `warp` does not name.
        adapt_steps: gradient steps that planner and what finds actions go on with, from what the
            robust encoders make of altered frames; 0 leaves them as they are, and needs no actions.
        adapt_clean_share: share of these frames that are not altered.
    """

    enabled: bool = False
    bundle: str | None = None
    pairs: list[str] = field(default_factory=list)
    encoder: RobustEncoderConfig = field(default_factory=RobustEncoderConfig)
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=1100, batch_size=48, lr=1e-3)
    )
    drawn_share: float = 0.6
    clean_share: float = 0.04
    alterations: AlterationConfig = field(default_factory=AlterationConfig)
    warp: dict[str, float] = field(default_factory=lambda: {"agentview": 1.0})
    warp_otherwise: float = 0.25
    adapt_steps: int = 1500
    adapt_clean_share: float = 0.25

    @property
    def wanted(self) -> bool:
        """Whether there is such a stage."""
        return self.enabled or bool(self.bundle)


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
        robust: how the encoders are made robust, when all else is trained.
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
    robust: RobustTraining = field(default_factory=RobustTraining)

    @property
    def pairs(self) -> list[str]:
        """Files of `robust.pairs`, where there is a stage that learns from them."""
        return self.robust.pairs if self.robust.wanted else []

    def check(self) -> None:
        """Raises VilpError naming the first entry that no training can have."""
        self.policy.check()
        if not 0 <= self.data.validation < 1:
            raise VilpError(f"data.validation is {self.data.validation}, expected 0 to below 1")
        for part in ("autoencoder", "planner", "idm", "low_level", "robust"):
            with _named(f"{part}.optim"):
                getattr(self, part).optim.check()
        with _named("bc"):
            self.bc.check()
        check_ranges(self)
        if twice := [view for view in self.views if self.views.count(view) > 1]:
            raise VilpError(f"views names {twice[0]} twice")
        if not (self.autoencoder.frozen or self.autoencoder.bundle):
            raise VilpError(
                "autoencoder.frozen is false and autoencoder.bundle names none to go on with"
            )
        if self.policy.robust_encoder is not None:
            raise VilpError(
                "policy.robust_encoder is written by the training: say robust.enabled=true and "
                "what it is like under robust.encoder"
            )


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Says where the number is that is wrong."""
    try:
        yield
    except VilpError as error:
        raise VilpError(f"{key}: {error}") from error


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides such as `planner.optim.steps=100`.

    Raises:
        VilpError: missing file, unknown key, wrong type, a number out of range, or no name.
    """
    if not Path(path).is_file():
        raise VilpError(f"no recipe at {path}: recipes are YAML files as in config/training/")
    try:
        written = OmegaConf.create(parse_yaml(read(Path(path)), f"recipe {path}") or {})
        merged = OmegaConf.merge(
            OmegaConf.structured(Recipe), written, OmegaConf.from_dotlist([*overrides])
        )
        recipe = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, TypeError) as error:
        said, key = str(error).splitlines()[0], getattr(error, "full_key", None)
        where = f"{key}: " if key and key not in said else ""
        raise VilpError(f"recipe {path}: {where}{said}") from error
    assert isinstance(recipe, Recipe)
    try:
        METHODS.require(recipe.policy.method)
        TRAININGS.require(recipe.policy.method)
        recipe.check()
    except VilpError as error:
        raise VilpError(f"recipe {path}: {error}") from error
    return recipe
