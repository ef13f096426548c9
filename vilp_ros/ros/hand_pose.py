"""Poses of the hand as they come: told by a topic, or given by the joints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState

from vilp_ros.contract import Contract
from vilp_ros.data.observe import MessageError, from_pose, joints_by_name, seconds
from vilp_ros.kinematics import kinematics_of
from vilp_ros.ros import qos

OnPose = Callable[[float, "np.ndarray[Any, np.dtype[np.float64]]"], object]


def listen_to_hand(node: Node, contract: Contract, on_pose: OnPose) -> None:
    """Hand each pose to a callback, with its stamp: s, (7,) of `ee_frame` in `base_frame`.

    Args:
        node: Listens.
        contract: Of the robot.
        on_pose: Called from the node's executor.

    Raises:
        VilpError: No topic tells the pose, and the contract's arm cannot be used.
    """
    proprio = contract.proprio
    if proprio.ee_pose_topic is not None:

        def told(message: PoseStamped) -> None:
            on_pose(seconds(message.header.stamp), from_pose(message.pose))

        node.create_subscription(PoseStamped, proprio.ee_pose_topic, told, qos.STATE_IN)
        return
    arm = kinematics_of(contract)

    def given(message: JointState) -> None:
        try:
            joints = joints_by_name(message, message.position, proprio.joint_names)
        except MessageError:
            return  # of others on that topic, or said by who reads the joints
        if np.isfinite(joints).all():
            on_pose(seconds(message.header.stamp), arm.forward(joints))

    node.create_subscription(JointState, proprio.joint_state_topic, given, qos.STATE_IN)
