"""Frozen latents and measured statistics: what planner and inverse dynamics learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vilp_ros.data import windows
from vilp_ros.data.table import Table
from vilp_ros.policy.actions import relative_actions
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.networks import PROPRIO_DIM, FrameEncoder
from vilp_ros.policy.statistics import Statistics, floored_std

FLOOR = 0.1
"""Least spread of a dimension, as a fraction of its group's: see `floored_std`."""


@dataclass
class Features:
    """Standardised numbers of all frames, F, and the steps that each part learns from.

    Attributes:
        state: `(F, C)` standardised states: latents, proprio, change.
        action: `(F, A)` standardised relative actions; NaN where there is none.
        last: `(F,)` last frame of each frame's episode.
        statistics: what they were standardised by.
        planner_steps: steps of expert and action-free episodes without exploration noise ahead.
        expert_steps: steps of expert episodes.
        suboptimal_steps: steps of suboptimal episodes.
        held_out_planner: as `planner_steps`, of held-out episodes.
        held_out_expert: as `expert_steps`, of held-out episodes.
        forecast: length of what the planner forecasts, D.
    """

    state: np.ndarray
    action: np.ndarray
    last: np.ndarray
    statistics: Statistics
    planner_steps: np.ndarray
    expert_steps: np.ndarray
    suboptimal_steps: np.ndarray
    held_out_planner: np.ndarray
    held_out_expert: np.ndarray
    forecast: int


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
    train: np.ndarray,
    held_out: np.ndarray,
) -> Features:
    """Standardises everything by what the training episodes show.

    Args:
        table: episodes; images are not needed.
        latents: per view `(F, latent_dim)`.
        policy: horizon and sizes.
        train: episodes to learn from.
        held_out: episodes to validate on.
    """
    raw = np.concatenate([*latents, table.proprio, table.change], axis=1)
    views = len(latents)
    dim = policy.autoencoder.latent_dim
    forecast = views * dim + PROPRIO_DIM
    groups = [slice(i * dim, (i + 1) * dim) for i in range(views)]
    groups += [slice(forecast - PROPRIO_DIM, forecast - 7), slice(forecast - 7, forecast - 1)]
    groups += [slice(forecast - 1, forecast)]
    tail = [slice(forecast, forecast + 3), slice(forecast + 3, forecast + 9)]
    tail += [slice(forecast + 9, forecast + 10)]

    everything = table.timeline.steps(train)
    state_mean = raw[everything].mean(0).astype(np.float32)
    state_std = floored_std(raw[everything], FLOOR, groups + tail)
    state = ((raw - state_mean) / state_std).astype(np.float32)
    last = table.timeline.last_frame()

    def steps(episodes: np.ndarray, *roles: str) -> np.ndarray:
        return table.timeline.steps(np.intersect1d(episodes, table.episodes(*roles)))

    def calm(chosen: np.ndarray) -> np.ndarray:
        return windows.undisturbed(chosen, table.disturbed, last, policy.horizon)

    planner_steps = calm(steps(train, "expert", "action_free"))
    delta = _deltas(state, planner_steps, last, policy.horizon, forecast)
    action = relative_actions(table.actions, table.ee_pose)
    expert, suboptimal = steps(train, "expert"), steps(train, "suboptimal")
    labelled = action[np.concatenate([expert, suboptimal])]
    statistics = Statistics(
        state_mean=state_mean,
        state_std=state_std,
        delta_mean=delta.mean(0).astype(np.float32),
        delta_std=floored_std(delta, FLOOR, groups),
        action_mean=labelled.mean(0).astype(np.float32),
        action_std=floored_std(labelled, FLOOR, [slice(0, 3), slice(3, 6), slice(6, 7)]),
    )
    return Features(
        state=state,
        action=((action - statistics.action_mean) / statistics.action_std).astype(np.float32),
        last=last,
        statistics=statistics,
        planner_steps=planner_steps,
        expert_steps=expert,
        suboptimal_steps=suboptimal,
        held_out_planner=calm(steps(held_out, "expert", "action_free")),
        held_out_expert=steps(held_out, "expert"),
        forecast=forecast,
    )


def _deltas(
    state: np.ndarray, steps: np.ndarray, last: np.ndarray, horizon: int, forecast: int
) -> np.ndarray:
    """Future states minus the present one, `(N, T, D)`."""
    ahead = windows.future(steps, last, horizon)
    return state[ahead, :forecast] - state[steps, None, :forecast]
