"""The tasks: which robosuite environment, what lies on the table, where the camera stands."""

from __future__ import annotations

import logging
from dataclasses import dataclass

# robosuite warns at import about optional parts that nothing here uses; errors still come through.
logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)

from robosuite.environments.manipulation.lift import Lift  # noqa: E402
from robosuite.environments.manipulation.nut_assembly import NutAssemblySquare  # noqa: E402
from robosuite.environments.manipulation.pick_place import PickPlaceCan  # noqa: E402
from robosuite.models.arenas import TableArena  # noqa: E402
from robosuite.models.objects import BoxObject  # noqa: E402
from robosuite.models.tasks import ManipulationTask  # noqa: E402
from robosuite.utils.placement_samplers import UniformRandomSampler  # noqa: E402

from vilp_ros.sim.scene import Camera  # noqa: E402


class LiftWide(Lift):
    """Lift with a block of 6 x 6 x 4 cm anywhere in +-10 cm, at any yaw.

    The block is nearly as wide as the open gripper (8 cm) and does not fit across its diagonal: a
    grasp between two modes, 45 degrees off, fails.
    """

    HALF_SIZE = (0.03, 0.03, 0.02)
    SPAWN = 0.10

    def _load_model(self) -> None:
        super()._load_model()  # places the arm; its table and cube are replaced below
        arena = TableArena(
            self.table_full_size, self.table_friction, table_offset=self.table_offset
        )
        arena.set_origin([0, 0, 0])
        self.cube = BoxObject(name="cube", size=self.HALF_SIZE, rgba=[1, 0, 0, 1])
        self.placement_initializer = UniformRandomSampler(
            name="ObjectSampler",
            mujoco_objects=self.cube,
            x_range=[-self.SPAWN, self.SPAWN],
            y_range=[-self.SPAWN, self.SPAWN],
            rotation=None,
            ensure_object_boundary_in_range=False,
            reference_pos=self.table_offset,
            z_offset=0.001,
            rng=self.rng,
        )
        self.model = ManipulationTask(
            mujoco_arena=arena,
            mujoco_robots=[robot.robot_model for robot in self.robots],
            mujoco_objects=self.cube,
        )


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        environment: robosuite environment class.
        objects: name in `SimEnv.truth` -> MuJoCo body; `goal` is where an object belongs.
        max_steps: control periods after which an episode counts as failed.
        after_success: control periods that a demonstration goes on when the task is done.
        agentview: the fixed camera.
    """

    environment: type
    objects: dict[str, str]
    max_steps: int
    after_success: int
    agentview: Camera


# Nearer, lower and more from the side than robosuite's: the block fills more of the picture, two
# of its sides are seen, and all of +-10 cm with the gripper above it is in view.
_BLOCK_VIEW = Camera(position=(0.56, 0.24, 1.34), target=(0.0, 0.0, 0.92), fovy=35.5)
_BINS_VIEW = Camera(position=(1.05, 0.0, 1.60), target=(0.04, 0.01, 0.94), fovy=40.0)
_PEGS_VIEW = Camera(position=(0.72, 0.46, 1.36), target=(0.04, 0.07, 0.90), fovy=36.0)

SPECS = {
    "lift": Task(Lift, {"cube": "cube_main"}, 120, 8, _BLOCK_VIEW),
    "lift_wide": Task(LiftWide, {"cube": "cube_main"}, 200, 8, _BLOCK_VIEW),
    "can": Task(PickPlaceCan, {"can": "Can_main", "goal": "VisualCan_main"}, 300, 12, _BINS_VIEW),
    "square": Task(
        NutAssemblySquare, {"nut": "SquareNut_main", "goal": "peg1"}, 350, 20, _PEGS_VIEW
    ),
}
