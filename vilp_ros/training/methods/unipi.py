"""Trains UniPi: video diffusion in pixels, and inverse dynamics on recorded pairs of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.windows import future
from vilp_ros.policy.diffusion import Random, at_one_time, diffusion_loss, sample
from vilp_ros.policy.layout import Layout
from vilp_ros.policy.statistics import Statistics
from vilp_ros.training.features import Features, make_features
from vilp_ros.training.inverse_dynamics import known_error
from vilp_ros.training.loop import Objective
from vilp_ros.training.method import Training


class UnipiTraining(Training):
    """Planner and inverse dynamics, neither of which needs the other.

    Pixels stay uint8: as standardised rows they would take twelve times the memory.
    """

    stages = (("planner", "low_level"),)
    unread = ("low_level.noise", "low_level.imagined_share")
    imitates_actions = False

    @override
    def features(self) -> Features:
        """Of the proprio alone."""
        table, training, held_out = self.work.table()
        blind = Layout(0, (0,), forecasts_proprio=False)
        policy = self.work.recipe.policy
        return make_features(table, [], policy, blind, self.actions, training, held_out)

    @override
    def statistics(self) -> Statistics:
        """Pixels are taken as they are."""
        blind, layout = self.features().statistics, self.work.layout
        pixels = np.zeros(layout.forecast_dim, np.float32)
        changes = np.zeros((self.work.recipe.policy.horizon, layout.forecast_dim), np.float32)
        return replace(
            blind,
            state_mean=np.concatenate([pixels, blind.state_mean]),
            state_std=np.concatenate([pixels + 1.0, blind.state_std]),
            delta_mean=changes,
            delta_std=changes + 1.0,
        )

    @override
    def objective(self, name: str, features: Features) -> Objective:
        work, net = self.work, self.net(name)
        policy = work.recipe.policy
        frames = work.images(work.method.options(policy).shrink)
        if name == "planner":
            pure_noise = work.recipe.planner.pure_noise
            prediction = policy.planner.prediction
            return PixelPlannerObjective(net, features, prediction, frames, pure_noise)
        share = work.recipe.low_level.suboptimal_share
        return FramePairObjective(net, features, share, frames)


class PixelObjective(Objective):
    """What both parts share: the frames of a plan.

    Args:
        net: network to train.
        features: states, chunks of actions and steps.
        frames: of each view `(F, h, w, 3)` uint8, shrunk.
    """

    def __init__(self, net: nn.Module, features: Features, frames: Sequence[DiskArray]) -> None:
        super().__init__()
        self.net = net
        self._f, self._frames = features, frames

    def plans(self, steps: np.ndarray) -> np.ndarray:
        """Recorded frames `(B, T + 1, V, h, w, 3)` uint8, the present first."""
        f = self._f
        ahead = future(steps, f.last, f.horizon, f.interval)
        rows = np.concatenate([steps[:, None], ahead], axis=1)
        return np.stack([view[rows] for view in self._frames], axis=2)


class PixelPlannerObjective(PixelObjective):
    """Denoises the frames to come under the first one, in [-1, 1]."""

    def __init__(
        self,
        net: nn.Module,
        features: Features,
        prediction: str,
        frames: Sequence[DiskArray],
        pure_noise: float | None = None,
    ) -> None:
        super().__init__(net, features, frames)
        self._prediction, self._pure_noise = prediction, pure_noise

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return {"frames": self.plans(rng.choice(self._f.planner_steps, size))}

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        first, clean = _pixels(batch["frames"])
        loss = diffusion_loss(
            self.net, clean, first, self._prediction, random, pure_noise=self._pure_noise
        )
        return {"loss": loss}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_planner
        if not len(steps):
            return {}
        batch = self.place({"frames": self.plans(steps[:: max(1, len(steps) // 32)][:32])})
        first, clean = _pixels(batch["frames"])
        return {
            "score": float(self(batch, self.random(0))["loss"]),
            "error_of_copy": float((first[:, None] - clean).square().mean()),
            "error_4_steps": float((self._plan(first, clean) - clean).square().mean()),
        }

    @override
    def pictures(self) -> dict[str, Tensor]:
        steps = self._f.held_out_planner
        if not len(steps):
            return {}
        plan = self.place({"frames": self.plans(steps[[len(steps) // 2]])})["frames"]
        first, clean = _pixels(plan)
        rows = []
        for pixels in (clean, self._plan(first, clean)):
            views = pixels[0].unflatten(1, (len(self._frames), 3, *plan.shape[3:5]))
            rows += [torch.cat(list(view), dim=2) for view in views.transpose(0, 1)]
        picture = torch.cat(rows, dim=1).clamp(-1.0, 1.0)
        return {"truth above plan": (picture + 1.0) / 2.0}

    def _plan(self, first: Tensor, like: Tensor) -> Tensor:
        noise = self.random(0).normal(*like.shape)
        return sample(at_one_time(self.net), noise, first, 4, self._prediction)


class FramePairObjective(PixelObjective):
    """Regresses the actions between neighbouring recorded frames, relative to the pose at first."""

    def __init__(
        self, net: nn.Module, features: Features, share: float, frames: Sequence[DiskArray]
    ) -> None:
        super().__init__(net, features, frames)
        self._share = share
        self.constant("action_std", features.statistics.action_std)

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        plans = max(1, size // self._f.horizon)
        return self._gather(self._f.labelled(rng, plans, self._share)[0])

    def _gather(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "frames": self.plans(steps),
            "proprio": self._f.state[steps],
            "action": self._f.action[steps],
        }

    def _guess(self, batch: dict[str, Tensor]) -> Tensor:
        frames = batch["frames"]
        proprio = batch["proprio"].repeat_interleave(self._f.horizon, dim=0)
        guess = self.net(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1), proprio)
        return guess.reshape(len(frames), -1, guess.shape[-1])

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        return {"loss": known_error(self._guess(batch), batch["action"])}

    @override
    def validate(self) -> dict[str, float]:
        steps = self._f.held_out_labelled
        if not len(steps):
            return {}
        batch = self.place(self._gather(steps[:: max(1, len(steps) // 128)][:128]))
        error = self._guess(batch) - batch["action"]
        metres = error[..., :3] * self.action_std[:3]
        millimetres = 1e3 * metres.norm(dim=-1).nanmean(0)
        return {
            "score": float(self(batch, self.random(0))["loss"]),
            "position_error_first_mm": float(millimetres[0]),
            "position_error_last_mm": float(millimetres[-1]),
        }


def _pixels(frames: Tensor) -> tuple[Tensor, Tensor]:
    """First frames `(B, D)` and the next `(B, T, D)`, in [-1, 1], of `(B, T + 1, V, h, w, 3)`."""
    pixels = (frames.float() / 127.5 - 1.0).movedim(-1, 3).flatten(2)
    return pixels[:, 0], pixels[:, 1:]
