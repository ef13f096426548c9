"""Expert for `move_stack` and `hanoi`: does the first move of the shortest way, looks again."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.env import Observation, SimEnv
from vilp_ros.sim.motion import gripper_yaw, towards
from vilp_ros.sim.pick_expert import Shape
from vilp_ros.sim.place_expert import Place, PlaceExpert
from vilp_ros.sim.towers import Stacks, Towers, first_move, read_stacks

_GRIP = 0.004  # m above a block's middle: further down the fingertips meet the one below
_CARRY = 0.07  # m that a block is carried over the highest stack
_OVER = 0.006  # m over the one below, a block is let go


class TowerExpert:
    """Moves blocks one by one; what it does next depends on what stands where now.

    Args:
        env: the task, see `vilp_ros.sim.towers.Towers`.
        rng: not used: nothing is open.
        mode: name of the way.
    """

    PHASES: tuple[str, ...] = PlaceExpert.PHASES

    def __init__(self, env: SimEnv, rng: np.random.Generator, mode: str) -> None:
        self.mode, self.side = mode, "none"
        self.aim = np.zeros(2)
        rules: type[Towers] = env.spec.environment
        self._env, self._places, self._larger_below = env, rules.PLACES, rules.LARGER_BELOW
        self._halves = [np.array(size) for size in rules.SIZES]
        self._move: tuple[int, int] | None = None
        self._hand: PlaceExpert | None = None

    @property
    def phase(self) -> str:
        """Of the move under way."""
        return self._hand.phase if self._hand is not None else "approach"

    @phase.setter
    def phase(self, phase: str) -> None:
        if self._hand is not None:
            self._hand.phase = phase

    def act(self, observation: Observation) -> np.ndarray:
        """Next absolute target (8,)."""
        if self.phase == "approach":
            self._look()
        if self._hand is None:  # all is done, or nothing can be
            ee = observation.ee_pose
            return towards(observation, ee[:3], gripper_yaw(ee[3:]), self._env.spec.rest_width)
        self._hand.aim = self.aim
        return self._hand.act(observation)

    def _look(self) -> None:
        stacks = read_stacks(self._env.truth(), len(self._halves), self._places)
        move = first_move(stacks, self._places, self._larger_below)
        if move is None:
            self._move = self._hand = None
        elif move != self._move:
            self._move, self._hand = move, self._mover(stacks, *move)

    def _mover(self, stacks: Stacks, block: int, target: int) -> PlaceExpert:
        where = self._env.truth()[f"place{target}"]
        half = self._halves[block]
        beneath = where[2] + sum(2 * self._halves[n][2] for n in stacks[target])
        low = beneath + half[2] + _OVER
        place = Place(
            xy=where[:2],
            high=where[2] + sum(2 * h[2] for h in self._halves) + _CARRY,
            low=low,
            xy_gate=(0.005, 0.015),
            yaw_gate=(1.0, 2.0),
            headings=(),
            inside=low + 0.01,
            caught=0.012,
        )
        return PlaceExpert(
            self._env, f"block{block}", np.array([0.0, 0.0, _GRIP]), Shape(2 * half[1]), place
        )
