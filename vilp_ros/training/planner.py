"""Trains the state planner (LDP section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.diffusion import diffusion_loss, sample
from vilp_ros.policy.layout import PROPRIO_DIM
from vilp_ros.training.features import Features
from vilp_ros.training.loop import Objective


class PlannerObjective(Objective):
    """Denoises the standardised changes to the next T states.

    Proprio and latents weigh the same in total, however many latent dimensions there are.

    Args:
        net: the planner.
        features: states and the steps to learn from.
        policy: kind of prediction.
        decoders: of each view, for pictures of plans beside the truth.
    """

    def __init__(
        self,
        net: nn.Module,
        features: Features,
        policy: PolicyConfig,
        decoders: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.net = net
        self._f = features
        self.prediction = policy.planner.prediction
        self._decoders = tuple(decoders)  # in a tuple: frozen, no part of what is trained
        layout = features.layout
        latent = layout.latents.stop
        weight = torch.ones(layout.forecast_dim)
        weight[latent:] = max(latent, 1) / PROPRIO_DIM
        self._weight = weight / weight.mean()

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return self.gather(rng.choice(self._f.planner_steps, size))

    def gather(self, steps: np.ndarray) -> dict[str, Tensor]:
        """Training samples of these steps."""
        present, delta = self._f.plans(steps)
        return {"condition": torch.from_numpy(present), "delta": torch.from_numpy(delta)}

    @override
    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        condition = batch["condition"]
        weight = self._weight.to(condition.device)
        loss = diffusion_loss(
            self.net, batch["delta"], condition, self.prediction, generator, weight
        )
        return {"loss": loss}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_planner
        if not len(steps):
            return {}
        batch = self.gather(steps[:: max(1, len(steps) // 512)][:512])
        plan, stats = self._plan(batch), self._f.statistics
        error = (plan - batch["delta"]) * torch.from_numpy(stats.delta_std)
        start = self._f.layout.proprio.start
        xyz = slice(start, start + 3)
        metres = error[..., xyz] * torch.from_numpy(stats.state_std[xyz])
        millimetres = 1e3 * metres.norm(dim=-1).mean(0)
        return {
            "score": float(self(batch, torch.Generator().manual_seed(0))["loss"]),
            "ee_error_step1_mm": float(millimetres[0]),
            "ee_error_last_mm": float(millimetres[-1]),
        }

    @override
    def pictures(self) -> dict[str, Tensor]:
        if not self._decoders or not len(self._f.held_out_planner):
            return {}
        steps = self._f.held_out_planner[[len(self._f.held_out_planner) // 2]]
        batch = self.gather(steps)
        rows = []
        dim = self._f.layout.latent_dim
        for view, decoder in enumerate(self._decoders):
            for delta in (batch["delta"], self._plan(batch)):
                latents = self._raw_states(batch["condition"], delta)[0]
                latents = latents[:, view * dim : (view + 1) * dim]
                rows.append(torch.cat(list(decoder(latents)), dim=1))
        picture = torch.cat(rows).permute(2, 0, 1) / 255.0
        return {"decoded truth above decoded plan": picture}

    def _plan(self, batch: dict[str, Tensor]) -> Tensor:
        noise = torch.randn(batch["delta"].shape, generator=torch.Generator().manual_seed(0))
        return sample(
            lambda x, t, c: self.net(x, torch.full((len(x),), t), c),
            noise,
            batch["condition"],
            4,
            self.prediction,
        )

    def _raw_states(self, present: Tensor, delta: Tensor) -> Tensor:
        stats, size = self._f.statistics, self._f.layout.forecast_dim
        ahead = delta * torch.from_numpy(stats.delta_std) + torch.from_numpy(stats.delta_mean)
        state = present[:, None, :size] + ahead
        return state * torch.from_numpy(stats.state_std[:size]) + torch.from_numpy(
            stats.state_mean[:size]
        )
