"""Commands of whoever shows the arm what to do: a person, or the simulator's expert."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from vilp_ros.contract import Contract
from vilp_ros.errors import VilpError
from vilp_ros.nodes import qos
from vilp_ros.nodes.messages import to_joint_state, to_pose


class DemonstratedCommands:
    """The absolute targets of a policy, on its topics, and on `commander` whose they are.

    Args:
        node: publishes.
        contract: of the robot.

    Raises:
        VilpError: the contract names no topic for poses.
    """

    def __init__(self, node: Node, contract: Contract) -> None:
        action = contract.action
        if action.kind != "ee_pose" or action.pose_topic is None:
            takes = action.kind if action.kind != "ee_pose" else action.transport
            raise VilpError(
                f"demonstrations are poses on action.pose_topic; {contract.robot} takes {takes} "
                "and names no such topic: use a contract that does (sim_panda, fr3_crisp)"
            )
        self._base_frame = contract.base_frame
        self._pose = node.create_publisher(PoseStamped, action.pose_topic, qos.LATEST)
        self._gripper = node.create_publisher(JointState, action.gripper_topic, qos.LATEST)
        self._commander = node.create_publisher(Header, "commander", qos.LATEST)

    def send(self, command: np.ndarray, stamp: Time, whose: str) -> None:
        """Publishes one target (8,): pose in the base frame, width in metres."""
        self._commander.publish(Header(stamp=stamp, frame_id=whose))
        self._gripper.publish(to_joint_state(["gripper_width"], command[7:], stamp))
        header = Header(stamp=stamp, frame_id=self._base_frame)
        self._pose.publish(PoseStamped(header=header, pose=to_pose(command[:7])))
