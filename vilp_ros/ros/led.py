"""Where the arm was led last, whoever led it: who leads it next begins there."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from vilp_ros.contract import Contract
from vilp_ros.control.action import Array, difference
from vilp_ros.data.observe import MessageError, from_pose, joints_by_name, seconds
from vilp_ros.ros import qos
from vilp_ros.ros.commands import arm_topic

SILENT_S = 0.1  # a stream of targets that says nothing for so long is over
NEAR_M, NEAR_TURN, NEAR_RAD = 0.03, 0.15, 0.05  # hand; joint: further off, it was moved otherwise


class Led:
    """Listens to the arm's own commands.

    An arm stands a little beside where it was led, by its weight or what it pushes against. Led on
    from where it is, it would leap by that.

    Args:
        node: listens.
        contract: of the robot.
    """

    def __init__(self, node: Node, contract: Contract) -> None:
        self._node, self._contract = node, contract
        self._last: Array | None = None  # (A - 1,)
        self._rests_s = 0.0  # on the steady clock
        self.width: float | None = None
        """What the gripper was told last, metres; None: nothing yet."""
        kind, topic = arm_topic(contract.action)
        node.create_subscription(kind, topic, self._on_command, qos.LATEST)
        node.create_subscription(
            JointState, contract.action.width_topic, self._on_width, qos.LATEST
        )

    @property
    def rests(self) -> bool:
        """Whether nothing that was heard leads the arm any further."""
        return time.monotonic() >= self._rests_s

    def near(self, measured: Array) -> Array:
        """(A,) to lead the arm on from: where it was led, if it is there still, or where it is.

        Args:
            measured: (A,) where it is, in the words that it is sent.
        """
        width = measured[-1] if self.width is None else self.width
        if self._last is None:
            return np.append(measured[:-1], width)
        last, kind = np.append(self._last, width), self._contract.action.sends
        away = difference(kind, measured, last)
        if kind == "ee_pose":
            near = np.linalg.norm(away[:3]) < NEAR_M and np.linalg.norm(away[3:6]) < NEAR_TURN
        else:
            near = bool(abs(away[:-1]).max() < NEAR_RAD)
        return last if near else np.append(measured[:-1], width)

    def _on_command(self, message: Any) -> None:
        lasts_s, names = SILENT_S, self._contract.proprio.joint_names
        try:
            if hasattr(message, "pose"):
                self._last = from_pose(message.pose)
            elif hasattr(message, "points"):
                if not message.points:
                    return
                end = message.points[-1]
                self._last = joints_by_name(message, end.positions, names)
                now_s = self._node.get_clock().now().nanoseconds * 1e-9
                begin_s = seconds(message.header.stamp) or now_s
                lasts_s = begin_s - now_s
                lasts_s += end.time_from_start.sec + 1e-9 * end.time_from_start.nanosec
            else:
                self._last = joints_by_name(message, message.position, names)
        except MessageError:
            return  # not for this arm, which says so itself
        self._rests_s = time.monotonic() + lasts_s

    def _on_width(self, message: JointState) -> None:
        if message.position:
            self.width = self._contract.recorded_width.metres(float(message.position[0]))
