"""Trains the video planner (VILP section III)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.diffusion import (
    Random,
    at_one_time,
    draw_times,
    sample,
    schedule,
    share_noise,
)
from vilp_ros.policy.video_planner import VideoPlanner
from vilp_ros.training.config import PlannerTraining
from vilp_ros.training.features import Features
from vilp_ros.training.planner import PlannerObjective

PURE_NOISE = 0.2
"""Share of the samples at the last diffusion time, where every plan starts and few steps follow."""


class VideoPlannerObjective(PlannerObjective):
    """Denoises the standardised changes of all views' latents from the present frame to T others.

    A change is nought wherever nothing moves, so that the network learns motion, not scenery.

    Args:
        net: the planner.
        features: states and the steps to learn from.
        policy: kind of prediction and share of common noise.
        config: share of samples at pure noise.
        decoders: of each view, for pictures of plans beside the truth.
        frames: of each view `(F, H, W, 3)` uint8, where the planner sees frames.
    """

    net: VideoPlanner

    def __init__(
        self,
        net: VideoPlanner,
        features: Features,
        policy: PolicyConfig,
        config: PlannerTraining,
        decoders: Sequence[nn.Module] = (),
        frames: Sequence[DiskArray] = (),
    ) -> None:
        super().__init__(net, features, policy, config, decoders)
        self._frames = frames
        self._shared_noise = policy.planner.shared_noise

    @override
    def gather(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        batch = super().gather(steps)
        if self._frames:
            batch["frames"] = np.stack([f[steps] for f in self._frames], axis=1)
        return batch

    def context(self, batch: dict[str, Tensor]) -> Tensor:
        """The planner's context of a batch."""
        return self.net.context(batch["condition"], batch.get("frames"))

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        clean = batch["delta"]
        size = len(clean)
        share = self._config.pure_noise
        times = draw_times(size, random, PURE_NOISE if share is None else share)
        noise = self.noise(size, random)
        noisy = schedule(self.prediction).add_noise(clean, noise, times)
        out = self.net(noisy, times, self.context(batch)).float()
        error = (out - (clean if self.prediction == "sample" else noise)).square()
        return {"loss": error.mean()}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_planner
        if not len(steps):
            return {}
        batch = self.place(self.gather(steps[:: max(1, len(steps) // 64)][:64]))
        copy = -self.delta_mean / self.delta_std  # nothing changes at all

        def error(plan: Tensor) -> float:
            return float((plan - batch["delta"]).square().mean())

        return {
            "score": float(self(batch, self.random(0))["loss"]),
            "error_of_copy": error(copy),
            "error_1_step": error(self._plan(batch, 1)),
            "error_4_steps": error(self._plan(batch, 4)),
        }

    @override
    def _plan(self, batch: dict[str, Tensor], steps: int = 4) -> Tensor:
        return sample(
            at_one_time(self.net),
            self.noise(len(batch["delta"]), self.random(0)),
            self.context(batch),
            steps,
            self.prediction,
        )

    def noise(self, count: int, random: Random) -> Tensor:
        """As `VilpPolicy` draws it: in part common to all views. `(count, T, D)`."""
        layout, horizon = self._f.layout, self._f.horizon
        own = random.normal(count, horizon, layout.views, layout.latent_dim)
        common = random.normal(count, horizon, 1, layout.latent_dim)
        return share_noise(own, common, self._shared_noise).flatten(2)
