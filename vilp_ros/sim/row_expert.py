"""Expert for `arrange_blocks`: behind a block, down, push it onto the line, up, look again."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.env import Observation, SimEnv
from vilp_ros.sim.motion import ramp, towards

BLOCKS = 3
HALF_SIZE = (0.025, 0.025, 0.02)  # m, of a block
IN_ROW = 0.004  # m from the line: left alone; the task asks for 6 mm
_STOP = 0.002  # m before the line: the hand does not stop at once
_BEHIND = 0.06  # m from a block's middle to the hand when it comes down: past its corner
_LOST = 0.02  # m beside a block's middle: pushes it no longer
_LOW, _HIGH = 0.025, 0.085  # m above the table: fingertips 1 cm above it, and over the blocks
_AT_ENTRY = (0.008, 0.025)  # m from there: comes down, stays up
_PUSH_STEP = (0.004, 0.018)  # m ahead of the hand: at the line, and far from it


class RowExpert:
    """Pushes one block after the other straight onto the line, with the closed fingers.

    Args:
        env: the task.
        rng: not used: all that is open is in the mode.
        mode: which block off the line comes next: `left_first` or `right_first`, seen from the
            robot.
    """

    PHASES: tuple[str, ...] = ("travel", "push")

    def __init__(self, env: SimEnv, rng: np.random.Generator, mode: str) -> None:
        self.mode, self.side, self.phase = mode, "none", "travel"
        self.aim = np.zeros(2)
        self._env = env
        self._line, _, self._table = env.truth()["row"][:3]
        self._block = 0
        self._sign = 1.0  # of x, in which the block is pushed

    def act(self, observation: Observation) -> np.ndarray:
        """Next absolute target (8,)."""
        truth, ee = self._env.truth(), observation.ee_pose[:3]
        blocks = np.array([truth[f"block{n}"][:2] for n in range(BLOCKS)]) + self.aim
        if self.phase == "push":
            beside = abs(ee[1] - blocks[self._block, 1])
            left = self._sign * (self._line - blocks[self._block, 0])
            behind = self._sign * (blocks[self._block, 0] - ee[0])
            if left > _STOP and beside < _LOST and behind > 0 and ee[2] < self._table + _HIGH / 2:
                step = min(_PUSH_STEP[0] + left / 2, _PUSH_STEP[1])
                goal = [ee[0] + self._sign * step, blocks[self._block, 1], self._table + _LOW]
                return towards(observation, np.array(goal), 0.0, 0.0)
            self.phase = "travel"
        return self._travel(observation, blocks)

    def _travel(self, observation: Observation, blocks: np.ndarray) -> np.ndarray:
        ee = observation.ee_pose[:3]
        off = self._line - blocks[:, 0]
        wrong = np.flatnonzero(np.abs(off) > IN_ROW)
        high = self._table + _HIGH
        if not len(wrong):
            return towards(observation, np.array([*ee[:2], high]), 0.0, 0.0)
        along = blocks[wrong, 1] * (1 if self.mode == "right_first" else -1)
        self._block = int(wrong[along.argmin()])
        self._sign = float(np.sign(off[self._block]))
        entry = blocks[self._block] - [self._sign * _BEHIND, 0.0]
        distance = float(np.hypot(*(entry - ee[:2])))
        up = ramp(distance, *_AT_ENTRY)
        if up == 0 and ee[2] < self._table + _LOW + 0.008:
            self.phase = "push"
        # Low among the blocks, first rise clear of them.
        free = ramp(ee[2] - self._table, _HIGH - 0.025, _HIGH - 0.01) if up == 1 else 1.0
        xy = ee[:2] + (entry - ee[:2]) * free
        height = self._table + _LOW + up * (_HIGH - _LOW)
        return towards(observation, np.array([*xy, height]), 0.0, 0.0)
