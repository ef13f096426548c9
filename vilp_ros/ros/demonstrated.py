"""Commands of whoever shows the arm what to do: a person, or the simulator's expert."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from std_msgs.msg import Header

from vilp_ros.contract import Contract
from vilp_ros.errors import VilpError
from vilp_ros.ros import qos
from vilp_ros.ros.commands import Commands


def check_recordable(contract: Contract) -> None:
    """Raises VilpError if the contract names no topic for poses, so that bags have no actions."""
    if contract.action.pose_topic is None:
        raise VilpError(
            f"demonstrations are poses of the hand; contract {contract.robot} names no topic for "
            "them: add action.pose_topic, such as commanded_pose where joints are sent"
        )


class DemonstratedCommands(Commands):
    """Those of a policy, on its topics, and on `commander` whose they are.

    Args:
        node: publishes.
        contract: of the robot.
        command_rate_hz: of what is sent as a stream.

    Raises:
        VilpError: as `check_recordable`.
    """

    def __init__(self, node: Node, contract: Contract, command_rate_hz: float) -> None:
        check_recordable(contract)
        super().__init__(node, contract, command_rate_hz)
        self._commander = node.create_publisher(Header, "commander", qos.LATEST)

    def destroy(self) -> None:
        """Take the publishers back."""
        super().destroy()
        self._node.destroy_publisher(self._commander)

    def send(
        self, command: np.ndarray, hand: np.ndarray, stamp: Time, whose: str, grips: bool = True
    ) -> None:
        """Send a target, unless trajectories are sent, and say what it means and whose it is.

        Args:
            command: (A,) for now, in the words that the arm is sent.
            hand: (8,) the same as pose and width.
            stamp: of all that is published.
            whose: it is.
            grips: whether the gripper is told its width too.
        """
        self._commander.publish(Header(stamp=stamp, frame_id=whose))
        if grips:
            self.width(float(command[-1]), stamp)
        if not self.whole:
            self.stream(command, stamp)
        self.pose(hand[:7], stamp)
