"""Trains the state planner (LDP section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.diffusion import Random, at_one_time, diffusion_loss, sample
from vilp_ros.policy.layout import PROPRIO_DIM
from vilp_ros.training.config import PlannerTraining
from vilp_ros.training.features import Features
from vilp_ros.training.loop import Objective


class PlannerObjective(Objective):
    """Denoises the standardised changes to the next T states.

    Proprio and latents weigh the same in total, however many latent dimensions there are.

    Args:
        net: the planner.
        features: states and the steps to learn from.
        policy: kind of prediction.
        config: share of samples at pure noise.
        decoders: of each view, for pictures of plans beside the truth.
    """

    def __init__(
        self,
        net: nn.Module,
        features: Features,
        policy: PolicyConfig,
        config: PlannerTraining,
        decoders: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.net = net
        self._f = features
        self._config = config
        self.prediction = policy.planner.prediction
        self._decoders = self.freeze(decoders)
        layout, stats = features.layout, features.statistics
        for name in ("state_mean", "state_std", "delta_mean", "delta_std"):
            self.constant(name, getattr(stats, name))
        latent = layout.latents.stop
        weight = torch.ones(layout.forecast_dim)
        weight[latent:] = max(latent, 1) / PROPRIO_DIM
        self.constant("weight", weight / weight.mean())

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return self.gather(rng.choice(self._f.planner_steps, size))

    def gather(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Training samples of these steps."""
        present, delta = self._f.plans(steps)
        return {"condition": present, "delta": delta}

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        loss = diffusion_loss(
            self.net,
            batch["delta"],
            batch["condition"],
            self.prediction,
            random,
            self.weight,
            self._config.pure_noise,
        )
        return {"loss": loss}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_planner
        if not len(steps):
            return {}
        batch = self.place(self.gather(steps[:: max(1, len(steps) // 512)][:512]))
        error = (self._plan(batch) - batch["delta"]) * self.delta_std
        start = self._f.layout.proprio.start
        xyz = slice(start, start + 3)
        metres = error[..., xyz] * self.state_std[xyz]
        millimetres = 1e3 * metres.norm(dim=-1).mean(0)
        return {
            "score": float(self(batch, self.random(0))["loss"]),
            "ee_error_step1_mm": float(millimetres[0]),
            "ee_error_last_mm": float(millimetres[-1]),
        }

    @override
    def pictures(self) -> dict[str, Tensor]:
        if not self._decoders or not len(self._f.held_out_planner):
            return {}
        steps = self._f.held_out_planner[[len(self._f.held_out_planner) // 2]]
        batch = self.place(self.gather(steps))
        rows = []
        dim = self._f.layout.latent_dim
        for view, decoder in enumerate(self._decoders):
            for delta in (batch["delta"], self._plan(batch)):
                latents = self._raw_states(batch["condition"], delta)[0]
                latents = latents[:, view * dim : (view + 1) * dim]
                rows.append(torch.cat(list(decoder(latents)), dim=1))
        widest = max(row.shape[1] for row in rows)
        rows = [F.pad(row, (0, 0, 0, widest - row.shape[1])) for row in rows]
        picture = torch.cat(rows).permute(2, 0, 1) / 255.0
        return {"decoded truth above decoded plan": picture}

    def _plan(self, batch: dict[str, Tensor]) -> Tensor:
        noise = self.random(0).normal(*batch["delta"].shape)
        return sample(at_one_time(self.net), noise, batch["condition"], 4, self.prediction)

    def _raw_states(self, present: Tensor, delta: Tensor) -> Tensor:
        size = self._f.layout.forecast_dim
        state = present[:, None, :size] + delta * self.delta_std + self.delta_mean
        return state * self.state_std[:size] + self.state_mean[:size]
