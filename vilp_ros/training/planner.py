"""Trains the state planner (LDP section 4.2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.data.windows import future
from vilp_ros.policy.diffusion import diffusion_loss, sample
from vilp_ros.policy.networks import PROPRIO_DIM
from vilp_ros.training.config import PlannerTraining
from vilp_ros.training.features import Features
from vilp_ros.training.loop import Objective


class PlannerObjective(Objective):
    """Denoises the standardised changes to the next T states.

    Proprio and latents weigh the same in total, however many latent dimensions there are.

    Args:
        net: the planner.
        features: states and the steps to learn from.
        horizon: future states per plan, T.
        prediction: `sample` or `epsilon`.
        config: noise on the condition.
    """

    def __init__(
        self,
        net: nn.Module,
        features: Features,
        horizon: int,
        prediction: str,
        config: PlannerTraining,
    ) -> None:
        super().__init__()
        self.net = net
        self._f = features
        self._horizon = horizon
        self._prediction = prediction
        self._noise = config.noise
        latent = features.forecast - PROPRIO_DIM
        weight = torch.ones(features.forecast)
        weight[latent:] = max(latent, 1) / PROPRIO_DIM
        self._weight = weight / weight.mean()

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return self._gather(rng.choice(self._f.planner_steps, size))

    def _gather(self, steps: np.ndarray) -> dict[str, Tensor]:
        f = self._f
        present = f.state[steps]
        ahead = f.state[future(steps, f.last, self._horizon), : f.forecast]
        delta = ahead - present[:, None, : f.forecast]
        delta = (delta - f.statistics.delta_mean) / f.statistics.delta_std
        return {"condition": torch.from_numpy(present), "delta": torch.from_numpy(delta)}

    @override
    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        condition = batch["condition"]
        if self._noise and self.training:
            latent = self._f.forecast - PROPRIO_DIM
            blur = torch.randn(condition.shape, generator=generator).to(condition.device)
            blur[:, latent:] = 0.0
            condition = condition + self._noise * blur
        weight = self._weight.to(condition.device)
        loss = diffusion_loss(
            self.net, batch["delta"], condition, self._prediction, generator, weight
        )
        return {"loss": loss}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_planner
        if not len(steps):
            return {}
        batch = self._gather(steps[:: max(1, len(steps) // 512)][:512])
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(batch["delta"].shape, generator=generator)
        stats = self._f.statistics
        plan = sample(
            lambda x, t, c: self.net(x, torch.full((len(x),), t), c),
            noise,
            batch["condition"],
            4,
            self._prediction,
        )
        error = (plan - batch["delta"]) * torch.from_numpy(stats.delta_std)
        xyz = slice(self._f.forecast - PROPRIO_DIM, self._f.forecast - PROPRIO_DIM + 3)
        metres = error[..., xyz] * torch.from_numpy(stats.state_std[xyz])
        millimetres = 1e3 * metres.norm(dim=-1).mean(0)
        return {
            "score": float(self(batch, torch.Generator().manual_seed(0))["loss"]),
            "ee_error_step1_mm": float(millimetres[0]),
            "ee_error_last_mm": float(millimetres[-1]),
        }
