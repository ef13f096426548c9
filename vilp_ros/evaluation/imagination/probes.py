"""Where a policy loses: what its latents keep, and what its inverse dynamics gets wrong.

Run on held-out episodes. Every figure stands beside one that needs no learning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.canvas import views_on
from vilp_ros.data.episode import Episode
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import decode_states, encode_episode, recorded_plan
from vilp_ros.evaluation.imagination.image_metrics import Likeness, object_box
from vilp_ros.evaluation.statistics import percentiles
from vilp_ros.geometry import quat_angle

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

OPEN_WIDTH = 0.04  # m: a wider target opens the gripper


def reconstruction(policy: Policy, episodes: Iterable[Episode], stride: int = 4) -> dict[str, Any]:
    """Encode-then-decode beside the truth: all pixels, those that move, those around the object.

    Args:
        policy: the bundle.
        episodes: held-out episodes.
        stride: every how many frames one is taken.

    Returns:
        `{view: {<figures of Likeness>, median_image: {...}, frames, frames_with_object}}`; the
        median image is what a decoder that knows the view but not the state would draw, and what
        differs from it counts as moving.
    """
    real: dict[str, list[np.ndarray]] = {view: [] for view in policy.spec.views}
    drawn: dict[str, list[np.ndarray]] = {view: [] for view in policy.spec.views}
    for episode in episodes:
        decoded = decode_states(policy, encode_episode(policy, episode)[::stride])
        parts = views_on(decoded, policy.spec.views.values())
        for view, part in zip(policy.spec.views, parts, strict=True):
            real[view] += list(episode.images[view][::stride])
            drawn[view] += list(part)
    if not real or not next(iter(real.values())):
        raise VilpError("nothing to reconstruct: the bundle has no views or there is no episode")
    report = {}
    for view, images in real.items():
        median = np.median(np.stack(images), axis=0).astype(np.uint8)
        likeness, guess = Likeness(), Likeness()
        for image, picture in zip(images, drawn[view], strict=True):
            likeness.add(picture, image, median)
            guess.add(median, image, median)
        report[view] = {
            **likeness.figures(),
            "median_image": guess.figures(),
            "frames": len(images),
            "frames_with_object": sum(object_box(image) is not None for image in images),
        }
    return report


def idm_error(policy: Policy, episodes: Iterable[Episode]) -> dict[str, Any]:
    """Error of the actions found between recorded neighbouring states, each pair once.

    Args:
        policy: the bundle.
        episodes: held-out episodes with actions.

    Returns:
        `{pairs, idm: {...}, next_pose: {...}}`, both with the mean, p50 and p99 of the position
        error (mm) and rotation error (degrees), and the share of pairs whose gripper target is
        rightly open or closed. `next_pose` takes the pose and width recorded one period later for
        the target: what the proprio alone gives away.
    """
    policy.spec.require_states()
    found, following, expected = [], [], []
    for episode in episodes:
        if episode.actions is None:
            continue
        found.append(find_actions(policy, episode))
        widths = episode.gripper_width[1:, None]
        following.append(np.concatenate([episode.ee_pose[1:], widths], axis=1))
        expected.append(episode.actions)
    if not expected:
        raise VilpError("no episode with actions: give expert or suboptimal ones with --data")
    target = np.concatenate(expected)
    return {
        "pairs": len(target),
        "idm": action_error(np.concatenate(found), target),
        "next_pose": action_error(np.concatenate(following), target),
    }


def find_actions(policy: Policy, episode: Episode) -> np.ndarray:
    """Actions `(T, 8)` between the recorded states of an episode, each pair of states once."""
    states, noise = encode_episode(policy, episode), policy.noise(0)
    parts = [
        policy.act(recorded_plan(policy.spec, states, t), noise)[: len(episode) - t]
        for t in range(0, len(episode), policy.spec.n_actions)
    ]
    return np.concatenate(parts)


def action_error(found: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Errors of actions `(N, 8)`: mean and percentiles of mm and degrees; gripper rightly open."""
    position = np.linalg.norm(found[:, :3] - expected[:, :3], axis=-1) * 1e3
    rotation = np.degrees(quat_angle(found[:, 3:7], expected[:, 3:7]))
    agree = (found[:, 7] > OPEN_WIDTH) == (expected[:, 7] > OPEN_WIDTH)
    return {
        "position_mm": {"mean": float(position.mean()), **percentiles(position)},
        "rotation_deg": {"mean": float(rotation.mean()), **percentiles(rotation)},
        "gripper_accuracy": float(agree.mean()),
    }
