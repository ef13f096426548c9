"""Trains what gives actions: the inverse dynamics (LDP section 4.3) and behaviour cloning."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.policy.diffusion import Random, at_one_time, diffusion_loss, sample
from vilp_ros.training.config import IdmTraining
from vilp_ros.training.features import Features
from vilp_ros.training.loop import Objective


class IdmObjective(Objective):
    """Denoises the action between two states; noise on the second one stands in for a plan's error.

    Args:
        net: the inverse dynamics.
        features: states, actions and the steps to learn from.
        prediction: `sample` or `epsilon`.
        config: noise and share of suboptimal pairs.
    """

    def __init__(
        self, net: nn.Module, features: Features, prediction: str, config: IdmTraining
    ) -> None:
        super().__init__()
        self.net = net
        self._f = features
        self._prediction = prediction
        self._config = config
        self.constant("action_std", features.statistics.action_std)

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return self._gather(self._f.labelled(rng, size, self._config.suboptimal_share)[0])

    def _gather(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        f, stats = self._f, self._f.statistics
        present = f.state[steps]
        begins = steps % f.horizon == 0  # the first pair of a plan begins at what is seen
        present[begins] = f.present[steps[begins]]
        forecast = f.layout.forecast_dim
        step = f.state[steps + 1][:, :forecast] - present[:, :forecast]
        step = (step - stats.delta_mean[0]) / stats.delta_std[0]
        return {
            "present": present[:, :forecast],
            "step": step,
            "change": present[:, forecast:],
            "action": f.action[steps, 0],
        }

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        step = batch["step"]
        if self.training:
            spread = self._config.noise * random.uniform(len(step), 1)
            step = step + spread * random.normal(*step.shape)
        condition = torch.cat([batch["present"], step, batch["change"]], -1)
        loss = diffusion_loss(self.net, batch["action"], condition, self._prediction, random)
        return {"loss": loss}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_labelled
        if not len(steps):
            return {}
        batch = self.place(self._gather(steps))
        condition = torch.cat([batch["present"], batch["step"], batch["change"]], -1)
        noise = self.random(0).normal(*batch["action"].shape)
        guess = sample(at_one_time(self.net), noise, condition, 4, self._prediction)
        error = guess - batch["action"]
        metres = error[:, :3] * self.action_std[:3]
        return {
            "score": float(error.square().mean()),
            "position_error_mm": float(1e3 * metres.norm(dim=-1).mean()),
        }


class BcObjective(Objective):
    """Regresses a chunk of actions, all relative to the present pose, from the present state.

    Args:
        net: state `(B, C)` to relative actions `(B, T, A)`.
        features: states, chunks of actions and steps.
    """

    def __init__(self, net: nn.Module, features: Features) -> None:
        super().__init__()
        self.net = net
        self._f = features
        known = np.flatnonzero(np.isfinite(features.action[:, 0]).all(-1))
        calm = np.concatenate([features.planner_steps, features.held_out_planner])
        usable = np.intersect1d(known, calm)
        self._train = np.intersect1d(usable, features.expert_steps)
        self._held_out = np.intersect1d(usable, features.held_out_expert)

    def _gather(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "state": self._f.present[steps],
            "chunk": self._f.action[steps],
        }

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return self._gather(rng.choice(self._train, size))

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        return {"loss": known_error(self.net(batch["state"]), batch["chunk"])}

    @override
    def validate(self) -> dict[str, float]:
        if not len(self._held_out):
            return {}
        batch = self.place(self._gather(self._held_out))
        return {"score": float(self(batch, self.random(0))["loss"])}


def known_error(guess: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error where the truth is known; it is NaN behind the end of an episode."""
    known = torch.isfinite(truth)
    error = guess.float() - truth.nan_to_num()
    return (error.square() * known).sum() / known.sum().clamp(min=1)
