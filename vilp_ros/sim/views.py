"""The views of the simulator: which camera looks, and whether it sees colour or depth."""

from __future__ import annotations

from typing import NamedTuple

from vilp_ros.sim.task import Task


class SimView(NamedTuple):
    """One view.

    Attributes:
        camera: its name in the model.
        depth: whether it sees depth.
    """

    camera: str
    depth: bool = False


VIEWS = {
    "agentview": SimView("agentview"),
    "eye_in_hand": SimView("robot0_eye_in_hand"),
    "agentview_depth": SimView("agentview", depth=True),
    "eye_in_hand_depth": SimView("robot0_eye_in_hand", depth=True),
}
COLOUR = ("agentview", "eye_in_hand")
"""What is rendered unless views are chosen."""

_HAND_RANGE_M = (0.05, 0.6)


def depth_ranges(task: Task, views: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """(near, far) metres of the depth views among `views`."""
    return {
        view: task.depth_range_m if VIEWS[view].camera == "agentview" else _HAND_RANGE_M
        for view in views
        if VIEWS[view].depth
    }
