"""Expert for `push_t`: looks, plans a few straight pushes ahead, does the first, looks again."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from vilp_ros.sim.env import Observation, SimEnv
from vilp_ros.sim.motion import downward, object_yaw
from vilp_ros.sim.push_model import (
    LENGTH,
    STICK_RADIUS,
    Pushes,
    Ways,
    escape,
    make_pushes,
    nearest,
)
from vilp_ros.sim.tee import STICK_LENGTH, TIP_HEIGHT, coverage, seen_from, turned

TRAVEL_STEP = 0.03  # m ahead of the stick: 0.18 m/s
PUSH_STEP = 0.015
_TRAVEL_SPEED, _PUSH_SPEED = 0.15, 0.08  # m/s, of plans
_PUSH_PRICE = 1.0  # s
# Must outweigh the price of a push, or the T is nudged by 2 mm again and again.
_ERROR_SPEED = 0.002  # m/s at which plans count what is left to do
_DEPTH, _WIDTH = 3, 48
_ELSEWHERE = 0.04  # m between the first contacts of the two ways
_DONE = 0.97  # coverage that is left alone
_MOVED = (0.003, np.deg2rad(2))  # of the T since it was looked at: look again
_TOUCHES = STICK_RADIUS + 0.0025  # m from the T's sides: get away first
_AT_ENTRY = 0.008
_ROLLS_ON = 0.5  # of what it went in the last period, the stick goes on when its push is over
_ASTRAY = 0.008  # m off the line of a push: give it up


@cache
def _library() -> tuple[Pushes, Ways]:
    return make_pushes(), Ways()


class _Line(NamedTuple):
    """A push under way.

    Attributes:
        points: (3, 2) entry, contact and end, metres, base frame.
        periods: control periods that it may still take.
        come: metres that the stick has come from the contact.
    """

    points: np.ndarray
    periods: int
    come: float


class PushExpert:
    """Pushes a T onto its outline with a stick that stands on the table.

    Args:
        env: the task.
        rng: not used: all that is open is in the mode.
        mode: `best` takes the best first push that it finds, `other` the best one that touches
            the T at least 4 cm elsewhere.
    """

    PHASES: tuple[str, ...] = ("travel", "push")

    def __init__(self, env: SimEnv, rng: np.random.Generator, mode: str) -> None:
        self.mode, self.side, self.phase = mode, "none", "travel"
        self.aim = np.zeros(2)
        self._env = env
        self._forbid = mode == "other"
        self._height = env.truth()["goal"][2] + TIP_HEIGHT + STICK_LENGTH
        self._push: int | None = None
        self._line: _Line | None = None
        self._looked = np.zeros(3)
        self._further = 0.0  # m by which pushes are longer, since the last ones moved nothing

    def act(self, observation: Observation) -> np.ndarray:
        """Next absolute target (8,)."""
        stick = observation.ee_pose[:2]
        target = self._next(stick, self._tee())
        return downward(np.append(target, self._height), 0.0, self._env.spec.rest_width)

    def _tee(self) -> np.ndarray:
        """x, y, yaw of the T in the base frame."""
        pose = self._env.truth()["tee"]
        return np.array([*(pose[:2] + self.aim), object_yaw(pose)])

    def _next(self, stick: np.ndarray, tee: np.ndarray) -> np.ndarray:
        if self.phase == "push" and self._line is not None:
            target = self._along(stick)
            if target is not None:
                return target
        self.phase, self._line = "travel", None
        relative = turned(stick - tee[:2], -tee[2])
        clear = escape(relative[None])[0]
        if nearest(relative[None])[0][0] < _TOUCHES:
            away = clear - relative
            return stick + turned(away * (1 + 0.01 / np.linalg.norm(away)), tee[2])
        moved = np.abs(tee - self._looked)
        if self._push is None or moved[:2].max() > _MOVED[0] or moved[2] > _MOVED[1]:
            if self._push is None:
                still = moved[:2].max() < _MOVED[0] / 2 and moved[2] < _MOVED[1] / 2
                self._further = self._further + 0.002 if still else 0.0
            self._push = self._plan(clear, tee)
            self._looked = tee
        if self._push is None:
            return stick
        pushes, ways = _library()
        place = pushes.place[self._push]
        entry = pushes.entry[place]
        if np.linalg.norm(entry - relative) < _AT_ENTRY:
            self.phase, self._line = "push", self._line_of(self._push, tee)
            self._push, self._forbid = None, False
            target = self._along(stick)
            return stick if target is None else target
        return tee[:2] + turned(_ahead(ways, clear, entry), tee[2])

    def _line_of(self, push: int, tee: np.ndarray) -> _Line:
        pushes, _ = _library()
        place = pushes.place[push]
        contact = pushes.contact[place]
        corners = [pushes.entry[place], contact]
        length = pushes.length[push] + self._further
        corners.append(contact + pushes.direction[push] * length)
        return _Line(
            turned(np.array(corners), tee[2]) + tee[:2],
            20 + round(length / 0.003),
            0.0,
        )

    def _along(self, stick: np.ndarray) -> np.ndarray | None:
        """Where to go on the line; None when it is at its end, or has to be given up."""
        assert self._line is not None
        (entry, contact, end), periods, come = self._line
        direction = end - contact
        length = float(np.linalg.norm(direction))
        direction /= length
        inward = contact - entry
        before = (stick - contact) @ inward < -0.001 * np.linalg.norm(inward)
        along = float((stick - contact) @ direction)
        self._line = _Line(self._line.points, periods - 1, along)
        if before:
            gone = (stick - entry) @ inward / (inward @ inward)
            astray = np.linalg.norm(stick - entry - gone * inward)
            if astray > 2 * _ASTRAY or periods <= 0:
                return None
            left = float(np.linalg.norm(inward)) * (1 - gone)
            if left > PUSH_STEP:
                return entry + inward * (gone + PUSH_STEP / np.linalg.norm(inward))
            return contact + direction * (PUSH_STEP - left)
        astray = abs(direction[0] * (stick - contact)[1] - direction[1] * (stick - contact)[0])
        if astray > _ASTRAY or periods <= 0 or along + _ROLLS_ON * (along - come) > length:
            return None
        return contact + direction * (max(along, 0.0) + PUSH_STEP)

    def _plan(self, stick: np.ndarray, tee: np.ndarray) -> int | None:
        """The first of the best pushes, None if the T may stay as it is."""
        goal = self._env.truth()["goal"]
        start = seen_from(np.array([*goal[:2], object_yaw(goal)]), tee)
        if coverage(start) > _DONE:
            return None
        pushes, ways = _library()
        there = ways.lengths(stick[None], pushes.entry)[0]
        costs = there[pushes.place] / _TRAVEL_SPEED
        first = _search(start, costs)
        if self._forbid:
            off = pushes.contact - pushes.contact[pushes.place[first]]
            near = np.linalg.norm(off, axis=1) < _ELSEWHERE
            first = _search(start, np.where(near[pushes.place], np.inf, costs))
        return first


def _ahead(ways: Ways, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The place on the way that is `TRAVEL_STEP` ahead; behind the end, or the arm stops short."""
    left = TRAVEL_STEP
    while True:
        turn = ways.turn(start, end)
        length = float(np.linalg.norm(turn - start))
        if length >= left:
            return start + (turn - start) * left / length
        if turn is end:
            return end + (turn - start) * min(left - length, 0.01) / max(length, 1e-9)
        start, left = turn, left - length


