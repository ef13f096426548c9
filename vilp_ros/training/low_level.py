"""Trains VILP's low-level policy: which actions lead from one frame to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.policy.diffusion import Random, clean_of, schedule
from vilp_ros.training.config import LowLevelTraining
from vilp_ros.training.features import Features
from vilp_ros.training.inverse_dynamics import known_error
from vilp_ros.training.loop import Objective
from vilp_ros.training.video_planner import VideoPlannerObjective

IMAGINED_TIMES = (20, 85)
"""Diffusion times from which the planner's frames are taken: late enough to look like its plans,
early enough to keep the future that the recorded actions belong to."""


class LowLevelObjective(Objective):
    """Regresses the actions between the frames of a plan, relative to the pose at its start.

    The paper trains on recorded pairs only and runs on generated ones. Here a part of the plans is
    the planner's own: recorded futures, noised and drawn anew by the planner, so that they are
    imagined and still those that the recorded actions lead to. The other plans get noise.

    Args:
        net: low-level policy.
        features: states, chunks of actions and steps.
        planner: the trained planner's objective.
        config: noise and shares.
    """

    def __init__(
        self,
        net: nn.Module,
        features: Features,
        planner: VideoPlannerObjective,
        config: LowLevelTraining,
    ) -> None:
        super().__init__()
        self.net = net
        self._f = features
        self._planner = self.freeze([planner])
        self._config = config
        stats, latents = features.statistics, features.layout.latents
        self.constant("delta_mean", stats.delta_mean)
        self.constant("delta_std", stats.delta_std)
        self.constant("latent_mean", stats.state_mean[latents])
        self.constant("latent_std", stats.state_std[latents])
        self.constant("action_std", stats.action_std)

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        plans = max(1, size // self._f.horizon)
        steps, suboptimal = self._f.labelled(rng, plans, self._config.suboptimal_share)
        imagined = rng.random(plans) < self._config.imagined_share
        # An expert's plan is one that the planner knows; a failure's is not.
        imagined[plans - suboptimal :] = False
        return self._gather(steps) | {"imagined": imagined}

    def _gather(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        return self._planner[0].gather(steps) | {"action": self._f.action[steps]}

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        delta = batch["delta"]
        if self.training:
            spread = self._config.noise * random.uniform(len(delta), 1, 1)
            noise = spread * random.normal(*delta.shape)
            drawn = batch["imagined"]
            delta = delta + noise * ~drawn[:, None, None]
            if drawn.any():
                some = {k: v[drawn] for k, v in batch.items() if k != "imagined"}
                delta[drawn] = self._imagine(some, random)
        guess = self._guess(batch["condition"], delta)
        return {"loss": known_error(guess, batch["action"])}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_labelled
        if not len(steps):
            return {}
        batch = self.place(self._gather(steps[:: max(1, len(steps) // 256)][:256]))
        error = self._guess(batch["condition"], batch["delta"]) - batch["action"]
        metres = error[..., :3] * self.action_std[:3]
        millimetres = 1e3 * metres.norm(dim=-1).nanmean(0)
        return {
            "score": float(self(batch, self.random(0))["loss"]),
            "position_error_first_mm": float(millimetres[0]),
            "position_error_last_mm": float(millimetres[-1]),
        }

    def _guess(self, present: Tensor, delta: Tensor) -> Tensor:
        """Standardised actions `(B, N, A)` of plans, as `VilpPolicy.act` finds them."""
        now = present[:, None, self._f.layout.latents]
        frames = torch.cat([now, now + delta * self.delta_std + self.delta_mean], dim=1)
        guess = self.net(*self._pairs(present, frames))
        return guess.reshape(len(present), -1, guess.shape[-1])

    def _pairs(self, present: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """Rows `(B * T, C)` and standardised steps `(B * T, D)` of frames `(B, T + 1, D)`."""
        rows = present[:, None].repeat(1, self._f.horizon, 1)
        rows[..., self._f.layout.latents] = frames[:, :-1]
        step = (frames[:, 1:] - frames[:, :-1] - self.delta_mean[0]) / self.delta_std[0]
        return rows.flatten(0, 1), step.flatten(0, 1)

    def _imagine(self, batch: dict[str, Tensor], random: Random) -> Tensor:
        """The planner's picture of recorded futures, drawn from their noised selves in one step."""
        delta, planner = batch["delta"], self._planner[0]
        times = random.integers(*IMAGINED_TIMES, len(delta))
        with torch.no_grad():
            noise = planner.noise(len(delta), random)
            noisy = schedule(planner.prediction).add_noise(delta, noise, times)
            out = planner.net(noisy, times, planner.context(batch)).float()
        return clean_of(out, noisy, times, planner.prediction)


class FrameLowLevelObjective(LowLevelObjective):
    """The same on decoded frames, for the paper's low-level policy; decodes every plan anew.

    Args:
        net: low-level policy on frames.
        features: states, chunks of actions and steps.
        planner: the trained planner's objective.
        config: noise and shares.
        decoders: of each view, latents to frames.
    """

    def __init__(
        self,
        net: nn.Module,
        features: Features,
        planner: VideoPlannerObjective,
        config: LowLevelTraining,
        decoders: Sequence[nn.Module],
    ) -> None:
        super().__init__(net, features, planner, config)
        self._decoders = self.freeze(decoders)

    @override
    def _pairs(self, present: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """First and second frames `(B * T, V, H, W, 3)`, 0..255, and proprio `(B * T, P)`."""
        latents = self._f.layout.latents
        raw = frames * self.latent_std + self.latent_mean
        with torch.no_grad():
            pictures = torch.stack(
                [
                    decoder(part.flatten(0, 1)).unflatten(0, raw.shape[:2])
                    for decoder, part in zip(
                        self._decoders, raw.chunk(self._f.layout.views, dim=2), strict=True
                    )
                ],
                dim=2,
            )
        proprio = present[:, latents.stop :].repeat_interleave(self._f.horizon, dim=0)
        return pictures[:, :-1].flatten(0, 1), pictures[:, 1:].flatten(0, 1), proprio
