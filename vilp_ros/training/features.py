"""Frozen latents and measured statistics: what planner and inverse dynamics learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vilp_ros.data.disk_array import DiskArray, write
from vilp_ros.data.table import Table
from vilp_ros.data.windows import future
from vilp_ros.policy.actions import relative_actions
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.frame_codec import FrameEncoder
from vilp_ros.policy.layout import LEAST_M, LEAST_TURN, Layout
from vilp_ros.policy.statistics import Statistics, floored_std
from vilp_ros.training.processes import first, here
from vilp_ros.training.usable import Usable

MEASURED_PLANS, MEASURED_STATES = 2000, 20_000
"""Of the training steps, evenly: this many, or up to twice as many, are measured."""
ENCODED = 128
"""Frames at a time."""
FLOOR = 0.1
"""Least spread of a dimension, as a fraction of its group's: see `floored_std`."""
_ACTION_UNITS = ((slice(0, 3), LEAST_M), (slice(3, 6), LEAST_TURN), (slice(6, 7), LEAST_M))


@dataclass(frozen=True)
class States:
    """Standardised states of all frames, F, made of what lies on disk as they are asked for.

    Attributes:
        latents: per view `(F, latent_dim)`, mapped from a file where they are many.
        rest: `(F, 20)` proprio and its change.
        mean: `(C,)` of raw states.
        std: `(C,)`.
    """

    latents: Sequence[np.ndarray]
    rest: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def __getitem__(self, frames: np.ndarray) -> np.ndarray:
        """States `(..., C)` float32 of frames `(...)`."""
        raw = raw_states(self.latents, self.rest, frames)
        return ((raw - self.mean) / self.std).astype(np.float32)


