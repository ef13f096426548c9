"""The one number that a gripper hears on a topic, as the message that it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from vilp_ros.contract import Contract
from vilp_ros.ros.gripper_actions import missing_control_msgs

GRIPPER_NAME = "gripper_width"
"""Of a gripper whose joint has none in the contract."""


def gripper_message(contract: Contract) -> tuple[Any, Callable[[float, Time], Any]]:
    """Type of what `action.gripper_topic` carries, and what makes one of a width (m) and a stamp.

    Raises:
        VilpError: control_msgs is wanted and not installed.
    """
    kind, width = contract.action.gripper, contract.commanded_width
    if kind == "float64_array":
        return Float64MultiArray, lambda metres, _: Float64MultiArray(data=[width.number(metres)])
    if kind == "gripper_command":
        try:
            from control_msgs.msg import GripperCommand
        except ImportError:
            raise missing_control_msgs(kind) from None
        effort_n = contract.action.gripper_effort

        def command(metres: float, _: Time) -> Any:
            return GripperCommand(position=width.number(metres), max_effort=effort_n)

        return GripperCommand, command
    name = contract.proprio.gripper_joint or GRIPPER_NAME

    def joint(metres: float, stamp: Time) -> JointState:
        message = JointState(name=[name], position=[width.number(metres)])
        message.header.stamp = stamp
        return message

    return JointState, joint
