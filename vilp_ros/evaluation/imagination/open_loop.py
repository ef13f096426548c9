"""Planned actions beside the recorded ones, where nothing can be run: on recordings of real arms.

Small errors do not say that a policy does its task; large ones say that it does not know the way.
Hence what needs no learning stands beside: staying where the hand is, and going on as it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import encode_moment
from vilp_ros.evaluation.imagination.probes import action_error
from vilp_ros.geometry import quat_inverse, quat_multiply, quat_to_rotvec, rotvec_to_quat

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

REFERENCES = ("standing still", "going on")


def open_loop(
    policies: Mapping[str, Policy], episodes: Sequence[Episode], stride: int = 4
) -> dict[str, Any]:
    """Errors of the actions that would be executed of each plan.

    Args:
        policies: by name; the first one's `n_action_steps` are compared, of all.
        episodes: held-out episodes with actions.
        stride: control periods between two plans.

    Returns:
        `{plans, n_action_steps, rows: {name: {...}}}` with `position_mm`, `rotation_deg` and
        `gripper_accuracy` as in `probes.idm_error`, over all of those actions; `last` holds the
        same of the last of them alone.

    Raises:
        VilpError: no episode has actions, or a policy plans fewer.
    """
    count = next(iter(policies.values())).spec.n_action_steps
    for name, policy in policies.items():
        if policy.spec.n_actions < count:
            raise VilpError(f"{name} plans {policy.spec.n_actions} actions, {count} are compared")
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*policies, *REFERENCES)}
    recorded: list[np.ndarray] = []
    for episode in episodes:
        if episode.actions is None:
            continue
        noises = {name: policy.noise(max(episode.seed, 0)) for name, policy in policies.items()}
        for t in range(1, len(episode) - count + 1, stride):
            if episode.disturbed[t : t + count].any():
                continue
            recorded.append(episode.actions[t : t + count])
            for name, policy in policies.items():
                plan = policy.plan(encode_moment(policy, episode, t), noises[name])
                found[name].append(policy.act(plan, noises[name])[:count])
            for name, guess in _without_learning(episode, t, count).items():
                found[name].append(guess)
    if not recorded:
        raise VilpError("no episode with actions: give expert or suboptimal ones with --data")
    truth = np.stack(recorded)
    rows = {}
    for name, actions in found.items():
        all_of_them = np.stack(actions)
        whole = action_error(all_of_them.reshape(-1, 8), truth.reshape(-1, 8))
        rows[name] = {**whole, "last": action_error(all_of_them[:, -1], truth[:, -1])}
    return {"plans": len(recorded), "n_action_steps": count, "rows": rows}


def _without_learning(episode: Episode, t: int, count: int) -> dict[str, np.ndarray]:
    """Actions `(count, 8)` of what looks at the state only."""
    pose, before, width = episode.ee_pose[t], episode.ee_pose[t - 1], episode.gripper_width[t]
    still = np.tile(np.append(pose, width), (count, 1))
    steps = np.arange(1, count + 1)[:, None]
    turn = quat_to_rotvec(quat_multiply(pose[3:], quat_inverse(before[3:])))
    turned = quat_multiply(rotvec_to_quat(steps * turn), np.tile(pose[3:], (count, 1)))
    shift = pose[:3] + steps * (pose[:3] - before[:3])
    on = np.concatenate([shift, turned, np.full((count, 1), width)], axis=1)
    return {"standing still": still, "going on": on}
