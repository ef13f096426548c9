"""`hanoi`: three slabs, three places in a row; all to the green one, none on a smaller one."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.scene import Camera
from vilp_ros.sim.task import Task
from vilp_ros.sim.tower_expert import TowerExpert
from vilp_ros.sim.towers import LOOKS, TOPS, Stacks, Towers

PITCH = 0.14  # m: the hand, 20 cm wide, lies across the row and meets no neighbour


class Hanoi(Towers):
    """From any legal start: on every place the larger slab lies below."""

    SIZES = ((0.03, 0.03, 0.015), (0.0225, 0.0225, 0.015), (0.015, 0.015, 0.015))
    PLACES = 3
    PAD = 0.035
    LARGER_BELOW = True

    def _arrange(self) -> tuple[np.ndarray, Stacks]:
        while True:
            on = self.rng.integers(0, 3, 3)
            if (on != 2).any():
                break
        stacks = tuple(tuple(np.flatnonzero(on == n).tolist()) for n in range(3))
        return np.array([[-PITCH, 0.0], [0.0, 0.0], [PITCH, 0.0]]), stacks


TASK = Task(
    environment=Hanoi,
    expert=TowerExpert,
    objects={f"block{n}": f"block{n}_main" for n in range(3)}
    | {f"place{n}": f"place{n}" for n in range(3)},
    looks=LOOKS,
    tops=TOPS,
    max_steps=1200,
    after_success=12,
    # Across the row, so that no tower hides another.
    agentview=Camera(position=(0.06, 0.60, 1.36), target=(0.0, 0.0, 0.86), fovy=24.0),
    depth_range_m=(0.55, 1.15),
)
