"""What an arm's recording cannot say: caught where it is written and where it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vilp_ros.data.episode import Episode

ROLES = ("expert", "action_free", "suboptimal", "correction", "play")
STATE_KEYS = ("ee_pose", "gripper_width", "joint_position", "joint_velocity")
REACH_M = 5.0
"""Farther from its base no arm's hand is: numbers beyond are millimetres."""
WIDTH_M = (-0.002, 0.5)
"""Between the fingers; a sensor may be a little below zero."""
JOINT_RAD, JOINT_RAD_S = 10.0, 50.0
"""Beyond are degrees."""
UNIT_NORM = 0.01
"""How far from 1 the length of a quaternion may be."""


def fault(episode: Episode, action_kind: str = "") -> str:
    """The first thing that is wrong with an episode, as a phrase; empty if nothing is.

    Args:
        episode: with any of its views.
        action_kind: `ee_pose` or `joint_position`; empty where that is unknown.
    """
    if episode.role not in ROLES:
        return f"role is {episode.role!r}; allowed: {', '.join(ROLES)}"
    return _shapes(episode, action_kind) or _values(episode, action_kind)


def _shapes(episode: Episode, action_kind: str) -> str:
    steps = len(episode)
    if steps < 1:
        return "there is no control period"
    frames = {name: len(x) for name, x in episode.images.items()}
    frames |= {key: len(getattr(episode, key)) for key in STATE_KEYS}
    for name, count in frames.items():
        if count != steps + 1:
            return f"{name} has {count} frames; ee_pose has {steps + 1}"
    for name, image in episode.images.items():
        if image.dtype != np.uint8 or image.ndim != 4 or image.shape[-1] != 3 or not image.size:
            return f"{name} is {image.dtype} {image.shape}; expected uint8 (frames, H, W, 3)"
    rows, joints = steps + 1, episode.joint_position.shape[1:]
    if len(joints) != 1:
        return f"joint_position is {episode.joint_position.shape}; expected ({rows}, joints)"
    expected = {
        "ee_pose": (rows, 7),
        "gripper_width": (rows,),
        "joint_velocity": (rows, *joints),
        "disturbed": (steps,),
        "actions": (steps, joints[0] + 1 if action_kind == "joint_position" else 8),
        "before": (rows, 8),
        "repeated": (rows,),
    }
    for key, shape in expected.items():
        value = getattr(episode, key)
        if value is not None and value.shape != shape:
            return f"{key} is {value.shape}; expected {shape}"
    if episode.states is not None and (episode.states.ndim, len(episode.states)) != (2, rows):
        return f"states is {episode.states.shape}; expected ({rows}, N)"
    if (episode.actions is None) != (episode.role == "action_free"):
        return f"role {episode.role!r} with{'out' * (episode.actions is None)} actions"
    return ""


def _values(episode: Episode, action_kind: str) -> str:
    numbers = {key: getattr(episode, key) for key in (*STATE_KEYS, "actions", "before", "states")}
    for key, value in numbers.items():
        if value is not None and (value.dtype.kind not in "fiu" or not np.isfinite(value).all()):
            return f"{key} holds NaN or Inf"
    poses = {"ee_pose": episode.ee_pose, "before": episode.before}
    joints = {"joint_position": episode.joint_position}
    if episode.actions is not None and action_kind:
        (poses if action_kind == "ee_pose" else joints)["actions"] = episode.actions
    widths = {**numbers, "gripper_width": episode.gripper_width[:, None]}
    for key, value in poses.items():
        if value is None:
            continue
        if (far := float(np.abs(value[:, :3]).max())) > REACH_M:
            return f"{key} is {far:.4g} m from the base: expected metres, below {REACH_M:g}"
        length = np.linalg.norm(value[:, 3:7].astype(np.float64), axis=1)
        if (off := np.abs(length - 1)).max() > UNIT_NORM:
            row = int(off.argmax())
            return f"{key} has a quaternion of length {length[row]:.4g} in row {row}; expected 1"
    for key in ("gripper_width", "actions", "before"):
        if (value := widths[key]) is None:
            continue
        low, high = float(value[:, -1].min()), float(value[:, -1].max())
        if low < WIDTH_M[0] or high > WIDTH_M[1]:
            wrong = low if low < WIDTH_M[0] else high
            return f"{key} has a gripper width of {wrong:.4g}; expected metres, 0 to {WIDTH_M[1]:g}"
    for key, value in joints.items():
        angles = value[:, :-1] if key == "actions" else value  # the width comes last
        if (most := float(np.abs(angles).max(initial=0.0))) > JOINT_RAD:
            return f"{key} is {most:.4g}; expected radians, below {JOINT_RAD:g}"
    if (most := float(np.abs(episode.joint_velocity).max(initial=0.0))) > JOINT_RAD_S:
        return f"joint_velocity is {most:.4g}; expected rad/s, below {JOINT_RAD_S:g}"
    return ""
