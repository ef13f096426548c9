"""`can`: robosuite's can, from its bin into its compartment of the other."""

from __future__ import annotations

from robosuite.environments.manipulation.pick_place import PickPlaceCan

from vilp_ros.sim.place_expert import can_expert
from vilp_ros.sim.scene import GOAL, OBJECT, Camera
from vilp_ros.sim.task import Task

TASK = Task(
    environment=PickPlaceCan,
    expert=can_expert,
    objects={"can": "Can_main", "goal": "VisualCan_main"},
    looks={
        "Can_g0": OBJECT,
        "VisualCan_g0": GOAL,
        "bin1": "0.74 0.62 0.46 1",
        "bin2": "0.50 0.40 0.33 1",
    },
    max_steps=300,
    after_success=12,
    agentview=Camera(position=(1.05, 0.0, 1.60), target=(0.04, 0.01, 0.94), fovy=40.0),
)
