"""Where the arm stands still: what nobody should learn to imitate. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vilp_ros.data.frames import Frame
from vilp_ros.data.plausible import STATE_KEYS
from vilp_ros.geometry import quat_angle

if TYPE_CHECKING:
    from vilp_ros.data.episode import Episode

IDLE_M_S, IDLE_RAD_S = 2e-3, 0.02
"""Hand and fingers slower than the one, and every joint than the other, stand still."""
REST_S = 0.5
"""Standing still for so long is rest; for less it belongs to a movement."""

NAMED = 0.05
"""Share of its periods from which on the rest of an episode is named."""


def still(position: NDArray, width: NDArray, joints: NDArray, period_s: float) -> NDArray[np.bool_]:
    """Whether hand, fingers and joints stand still from each frame to the next, `(T,)`.

    Args:
        position: `(T+1, 3)` m.
        width: `(T+1,)` m.
        joints: `(T+1, J)` rad.
        period_s: between two frames.
    """
    hand = np.linalg.norm(np.diff(position, axis=0), axis=1)
    fingers = np.abs(np.diff(width))
    turned = np.abs(np.diff(joints, axis=0)).max(axis=1, initial=0.0)
    metres = IDLE_M_S * period_s
    return (hand < metres) & (fingers < metres) & (turned < IDLE_RAD_S * period_s)


def rests(idle: NDArray[np.bool_], period_s: float) -> list[tuple[int, int]]:
    """Stretches of at least `REST_S` without movement, each as (first step, steps).

    Args:
        idle: `(T,)` of `still`.
        period_s: control period.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], idle, [False]])))
    runs = [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2])]
    return [(start, steps) for start, steps in runs if steps * period_s >= REST_S - 1e-9]


def words(idle: NDArray[np.bool_], period_s: float) -> str:
    """How long an arm rests, of what nobody should imitate; empty where that is little.

    Args:
        idle: `(T,)` of `still`.
        period_s: control period.
    """
    resting = rests(idle, period_s)
    begin_s = period_s * sum(steps for start, steps in resting if start == 0)
    later_s = period_s * sum(steps for start, steps in resting if start > 0)
    share = (begin_s + later_s) / max(len(idle) * period_s, 1e-9)
    if share < NAMED:
        return ""
    parts = ((begin_s, "at its start"), (later_s, "in pauses"))
    where = " and ".join(f"{seconds:.1f} s {when}" for seconds, when in parts if seconds)
    return f"stands still in {share:.0%} of its periods: {where}"


def without_rest(episode: Episode, period_s: float) -> Episode:
    """The same episode from where its arm first moves, or is first told to.

    One that only rests, or rests for less than `REST_S` before it moves, is left as it is.

    Args:
        episode: with a pose; `info.rest_s` then says how long it rested.
        period_s: control period.
    """
    state = (episode.ee_pose[:, :3], episode.gripper_width, episode.joint_position)
    idle = still(*state, period_s)
    if (told := episode.actions) is not None and len(told) > 1:
        alike = still(told[:, :3], told[:, 7], np.zeros((len(told), 0)), period_s)
        turn = quat_angle(told[1:, 3:7], told[:-1, 3:7]) < IDLE_RAD_S * period_s
        idle[1:] &= alike & turn
    found = [steps for start, steps in rests(idle, period_s) if start == 0]
    if not found or found[0] == len(idle):
        return episode
    first = found[0]

    parts: dict[str, Any] = {
        name: None if (rows := getattr(episode, name)) is None else rows[first:]
        for name in (*STATE_KEYS, "actions", "disturbed", "before", "repeated")
    }
    images = {view: frames[first:] for view, frames in episode.images.items()}
    info = {**episode.info, "rest_s": round(first * period_s, 6)}
    return replace(episode, images=images, info=info, **parts)


class Rest:
    """Holds frames back until the arm moves, or is told to.

    Args:
        kind: of the actions, `ee_pose` or `joint_position`.
        period_s: control period.

    Attributes:
        seconds: of standing still that were left out, or were all that there was.
    """

    def __init__(self, kind: str, period_s: float) -> None:
        self._kind, self._period_s, self.seconds = kind, period_s, 0.0
        self._held: list[Frame] = []
        self._target: NDArray | None = None
        self._steps, self._begun = 0, False

    def begin(self, frame: Frame, target: NDArray | None) -> list[Frame]:
        """The frames with which an episode goes on: none while it rests.

        Args:
            frame: the next one.
            target: (8,) in force then; None without commands.
        """
        last, before = self._target, self._held[-1] if self._held else None
        self._target = target
        if self._begun:
            return [frame]
        if before is not None and (self._moves(before, frame) or self._leads(last, target)):
            self._begun = True
            return [*self._held, frame]
        self._steps += before is not None
        self._held.append(frame)
        if self._steps * self._period_s >= REST_S - 1e-9:
            self._held = [frame]  # of a rest only where the first movement begins
            self.seconds = self._steps * self._period_s
        return []

    def end(self) -> list[Frame]:
        """What was held back of a bag that is shorter than a rest."""
        return [] if self._begun or self.seconds else self._held

    def _moves(self, one: Frame, two: Frame) -> bool:
        a, b = one.state, two.state
        idle = still(
            np.stack([a.ee_pose[:3], b.ee_pose[:3]]),
            np.array([a.gripper_width, b.gripper_width]),
            np.stack([a.joint_position, b.joint_position]),
            self._period_s,
        )
        return not idle[0]

    def _leads(self, last: NDArray | None, target: NDArray | None) -> bool:
        """Whether a target is another than the one before it."""
        if last is None or target is None:
            return False
        metres, turn = [abs(target[-1] - last[-1])], 0.0
        if self._kind == "ee_pose":
            metres.append(float(np.linalg.norm(target[:3] - last[:3])))
            turn = float(quat_angle(last[3:7], target[3:7]))
        else:
            turn = float(np.abs(target[:-1] - last[:-1]).max())
        return max(metres) >= IDLE_M_S * self._period_s or turn >= IDLE_RAD_S * self._period_s