@dataclass
class Features:
    """Standardised numbers of all frames, F, and the steps that each part learns from.

    Attributes:
        layout: what the numbers of a state are.
        horizon: future states per plan, T.
        interval: control periods between them.
        state: standardised states.
        present: the same as the policy sees them where it plans: those of altered frames, where
            planner and robust encoders are fitted to each other; else `state`.
        action: `(F, N, A)` standardised actions of the next N periods, relative to the pose now;
            NaN where there is none. Inverse dynamics takes one, the other methods a whole plan's.
        last: `(F,)` last frame of each frame's episode.
        statistics: what they were standardised by.
        planner_steps: steps that plans are learned from (see `Usable`).
        expert_steps: steps of expert episodes.
        suboptimal_steps: steps of suboptimal episodes.
        held_out_planner: as `planner_steps`, of held-out episodes.
        held_out_expert: as `expert_steps`, of held-out episodes.
        held_out_suboptimal: as `suboptimal_steps`, of held-out episodes.
    """

    layout: Layout
    horizon: int
    interval: int
    state: States
    present: States
    action: np.ndarray
    last: np.ndarray
    statistics: Statistics
    planner_steps: np.ndarray
    expert_steps: np.ndarray
    suboptimal_steps: np.ndarray
    held_out_planner: np.ndarray
    held_out_expert: np.ndarray
    held_out_suboptimal: np.ndarray

    @property
    def held_out_labelled(self) -> np.ndarray:
        """Steps on which what finds actions is validated: the expert's where there are any."""
        return self.held_out_expert if len(self.held_out_expert) else self.held_out_suboptimal

    def labelled(
        self, rng: np.random.Generator, count: int, share: float
    ) -> tuple[np.ndarray, int]:
        """Steps to learn actions from.

        Args:
            rng: source of the draws.
            count: how many.
            share: of them from suboptimal episodes, where there are episodes of both kinds.

        Returns:
            `(count,)` steps, and how many, at the end, are suboptimal.
        """
        if not len(self.suboptimal_steps):
            return rng.choice(self.expert_steps, count), 0
        suboptimal = round(share * count) if len(self.expert_steps) else count
        steps = [rng.choice(self.expert_steps, count - suboptimal)] if suboptimal < count else []
        if suboptimal:
            steps.append(rng.choice(self.suboptimal_steps, suboptimal))
        return np.concatenate(steps), suboptimal

    def plans(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Present states `(B, C)` and standardised changes `(B, T, D)` to those that followed."""
        forecast = self.layout.forecast_dim
        present = self.present[steps]
        ahead = self.state[future(steps, self.last, self.horizon, self.interval)][..., :forecast]
        delta = ahead - present[:, None, :forecast]
        stats = self.statistics
        return present, (delta - stats.delta_mean) / stats.delta_std


def raw_states(latents: Sequence[np.ndarray], rest: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """States `(..., C)` of frames `(...)` as they were encoded and recorded: see `States`."""
    return np.concatenate([*(part[frames] for part in latents), rest[frames]], axis=-1)


def encode_frames(
    vae: nn.Module, frames: np.ndarray | DiskArray, start: int = 0, end: int | None = None
) -> Iterator[np.ndarray]:
    """Posterior means `(n, latent_dim)`, piece by piece, of frames `(F, H, W, 3)` uint8.

    Moves the VAE to `here`. Of the frames those from `start` to before `end` are encoded.
    """
    return encode_pieces(FrameEncoder(vae), pieces_of(frames, start, end))


def pieces_of(
    frames: np.ndarray | DiskArray, start: int = 0, end: int | None = None
) -> Iterator[np.ndarray]:
    """Frames from `start` to before `end`, as many at a time as are encoded at once."""
    end = len(frames) if end is None else end
    return (frames[at : min(at + ENCODED, end)] for at in range(start, end, ENCODED))


def encode_pieces(encoder: nn.Module, pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """What an encoder of uint8 frames makes of each piece `(n, H, W, 3)`; moves it to `here`."""
    device = here().device
    encoder = encoder.eval().to(device)
    for piece in pieces:
        with torch.inference_mode():
            yield encoder(torch.from_numpy(piece).to(device)).float().cpu().numpy()


def write_latents(vae: nn.Module, frames: np.ndarray | DiskArray, dim: int, path: Path) -> None:
    """`encode_frames` to a .npy file, which is there when it is whole; processes share the work.

    Args:
        vae: its encoder is run.
        frames: `(F, H, W, 3)` uint8.
        dim: length of a latent.
        path: of `(F, dim)` float32.
    """
    me = here()
    if me.num_processes == 1:
        write(path, (len(frames), dim), np.float32, encode_frames(vae, frames))
        return
    shares = [path.with_suffix(f".{i}.npy") for i in range(me.num_processes)]
    ends = np.linspace(0, len(frames), me.num_processes + 1).astype(int)
    start, end = (int(n) for n in ends[me.process_index :][:2])
    encoded = encode_frames(vae, frames, start, end)
    write(shares[me.process_index], (end - start, dim), np.float32, encoded)
    me.wait_for_everyone()
    first(lambda: _join(shares, (len(frames), dim), path))


def _join(shares: list[Path], shape: tuple[int, int], path: Path) -> None:
    write(path, shape, np.float32, (np.load(share, mmap_mode="r") for share in shares))
    for share in shares:
        share.unlink()


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
    latents: Sequence[np.ndarray],
    policy: PolicyConfig,
    layout: Layout,
    actions: int,
    train: np.ndarray,
    held_out: np.ndarray,
    seen: Sequence[np.ndarray] | None = None,
    statistics: Statistics | None = None,
) -> Features:
    """Standardises everything, by what the training episodes show unless told by what.

    Args:
        table: episodes; images are not needed.
        latents: per view `(F, latent_dim)`.
        policy: horizon and frame interval.
        layout: what the numbers of a state are.
        actions: how many of each frame, from its own on.
        train: episodes to learn from.
        held_out: episodes to validate on.
        seen: per view `(F, latent_dim)`, what the policy makes of the frames that it plans from,
            instead of `latents`.
        statistics: of the bundle that goes on learning.
    """
    usable = Usable.of(table, train, policy, not layout.forecasts_proprio)
    kept = Usable.of(table, held_out, policy, not layout.forecasts_proprio)
    rest = np.concatenate([table.proprio, table.change], axis=1)
    last, action = table.timeline.last_frame(), _actions(table, actions)
    if statistics is None:
        statistics = _statistics(table, latents, rest, action, policy, layout, train, usable)
    standard = statistics.state_mean, statistics.state_std
    state = States(latents, rest, *standard)
    return Features(
        layout=layout,
        horizon=policy.horizon,
        interval=policy.frame_interval,
        state=state,
        present=state if seen is None else States(seen, rest, *standard),
        action=((action - statistics.action_mean) / statistics.action_std).astype(np.float32),
        last=last,
        statistics=statistics,
        planner_steps=usable.planner,
        expert_steps=usable.expert,
        suboptimal_steps=usable.suboptimal,
        held_out_planner=kept.planner,
        held_out_expert=kept.expert,
        held_out_suboptimal=kept.suboptimal,
    )


def _statistics(
    table: Table,
    latents: Sequence[np.ndarray],
    rest: np.ndarray,
    action: np.ndarray,
    policy: PolicyConfig,
    layout: Layout,
    train: np.ndarray,
    usable: Usable,
) -> Statistics:
    """What the training episodes show."""
    known = np.intersect1d(train, np.flatnonzero(table.posed))
    measured = table.timeline.steps(known if len(known) else train)
    state_mean, state_std = _measure(
        raw_states(latents, rest, _evenly(measured, MEASURED_STATES)), layout
    )
    state = States(latents, rest, state_mean, state_std)
    some, forecast = _evenly(usable.planner, MEASURED_PLANS), layout.forecast_dim
    last = table.timeline.last_frame()
    ahead = state[future(some, last, policy.horizon, policy.frame_interval)][..., :forecast]
    delta_mean, delta_std = _measure(ahead - state[some][:, None, :forecast], layout)
    labelled = action[np.concatenate([usable.expert, usable.suboptimal])]
    labelled = labelled.reshape(-1, action.shape[-1])
    labelled = labelled[np.isfinite(labelled).all(-1)]
    return Statistics(
        state_mean=state_mean,
        state_std=state_std,
        delta_mean=delta_mean,
        delta_std=delta_std,
        action_mean=labelled.mean(0).astype(np.float32),
        action_std=floored_std(labelled, FLOOR, _ACTION_UNITS),
    )


def _evenly(steps: np.ndarray, count: int) -> np.ndarray:
    return steps[:: max(1, len(steps) // count)]


def _actions(table: Table, count: int) -> np.ndarray:
    """Actions of the next `count` periods relative to the pose now: `(F, count, A)`."""
    last = table.timeline.last_frame()
    here = np.arange(len(last))
    ahead = np.concatenate([here[:, None], future(here, last, count - 1)], axis=1)
    return relative_actions(table.actions[ahead], table.ee_pose[:, None])


def _measure(values: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Mean and floored spread `(..., n)` of the first n numbers of rows, `(N, ..., n)`.

    A channel of a latent grid means the same in every cell: its cells are measured together.
    """
    units = [unit for unit in layout.units() if unit[0].stop <= values.shape[-1]]
    mean = values.mean(0).astype(np.float32)
    std = floored_std(values, FLOOR, units)
    if len(layout.latent_shape) == 3:
        channels = layout.views * layout.grid[0]
        part = values[..., layout.latents].reshape(*values.shape[:-1], channels, -1)
        mean[..., layout.latents] = np.repeat(part.mean((0, -1)), part.shape[-1], axis=-1)
        std[..., layout.latents] = np.repeat(part.std((0, -1)) + 1e-6, part.shape[-1], axis=-1)
    return mean, std
