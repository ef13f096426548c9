"""`lift_wide`: a block of 6 x 6 x 4 cm anywhere in +-10 cm, at any yaw, to be lifted by 4 cm.

The block is nearly as wide as the open gripper (8 cm) and does not fit across its diagonal: a
grasp between two modes, 45 degrees off, fails.
"""

from __future__ import annotations

from dataclasses import replace

from robosuite.environments.manipulation.lift import Lift
from robosuite.models.objects import BoxObject
from robosuite.utils.placement_samplers import UniformRandomSampler

from vilp_ros.sim.block_expert import BlockExpert
from vilp_ros.sim.table import table_with
from vilp_ros.sim.tasks import lift

HALF_SIZE = (0.03, 0.03, 0.02)
SPAWN = 0.10


class LiftWide(Lift):
    """Lift with the block of this task."""

    def _load_model(self) -> None:
        super()._load_model()  # places the arm; its table and cube are replaced below
        self.cube = BoxObject(name="cube", size=HALF_SIZE, rgba=[1, 0, 0, 1])
        self.placement_initializer = UniformRandomSampler(
            name="ObjectSampler",
            mujoco_objects=self.cube,
            x_range=[-SPAWN, SPAWN],
            y_range=[-SPAWN, SPAWN],
            rotation=None,
            ensure_object_boundary_in_range=False,
            reference_pos=self.table_offset,
            z_offset=0.001,
            rng=self.rng,
        )
        self.model = table_with(self, self.cube)


TASK = replace(
    lift.TASK, environment=LiftWide, expert=BlockExpert, max_steps=200, modes=("nearest", "other")
)
