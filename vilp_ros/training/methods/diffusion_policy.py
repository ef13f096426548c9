"""Trains Diffusion Policy: image encoders and U-Net at once, on frames and labelled actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.policy.diffusion import Random, at_one_time, diffusion_loss, sample
from vilp_ros.policy.methods.diffusion_policy import ChunkDenoiser
from vilp_ros.training.features import Features
from vilp_ros.training.loop import Objective
from vilp_ros.training.method import Training


class DiffusionPolicyTraining(Training):
    """One part, trained end to end; it learns from expert episodes alone."""

    stages = (("planner",),)

    @override
    def objective(self, name: str, features: Features) -> Objective:
        work, net = self.work, self.net(name)
        assert isinstance(net, ChunkDenoiser)
        policy = work.recipe.policy
        frames = work.images(work.method.options(policy).shrink)
        pure_noise = work.recipe.planner.pure_noise
        return ChunkObjective(net, features, policy.planner.prediction, frames, pure_noise)


class ChunkObjective(Objective):
    """Denoises the standardised actions of a plan, relative to the pose at the observation.

    Frames are cut at random. Behind the end of an episode its last target stays, as in the paper.

    Args:
        net: encoders and U-Net.
        features: states, chunks of actions and steps.
        prediction: `sample` or `epsilon`.
        frames: of each view `(F, h, w, 3)` uint8, shrunk.
        pure_noise: as in `draw_times`.
    """

    def __init__(
        self,
        net: ChunkDenoiser,
        features: Features,
        prediction: str,
        frames: Sequence[DiskArray],
        pure_noise: float | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self._pure_noise = pure_noise
        self._f, self._frames, self._prediction = features, frames, prediction
        self.constant("action_std", features.statistics.action_std)
        known = np.flatnonzero(np.isfinite(features.action[:, 0]).all(-1))
        calm = np.concatenate([features.planner_steps, features.held_out_planner])
        usable = np.intersect1d(known, calm)
        self._train = np.intersect1d(usable, features.expert_steps)
        self._held_out = np.intersect1d(usable, features.held_out_expert)

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        corners = [
            rng.integers(0, 2 * np.array(encoder.corner) + 1, (size, 2))
            for encoder in self.net.encoders
        ]
        return self._gather(rng.choice(self._train, size), corners)

    def _gather(self, steps: np.ndarray, corners: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """States, chunks, and of each view what the window at `(B, 2)` row and column shows."""
        batch = {"state": self._f.state[steps], "chunk": lasting(self._f.action[steps])}
        for view, (encoder, frames) in enumerate(zip(self.net.encoders, self._frames, strict=True)):
            h, w = encoder.window
            batch[f"frames.{view}"] = np.stack(
                [f[y : y + h, x : x + w] for f, (y, x) in zip(frames[steps], corners[view])]
            )
        return batch

    def condition(self, batch: dict[str, Tensor]) -> Tensor:
        """What the U-Net is told: `(B, C)`."""
        seen = [
            encoder.features(batch[f"frames.{view}"])
            for view, encoder in enumerate(self.net.encoders)
        ]
        return torch.cat([batch["state"], *seen], dim=1)

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        condition = self.condition(batch)
        loss = diffusion_loss(
            self.net.denoiser,
            batch["chunk"],
            condition,
            self._prediction,
            random,
            pure_noise=self._pure_noise,
        )
        return {"loss": loss}

    @override
    def validate(self) -> dict[str, float]:
        if not len(self._held_out):
            return {}
        steps = self._held_out[:: max(1, len(self._held_out) // 256)][:256]
        middles = [np.tile(encoder.corner, (len(steps), 1)) for encoder in self.net.encoders]
        batch = self.place(self._gather(steps, middles))
        noise = self.random(0).normal(*batch["chunk"].shape)
        denoise = at_one_time(self.net.denoiser)
        guess = sample(denoise, noise, self.condition(batch), 8, self._prediction)
        metres = (guess - batch["chunk"])[..., :3] * self.action_std[:3]
        millimetres = 1e3 * metres.norm(dim=-1).mean(0)
        return {
            "score": float(self(batch, self.random(0))["loss"]),
            "position_error_first_mm": float(millimetres[0]),
            "position_error_last_mm": float(millimetres[-1]),
        }


def lasting(actions: np.ndarray) -> np.ndarray:
    """Chunks `(B, N, A)` whose unknown ends, NaN, repeat the last action that is known."""
    known = np.isfinite(actions).all(-1)
    last = np.maximum.accumulate(np.where(known, np.arange(actions.shape[1]), 0), axis=1)
    return np.take_along_axis(actions, last[..., None], axis=1)
