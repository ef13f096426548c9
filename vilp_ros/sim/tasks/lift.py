"""`lift`: robosuite's 4 cm cube, near the middle of the table, to be lifted by 4 cm."""

from __future__ import annotations

import numpy as np
from robosuite.environments.manipulation.lift import Lift

from vilp_ros.sim.block_expert import BlockExpert
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.scene import OBJECT, OBJECT_TOP, Camera
from vilp_ros.sim.task import Task


def _expert(env: SimEnv, rng: np.random.Generator, mode: str) -> BlockExpert:
    return BlockExpert(env, rng, mode, side="none")


TASK = Task(
    environment=Lift,
    expert=_expert,
    objects={"cube": "cube_main"},
    looks={"cube_g0": OBJECT},
    tops={"cube_g0": OBJECT_TOP},
    max_steps=120,
    after_success=8,
    # Nearer, lower and more from the side than robosuite's: the block fills more of the picture,
    # two of its sides are seen, and all of +-10 cm with the gripper above it is in view.
    agentview=Camera(position=(0.56, 0.24, 1.34), target=(0.0, 0.0, 0.92), fovy=35.5),
    modes=("nearest",),
    blends=("mean",),
)
