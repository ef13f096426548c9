"""Where a policy loses: what its latents keep, and what its inverse dynamics gets wrong.

Run on held-out episodes. Every figure stands beside one that needs no learning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.data.episodes import Episode
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.agents import encode_episode
from vilp_ros.evaluation.statistics import percentiles
from vilp_ros.geometry import quat_angle

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

BOX_MARGIN = 4  # pixels around the object
MIN_OBJECT_PIXELS = 8
OPEN_WIDTH = 0.04  # m: a wider target opens the gripper


def object_box(image: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of a box around the object to handle; None where it is (almost) hidden.

    Found by colour, since that needs neither the simulator nor its state: in every scene the
    object is the only red thing, in light and in shade.

    Args:
        image: `(H, W, 3)` uint8 rgb.
    """
    r, g, b = np.moveaxis(image.astype(np.int16), -1, 0)
    rows, columns = np.nonzero((r > 45) & (r > 2 * g) & (r > 2 * b))
    if len(rows) < MIN_OBJECT_PIXELS:
        return None
    return (
        slice(max(rows.min() - BOX_MARGIN, 0), rows.max() + BOX_MARGIN + 1),
        slice(max(columns.min() - BOX_MARGIN, 0), columns.max() + BOX_MARGIN + 1),
    )


def psnr(squared_errors: Iterable[np.ndarray]) -> float | None:
    """Peak signal-to-noise ratio in dB of all pixels together; None without any.

    Args:
        squared_errors: arrays of squared differences of values in 0..255.
    """
    total, count = 0.0, 0
    for errors in squared_errors:
        total += float(errors.sum())
        count += errors.size
    if count == 0:
        return None
    return float(10 * np.log10(255**2 / max(total / count, 1e-6)))


def reconstruction(policy: Policy, episodes: Iterable[Episode], stride: int = 4) -> dict[str, Any]:
    """PSNR of encode-then-decode, overall and in a box around the object, for every view.

    Args:
        policy: the bundle.
        episodes: held-out episodes.
        stride: every how many frames one is taken.

    Returns:
        `{view: {psnr_db, psnr_object_db, median_image: {...}, frames, frames_with_object}}`; the
        median image is what a decoder that knows the view but not the state would draw.
    """
    real: dict[str, list[np.ndarray]] = {view: [] for view in policy.spec.views}
    drawn: dict[str, list[np.ndarray]] = {view: [] for view in policy.spec.views}
    for episode in episodes:
        states = encode_episode(policy, episode)[::stride]
        decoded = _decode(policy, states)
        for i, view in enumerate(policy.spec.views):
            real[view] += list(episode.images[view][::stride])
            drawn[view] += list(decoded[:, i])
    if not real or not next(iter(real.values())):
        raise VilpError("nothing to reconstruct: the bundle has no views or there is no episode")
    report = {}
    for view, images in real.items():
        boxes = [object_box(image) for image in images]
        median = np.median(np.stack(images), axis=0)
        report[view] = {
            **_psnrs(images, drawn[view], boxes),
            "median_image": _psnrs(images, [median] * len(images), boxes),
            "frames": len(images),
            "frames_with_object": sum(box is not None for box in boxes),
        }
    return report


def _decode(policy: Policy, states: np.ndarray) -> np.ndarray:
    """Frames `(N, V, H, W, 3)` of any number of states; compiled decoders take whole plans only."""
    rows = policy.spec.plan_shape[0]
    padded = np.concatenate([states, np.repeat(states[-1:], -len(states) % rows, axis=0)])
    frames = [policy.decode(padded[i : i + rows]) for i in range(0, len(padded), rows)]
    return np.concatenate(frames)[: len(states)]


def _psnrs(
    real: list[np.ndarray],
    drawn: list[np.ndarray],
    boxes: list[tuple[slice, slice] | None],
) -> dict[str, float | None]:
    errors = [(a.astype(np.float32) - b) ** 2 for a, b in zip(real, drawn, strict=True)]
    near = (e[box] for e, box in zip(errors, boxes, strict=True) if box is not None)
    return {"psnr_db": psnr(errors), "psnr_object_db": psnr(near)}


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
    if policy.spec.method == "bc":
        raise VilpError("this bundle has method 'bc' and no inverse dynamics to probe")
    horizon = policy.spec.horizon
    noise = policy.noise(0)
    found, following, expected = [], [], []
    for episode in episodes:
        if episode.actions is None:
            continue
        states = encode_episode(policy, episode)
        for t in range(0, len(episode), horizon):
            rows = np.minimum(t + np.arange(horizon + 1), len(episode))
            found.append(policy.act(states[rows], noise)[: len(episode) - t])
        widths = episode.gripper_width[1:, None]
        following.append(np.concatenate([episode.ee_pose[1:], widths], axis=1))
        expected.append(episode.actions)
    if not expected:
        raise VilpError("no episode with actions: give expert or suboptimal ones with --data")
    target = np.concatenate(expected)
    return {
        "pairs": len(target),
        "idm": _action_error(np.concatenate(found), target),
        "next_pose": _action_error(np.concatenate(following), target),
    }


def _action_error(found: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    position = np.linalg.norm(found[:, :3] - expected[:, :3], axis=-1) * 1e3
    rotation = np.degrees(quat_angle(found[:, 3:7], expected[:, 3:7]))
    agree = (found[:, 7] > OPEN_WIDTH) == (expected[:, 7] > OPEN_WIDTH)
    return {
        "position_mm": {"mean": float(position.mean()), **percentiles(position)},
        "rotation_deg": {"mean": float(rotation.mean()), **percentiles(rotation)},
        "gripper_accuracy": float(agree.mean()),
    }
