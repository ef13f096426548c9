"""`square`: robosuite's square nut, by its handle over the square peg."""

from __future__ import annotations

from robosuite.environments.manipulation.nut_assembly import NutAssemblySquare

from vilp_ros.sim.place_expert import nut_expert
from vilp_ros.sim.scene import OBJECT_TOP, Camera
from vilp_ros.sim.task import Task

TASK = Task(
    environment=NutAssemblySquare,
    expert=nut_expert,
    objects={"nut": "SquareNut_main", "goal": "peg1"},
    looks={"SquareNut_main": OBJECT_TOP, "peg1": "0.20 0.45 0.30 1", "peg2": "0.45 0.45 0.50 1"},
    max_steps=350,
    after_success=20,
    agentview=Camera(position=(0.72, 0.46, 1.36), target=(0.04, 0.07, 0.90), fovy=36.0),
)
