"""robosuite's table with things of our own on it: what the tasks that are built here share."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from robosuite.models.arenas import TableArena
from robosuite.models.tasks import ManipulationTask

from vilp_ros.sim.scene import VISIBLE_GROUP


def table_with(env: Any, objects: Any) -> ManipulationTask:
    """The model of robosuite's Lift with other objects instead of its cube.

    Args:
        env: a Lift whose own `_load_model` has placed the arm.
        objects: robosuite's models, one or several.
    """
    arena = TableArena(env.table_full_size, env.table_friction, table_offset=env.table_offset)
    arena.set_origin([0, 0, 0])
    return ManipulationTask(
        mujoco_arena=arena,
        mujoco_robots=[robot.robot_model for robot in env.robots],
        mujoco_objects=objects,
    )


def worldbody(root: ET.Element) -> ET.Element:
    """Where bodies of a scene's XML hang."""
    found = root.find("worldbody")
    assert found is not None, "robosuite gave a model without a worldbody"
    return found


def add_mark(
    body: ET.Element, name: str, half_sides: Sequence[float], rgba: str, position: str = "0 0 0"
) -> None:
    """Paints a rectangle that is seen and touched by nothing.

    Args:
        body: element that it becomes a geom of.
        name: of the geom.
        half_sides: (2,) metres.
        rgba: MuJoCo's colour.
        position: of its middle in the body, metres.
    """
    looks = {
        "name": name,
        "type": "box",
        "size": f"{half_sides[0]} {half_sides[1]} 0.0015",  # above any mat of a look
        "pos": position,
        "rgba": rgba,
        "contype": "0",
        "conaffinity": "0",
        "group": str(VISIBLE_GROUP),
    }
    ET.SubElement(body, "geom", looks)
