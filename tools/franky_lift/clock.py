"""Publish franky-sim's time on /clock: on a busy machine all is then slow, and nothing late.

.venv/bin/python tools/franky_lift/clock.py runs/franky
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage

from vilp_ros.ros import qos
from vilp_ros.ros.messages import to_stamp

LOOK_S = 0.003


class SimClock(Node):
    """Looks often, and says each time once.

    Args:
        folder: in which `tools/franky_lift/serve.sh` writes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__("franky_clock")
        self._time = np.memmap(folder / "state", np.float64, "r", shape=(1,))
        self._said_s = 0.0
        self._clock = self.create_publisher(ClockMessage, "/clock", qos.SENSOR)
        self.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        now_s = float(self._time[0])
        if now_s > self._said_s:
            self._said_s = now_s
            self._clock.publish(ClockMessage(clock=to_stamp(now_s)))


def main() -> None:
    """Publishes until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(SimClock(args.folder))


if __name__ == "__main__":
    main()
