"""Imagined frames beside the recorded ones: PSNR, SSIM, motion, and whether the views agree.

A planner that predicts the mean has the best PSNR and hardly moves; one that copies the present
frame does better than it looks. So motion stands beside likeness, and beside both stand the copy of
the present frame and the autoencoder's bound: the recorded future, encoded and decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.canvas import on_canvas, views_on
from vilp_ros.data.episode import Episode
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import NOISE_STRIDE, encode_episode, recorded_plan
from vilp_ros.evaluation.imagination.alignment import alignment, dates
from vilp_ros.evaluation.imagination.image_metrics import Likeness

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

SOURCES = ("imagined", "copy", "bound")
MIN_PLANS = 50


def video(policy: Policy, episodes: Iterable[Episode], stride: int = 4) -> dict[str, Any]:
    """Figures of the plans made along recorded episodes.

    A plan counts where its whole future was recorded and held no exploration noise, which nobody
    could foresee. Sampling noise is held within an episode, as in closed loop.

    Args:
        policy: the bundle.
        episodes: held-out episodes.
        stride: control periods between two plans.

    Returns:
        `{plans, ahead_s, views: {view: {imagined, copy, bound, real}}, alignment}`. Of each source:
        the figures of `Likeness` (what differs from the present frame has moved), the same
        `by_frame`, `frame_to_frame_l2` (root mean square, grey levels) and `motion_ratio` (mean
        square of the former over that of the real frames). `alignment` is None with one view.

    Raises:
        VilpError: the bundle plans no frames, or there are fewer than `MIN_PLANS` plans.
    """
    spec = policy.spec
    spec.require_frames()
    likeness = {
        (v, s): [Likeness() for _ in range(spec.horizon)] for v in spec.views for s in SOURCES
    }
    motion = dict.fromkeys([(v, s) for v in spec.views for s in (*SOURCES, "real")], 0.0)
    dated: list[tuple[np.ndarray, np.ndarray]] = []
    for frames, dating in _plans(policy, episodes, stride):
        dated.append(dating)
        parts = {source: views_on(drawn, spec.views.values()) for source, drawn in frames.items()}
        for i, view in enumerate(spec.views):
            real = parts["real"][i]
            for source, each in parts.items():
                drawn = each[i]
                motion[view, source] += float(
                    np.square(np.diff(drawn.astype(float), axis=0)).mean()
                )
                if source != "real":
                    for k, part in enumerate(likeness[view, source], 1):
                        part.add(drawn[k], real[k], real[0])
    if len(dated) < MIN_PLANS:
        raise VilpError(
            f"{len(dated)} plans say little, {MIN_PLANS} are wanted: give more episodes, recorded "
            "without exploration noise"
        )
    report: dict[str, Any] = {
        "plans": len(dated),
        "ahead_s": [k * spec.row_period_s for k in range(1, spec.horizon + 1)],
        "views": {},
        "alignment": None,
    }
    for view in spec.views:
        real_motion = motion[view, "real"] / len(dated)
        report["views"][view] = {
            source: {
                **Likeness.pooled(likeness[view, source]).figures(),
                "frame_to_frame_l2": float(np.sqrt(motion[view, source] / len(dated))),
                "motion_ratio": motion[view, source] / len(dated) / max(real_motion, 1e-9),
                "by_frame": [part.figures() for part in likeness[view, source]],
            }
            for source in SOURCES
        } | {"real": {"frame_to_frame_l2": float(np.sqrt(real_motion))}}
    if len(spec.views) > 1:
        first, second = (np.stack(x) for x in zip(*dated, strict=True))
        due = spec.policy.frame_interval * np.arange(1, spec.horizon + 1)
        report["alignment"] = alignment(first, second, due, spec.control_period_s)
    return report


def _plans(
    policy: Policy, episodes: Iterable[Episode], stride: int
) -> Iterator[tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Frames `(T + 1, V, H, W, 3)` of each plan by source, and its dates by two imaginations."""
    spec = policy.spec
    steps = spec.policy.frame_interval * np.arange(spec.horizon + 1)
    reach = int(steps[-1])
    for number, episode in enumerate(episodes):
        states = encode_episode(policy, episode)
        latents = policy.latents(states)
        seed = episode.seed if episode.seed >= 0 else number  # of a robot, which has none
        noises = [policy.noise(seed + k * NOISE_STRIDE) for k in range(2)]
        for t in range(0, len(episode) - reach + 1, stride):
            if episode.disturbed[t : t + reach].any():
                continue
            real = on_canvas([episode.images[view][t + steps] for view in spec.views])
            plans = [policy.plan(states[t], noise) for noise in noises]
            frames = {
                "imagined": policy.decode(plans[0]),
                "copy": np.repeat(real[:1], len(real), axis=0),
                "bound": policy.decode(recorded_plan(spec, states, t)),
                "real": real,
            }
            recorded = latents[t : t + 2 * reach + 1]
            one, other = (dates(policy.latents(plan)[1:], recorded) for plan in plans)
            yield frames, (one, other)


def imagined_for(
    policy: Policy, episode: Episode, rows: int, columns: int = 8
) -> list[tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Moments of an episode, evenly spread, and what was imagined for them `rows` rows before.

    Returns:
        Of each: its time s, and by view the frame `(H, W, 3)` that was recorded and imagined.
    """
    spec = policy.spec
    ahead = rows * spec.policy.frame_interval
    states, noise = encode_episode(policy, episode), policy.noise(max(episode.seed, 0))
    found = []
    for t in np.linspace(ahead, len(episode), columns).round().astype(int):
        drawn = policy.decode(policy.plan(states[t - ahead], noise))[rows]
        found.append(
            (
                float(t * spec.control_period_s),
                {view: episode.images[view][t] for view in spec.views},
                dict(zip(spec.views, views_on(drawn, spec.views.values()), strict=True)),
            )
        )
    return found
