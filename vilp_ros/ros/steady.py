"""The clock of watchdogs: nobody sets it, and in a slowed simulation it is as slow as the world."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from vilp_ros.errors import VilpError


def speed_of(node: Node) -> float:
    """Simulated seconds per second of this computer, from the node's parameter `speed`.

    Raises:
        VilpError: time is to pass slower, but is the system's.
    """
    speed = float(node.get_parameter("speed").value)
    if speed < 1.0 and not node.get_parameter("use_sim_time").value:
        raise VilpError(
            f"speed is {speed:g}, but time is the system's, which nobody slows: give use_sim_time "
            "true too"
        )
    return speed


def steady(speed: float) -> Callable[[], float]:
    """A clock of steady seconds of a world of that speed: `time.monotonic`, slowed."""
    return lambda: speed * time.monotonic()
