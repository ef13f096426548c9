"""An expert made to fail: its arm still moves as arms do, which inverse dynamics can learn from."""

from __future__ import annotations

import numpy as np

from vilp_ros.geometry import quat_multiply, yaw_quat
from vilp_ros.sim.env import Observation
from vilp_ros.sim.experts import Expert
from vilp_ros.sim.task import ANYTHING, Disturbance

AIM_OFF = (0.035, 0.07)
JUMP = 0.02
_RETURN, _KICK = 0.9, (0.006, 0.006, 0.004, 0.05)


class SpoiledExpert:
    """Aims beside the object, wanders, and now and then jumps to another phase.

    Args:
        expert: the expert to spoil.
        rng: source of all draws.
        disturbance: what may move.
    """

    def __init__(
        self, expert: Expert, rng: np.random.Generator, disturbance: Disturbance = ANYTHING
    ) -> None:
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(*AIM_OFF)
        expert.aim = radius * np.array([np.cos(angle), np.sin(angle)])
        self._expert, self._rng = expert, rng
        self._wander = np.zeros(4)
        self._kick = _KICK * (np.array([*disturbance.position, disturbance.yaw]) > 0)

    def act(self, observation: Observation) -> np.ndarray:
        """Absolute target (8,)."""
        if self._rng.random() < JUMP:
            self._expert.phase = str(self._rng.choice(self._expert.PHASES))
        action = self._expert.act(observation)
        self._wander = _RETURN * self._wander + self._rng.normal(size=4) * self._kick
        action[:3] += self._wander[:3]
        action[3:7] = quat_multiply(yaw_quat(self._wander[3]), action[3:7])
        return action
