"""Disturbances for demonstrations: bursts that push the arm off, so that it shows recovery."""

from __future__ import annotations

import numpy as np

from vilp_ros.geometry import quat_multiply, yaw_quat
from vilp_ros.sim.env import MAX_WIDTH
from vilp_ros.sim.task import ANYTHING, Disturbance

BURST_STEPS = (5, 12)
_MEAN_BURST = sum(BURST_STEPS) / 2


class NoiseBursts:
    """Adds bursts of offsets to a sequence of targets.

    A burst holds its offset or lets it wander (Ornstein-Uhlenbeck). It moves the position by up to
    `position`, the yaw, or closes the fingers in part. Targets are relative to where the arm is, so
    an offset acts as a push for as long as the burst lasts.

    Args:
        rng: source of all draws.
        share: expected share of disturbed steps, 0 to below 1.
        disturbance: what may move, and how far.
    """

    def __init__(
        self, rng: np.random.Generator, share: float, disturbance: Disturbance = ANYTHING
    ) -> None:
        self._rng = rng
        self._start = share / (_MEAN_BURST * (1 - share))
        self._position, self._yaw = np.array(disturbance.position), disturbance.yaw
        self._fingers = disturbance.fingers
        self._left = 0
        self._wander = False
        self._offset = np.zeros(4)
        self._width: float | None = None

    def apply(self, action: np.ndarray, weight: float, fingers: bool) -> tuple[np.ndarray, bool]:
        """The action to execute and whether it was disturbed.

        Args:
            action: (8,) target of the expert.
            weight: factor on the chance that a burst starts now.
            fingers: whether a burst may also move the fingers.

        Returns:
            (8,) target, True within a burst.
        """
        if self._left == 0 and self._rng.random() < weight * self._start:
            self._begin(fingers)
        if self._left == 0:
            return action, False
        self._left -= 1
        if self._wander:
            bound = np.array([*self._position, self._yaw])
            kick = self._rng.normal(size=4) * bound
            self._offset = np.clip(0.8 * self._offset + 0.4 * kick, -bound, bound)
        executed = action.copy()
        executed[:3] += self._offset[:3]
        executed[3:7] = quat_multiply(yaw_quat(self._offset[3]), action[3:7])
        if self._width is not None:
            executed[7] = self._width
        return executed, True

    def _begin(self, fingers: bool) -> None:
        rng = self._rng
        self._left = int(rng.integers(BURST_STEPS[0], BURST_STEPS[1] + 1))
        self._wander = rng.random() < 0.3
        direction = rng.normal(size=3) * [1, 1, 0.6] * (self._position > 0)
        push = direction / np.linalg.norm(direction) * rng.uniform(0.2, 1) * self._position
        turn = rng.choice([-1, 1]) * rng.uniform(0.3, 1) * self._yaw
        ways = ((True, True), (True, False), (False, True)) if self._yaw else ((True, False),)
        moves, turns = ways[rng.integers(len(ways))]
        self._offset = np.array([*(push * moves), turn * turns])
        closes = fingers and self._fingers and rng.random() < 0.15
        self._width = float(rng.uniform(0, MAX_WIDTH)) if closes else None
