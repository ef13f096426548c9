"""What a task is: all that the simulator, the experts and the evaluation ask about one.

A task is one file of `vilp_ros.sim.tasks` with a `TASK`; the name of the file is its name.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.sim import TASKS
from vilp_ros.sim.scene import Camera

if TYPE_CHECKING:
    from vilp_ros.sim.env import SimEnv
    from vilp_ros.sim.experts import Expert

# robosuite warns at import about optional parts that nothing here uses; errors still come through.
logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)

OPEN = 0.08  # m between the fingers


@dataclass(frozen=True)
class Disturbance:
    """What may disturb a demonstration, and where one may begin.

    Attributes:
        position: largest offset of a target along x, y and z, metres.
        yaw: largest offset of a target, radians; 0.22 turns the gripper by up to about 25 degrees.
        fingers: whether the fingers may be closed in part.
        careful: phases of the expert in which more happens, since recovery matters most there.
        start: (x, y, z, yaw) by which the arm may stand off its rest pose, metres and radians.
    """

    position: tuple[float, float, float] = (0.03, 0.03, 0.03)
    yaw: float = 0.22
    fingers: bool = True
    careful: tuple[str, ...] = ("approach",)
    start: tuple[float, float, float, float] = (0.06, 0.06, 0.04, 0.5)


ANYTHING = Disturbance()


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        environment: robosuite environment class; `_check_success` says whether the task is done,
            and `measured`, where there is a `measure`, how far.
        expert: makes the scripted expert after a reset, from the environment, a source of draws
            and one of `modes` or `blends`.
        objects: name in `SimEnv.truth` -> MuJoCo body; `goal` is where an object belongs.
        looks: what is seen of it: geom -> colour, body -> colour of all in it that collides.
        max_steps: control periods after which an episode counts as failed.
        after_success: control periods that a demonstration goes on when the task is done.
        agentview: the fixed camera.
        tops: boxes of `looks` with a brighter top, which shows their yaw -> its colour.
        modes: ways of doing it, all recorded at every pose of the objects.
        blends: ways that fail, since they mix modes; never recorded.
        disturbance: of demonstrations.
        rest_width: metres between the fingers when an episode begins.
        measure: what `measured` counts, from 0 to 1, such as `coverage`; empty: success alone.
        depth_range_m: (near, far) of the fixed camera's depth view.
    """

    environment: type
    expert: Callable[[SimEnv, np.random.Generator, str], Expert]
    objects: Mapping[str, str]
    looks: Mapping[str, str]
    max_steps: int
    after_success: int
    agentview: Camera
    tops: Mapping[str, str] = field(default_factory=dict)
    modes: tuple[str, ...] = ("direct",)
    blends: tuple[str, ...] = ()
    disturbance: Disturbance = ANYTHING
    rest_width: float = OPEN
    measure: str = ""
    depth_range_m: tuple[float, float] = (0.4, 1.6)


def load_task(name: str) -> Task:
    """The task of one of `vilp_ros.sim.TASKS`; imports robosuite, which takes seconds.

    Raises:
        VilpError: the simulator has no such task.
    """
    if name not in TASKS:
        raise VilpError(
            f"the simulator has no task {name!r}: it has {', '.join(TASKS)}; a bundle of a real "
            "arm's task is measured on its episodes: `vilp eval video`, `vilp replay`"
        )
    task: Task = importlib.import_module(f"vilp_ros.sim.tasks.{name}").TASK
    return task
