"""Frozen latents and measured statistics: what planner and inverse dynamics learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vilp_ros.data import windows
from vilp_ros.data.table import Table
from vilp_ros.data.windows import future
from vilp_ros.policy.actions import relative_actions
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.layout import Layout
from vilp_ros.policy.networks import FrameEncoder
from vilp_ros.policy.statistics import Statistics, floored_std

MEASURED_PLANS = 2000
FLOOR = 0.1
"""Least spread of a dimension, as a fraction of its group's: see `floored_std`."""


@dataclass
class Features:
    """Standardised numbers of all frames, F, and the steps that each part learns from.

    Attributes:
        layout: what the numbers of a state are.
        horizon: future states per plan, T.
        interval: control periods between them.
        state: `(F, C)` standardised states.
        action: `(F, N, A)` standardised actions of the next N periods, relative to the pose now;
            NaN where there is none. Inverse dynamics takes one, the other methods a whole plan's.
        last: `(F,)` last frame of each frame's episode.
        statistics: what they were standardised by.
        planner_steps: steps of expert and action-free episodes without exploration noise ahead.
        expert_steps: steps of expert episodes.
        suboptimal_steps: steps of suboptimal episodes.
        held_out_planner: as `planner_steps`, of held-out episodes.
        held_out_expert: as `expert_steps`, of held-out episodes.
    """

    layout: Layout
    horizon: int
    interval: int
    state: np.ndarray
    action: np.ndarray
    last: np.ndarray
    statistics: Statistics
    planner_steps: np.ndarray
    expert_steps: np.ndarray
    suboptimal_steps: np.ndarray
    held_out_planner: np.ndarray
    held_out_expert: np.ndarray

    def plans(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Present states `(B, C)` and standardised changes `(B, T, D)` to those that followed."""
        forecast = self.layout.forecast_dim
        present = self.state[steps]
        ahead = self.state[future(steps, self.last, self.horizon, self.interval), :forecast]
        delta = ahead - present[:, None, :forecast]
        stats = self.statistics
        return present, (delta - stats.delta_mean) / stats.delta_std


def encode_frames(vae: nn.Module, frames: np.ndarray) -> np.ndarray:
    """Posterior means `(F, latent_dim)` of frames `(F, H, W, 3)` uint8."""
    encoder = FrameEncoder(vae).eval()
    with torch.inference_mode():
        parts = [
            encoder(torch.from_numpy(np.ascontiguousarray(chunk))).numpy()
            for chunk in np.array_split(frames, max(1, len(frames) // 128))
        ]
    return np.concatenate(parts).astype(np.float32)


def split(table: Table, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Episodes to train on and to hold out, the same fraction of every role.

    At least one is held out of a role with ten or more episodes.
    """
    rng = np.random.default_rng(seed)
    held: list[int] = []
    for role in np.unique(table.role):
        of_role = rng.permutation(table.episodes(role))
        count = round(fraction * len(of_role))
        held += list(of_role[: max(count, int(fraction > 0 and len(of_role) >= 10))])
    mask = np.isin(np.arange(len(table.role)), held)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def make_features(
    table: Table,
    latents: list[np.ndarray],
    policy: PolicyConfig,
    layout: Layout,
    train: np.ndarray,
    held_out: np.ndarray,
) -> Features:
    """Standardises everything by what the training episodes show.

    Args:
        table: episodes; images are not needed.
        latents: per view `(F, latent_dim)`.
        policy: method and horizon.
        layout: what the numbers of a state are.
        train: episodes to learn from.
        held_out: episodes to validate on.
    """
    raw = np.concatenate([*latents, table.proprio, table.change], axis=1)
    state_mean, state_std = _measure(raw[table.timeline.steps(train)], layout)
    state = ((raw - state_mean) / state_std).astype(np.float32)
    last = table.timeline.last_frame()
    horizon, interval = policy.horizon, policy.frame_interval

    def steps(episodes: np.ndarray, *roles: str) -> np.ndarray:
        return table.timeline.steps(np.intersect1d(episodes, table.episodes(*roles)))

    def calm(chosen: np.ndarray) -> np.ndarray:
        return windows.undisturbed(chosen, table.disturbed, last, horizon * interval)

    planner_steps = calm(steps(train, "expert", "action_free"))
    some = planner_steps[:: max(1, len(planner_steps) // MEASURED_PLANS)]
    forecast = layout.forecast_dim
    delta = state[future(some, last, horizon, interval), :forecast] - state[some, None, :forecast]
    delta_mean, delta_std = _measure(delta, layout)

    action = _actions(table, last, 1 if policy.method == "ldp" else horizon * interval)
    expert, suboptimal = steps(train, "expert"), steps(train, "suboptimal")
    labelled = action[np.concatenate([expert, suboptimal])].reshape(-1, action.shape[-1])
    labelled = labelled[np.isfinite(labelled).all(-1)]
    statistics = Statistics(
        state_mean=state_mean,
        state_std=state_std,
        delta_mean=delta_mean,
        delta_std=delta_std,
        action_mean=labelled.mean(0).astype(np.float32),
        action_std=floored_std(labelled, FLOOR, [slice(0, 3), slice(3, 6), slice(6, 7)]),
    )
    return Features(
        layout=layout,
        horizon=horizon,
        interval=interval,
        state=state,
        action=((action - statistics.action_mean) / statistics.action_std).astype(np.float32),
        last=last,
        statistics=statistics,
        planner_steps=planner_steps,
        expert_steps=expert,
        suboptimal_steps=suboptimal,
        held_out_planner=calm(steps(held_out, "expert", "action_free")),
        held_out_expert=steps(held_out, "expert"),
    )


def _actions(table: Table, last: np.ndarray, count: int) -> np.ndarray:
    """Actions of the next `count` periods relative to the pose now: `(F, count, A)`."""
    here = np.arange(len(last))
    ahead = np.concatenate([here[:, None], future(here, last, count - 1)], axis=1)
    return relative_actions(table.actions[ahead], table.ee_pose[:, None])


def _measure(values: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Mean and floored spread `(..., n)` of the first n numbers of rows, `(N, ..., n)`.

    A channel of a latent grid means the same in every cell: its cells are measured together.
    """
    units = [unit for unit in layout.units() if unit.stop <= values.shape[-1]]
    mean = values.mean(0).astype(np.float32)
    std = floored_std(values, FLOOR, units)
    if len(layout.latent_shape) == 3:
        channels = layout.views * layout.grid[0]
        part = values[..., layout.latents].reshape(*values.shape[:-1], channels, -1)
        mean[..., layout.latents] = np.repeat(part.mean((0, -1)), part.shape[-1], axis=-1)
        std[..., layout.latents] = np.repeat(part.std((0, -1)) + 1e-6, part.shape[-1], axis=-1)
    return mean, std
