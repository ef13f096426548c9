"""`move_stack`: three cubes from the grey pad to the green one, cube by cube."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.scene import Camera
from vilp_ros.sim.task import Task
from vilp_ros.sim.tower_expert import TowerExpert
from vilp_ros.sim.towers import LOOKS, TOPS, Stacks, Towers

SPAWN, APART = 0.13, 0.16  # m


class MoveStack(Towers):
    """Pads anywhere, in any order of the cubes."""

    SIZES = ((0.02, 0.02, 0.02),) * 3
    PLACES = 2
    PAD = 0.035
    LARGER_BELOW = False

    def _arrange(self) -> tuple[np.ndarray, Stacks]:
        while True:
            middles = self.rng.uniform(-SPAWN, SPAWN, (2, 2))
            if np.linalg.norm(middles[0] - middles[1]) > APART:
                break
        return middles, (tuple(self.rng.permutation(3).tolist()), ())


TASK = Task(
    environment=MoveStack,
    expert=TowerExpert,
    objects={f"block{n}": f"block{n}_main" for n in range(3)}
    | {f"place{n}": f"place{n}" for n in range(2)},
    looks=LOOKS,
    tops=TOPS,
    max_steps=600,
    after_success=12,
    agentview=Camera(position=(0.40, 0.66, 1.38), target=(0.0, 0.0, 0.87), fovy=30.0),
    depth_range_m=(0.55, 1.15),
)