def _search(start: np.ndarray, travel: np.ndarray) -> int:
    """Beam search over sequences of pushes.

    Args:
        start: (3,) x, y, yaw of the T in the frame of its outline.
        travel: (K,) seconds until each push can begin.

    Returns:
        index of the first push of the best sequence.
    """
    pushes, _ = _library()
    price = pushes.length / _PUSH_SPEED + _PUSH_PRICE
    poses = start[None]
    firsts = np.zeros(1, int)
    spent = np.zeros(1)
    between = travel[None]
    best, cheapest = 0, np.inf
    for depth in range(_DEPTH):
        c, s = np.cos(poses[:, 2, None]), np.sin(poses[:, 2, None])
        dx, dy, turn = pushes.moved.T
        x = poses[:, 0, None] + c * dx - s * dy
        y = poses[:, 1, None] + s * dx + c * dy
        yaw = (poses[:, 2, None] + turn + np.pi) % (2 * np.pi) - np.pi
        cost = spent[:, None] + between + price
        total = cost + np.sqrt(x**2 + y**2 + (LENGTH * yaw) ** 2) / _ERROR_SPEED
        flat = total.ravel()
        kept = np.argpartition(flat, _WIDTH)[:_WIDTH]
        parent, push = np.divmod(kept, len(price))
        firsts = push if depth == 0 else firsts[parent]
        winner = flat[kept].argmin()
        if flat[kept][winner] < cheapest:
            cheapest, best = flat[kept][winner], int(firsts[winner])
        poses = np.stack([a.ravel()[kept] for a in (x, y, yaw)], -1)
        spent = cost.ravel()[kept]
        between = (pushes.round[push] / _TRAVEL_SPEED)[:, pushes.place]
    return best
