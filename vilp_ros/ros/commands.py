"""How commands leave for the arm: one publisher an arm, in the words that it understands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vilp_ros.contract import Action, Contract
from vilp_ros.control.horizon import PERIOD_S
from vilp_ros.control.resampler import Motion
from vilp_ros.ros import qos
from vilp_ros.ros.gripper_actions import CommandAction, FrankaActions, GripperActions
from vilp_ros.ros.gripper_messages import GRIPPER_NAME, gripper_message
from vilp_ros.ros.messages import to_joint_state, to_pose, to_stamp, to_trajectory

Array = NDArray[np.float64]
_BY_ACTIONS = {"franka_actions": FrankaActions, "gripper_action": CommandAction}
LEAD_S = 0.06  # from deciding on a trajectory to it being in force at the arm
SETTLE_S = 2.0
"""By then each end knows who publishes on an exclusive topic: on a busy machine, an arm was seen to
count a publisher for 1.3 s after everybody else knew that it had gone."""


def arm_topic(action: Action) -> tuple[Any, str]:
    """Kind of message and topic that the arm listens to."""
    pose = action.sends == "ee_pose"
    kind = PoseStamped if pose else JointTrajectory
    if action.transport == "crisp_joint":
        kind = JointState
    topic = action.pose_topic if pose else action.joint_topic
    assert topic is not None  # the contract was checked
    return kind, topic


class Commands:
    """Publishers of one contract.

    An arm behind crisp_controllers heeds nobody while it counts two publishers, silent ones too,
    and nothing tells what it counts; what it refused for a while and then heeded would make it
    leap. There the publishers exist only while they are claimed, and lead when `claim` says so.

    What the arm takes is followed by what it means, for the record: where joints are sent, the pose
    that they give the hand; where the gripper hears something without a stamp, its width.

    Args:
        node: Owns the publishers; of a lifecycle node they are its own kind, unless claimed.
        contract: Says which.
        command_rate_hz: Of `stream`.

    Raises:
        VilpError: The gripper's messages or actions are of a package that is not installed.
    """

    def __init__(self, node: Node, contract: Contract, command_rate_hz: float) -> None:
        self._node, self._contract, self._ahead_s = node, contract, 1.0 / command_rate_hz
        action = contract.action
        self.whole = action.transport == "joint_trajectory"
        """Whether trajectories are sent whole, when they change, instead of a stream."""
        self._kind, topic = arm_topic(action)
        self.topic = node.resolve_topic_name(topic)
        """Of the arm, its full name."""
        self._exclusive = action.transport.startswith("crisp")
        self._settled, self._crowded_s = False, 0.0
        self.arm: Any = None
        self._gripper: Any = None
        self._width: Any = None
        self._pose: Any = None
        self._hand: GripperActions | None = None
        if action.gripper in _BY_ACTIONS:
            self._hand = _BY_ACTIONS[action.gripper](node, contract)
        else:
            self._gripper_kind, self._gripper_message = gripper_message(contract)
        if not self._exclusive:
            self._publish()

    def _publish(self) -> None:
        action, node = self._contract.action, self._node
        create, self._destroy = node.create_publisher, node.destroy_publisher
        if isinstance(node, LifecycleNode) and not self._exclusive:
            create = node.create_lifecycle_publisher
            self._destroy = node.destroy_lifecycle_publisher
        profile = qos.COMMANDS if self.whole else qos.LATEST
        self.arm = create(self._kind, arm_topic(action)[1], profile)
        if self._hand is None:
            self._gripper = create(self._gripper_kind, action.gripper_topic, qos.LATEST)
        if action.width_topic != action.gripper_topic:
            self._width = create(JointState, action.width_topic, qos.LATEST)
        if action.sends != action.kind and action.pose_topic is not None:
            self._pose = create(PoseStamped, action.pose_topic, qos.LATEST)

    def _withdraw(self) -> None:
        for publisher in (self.arm, self._gripper, self._width, self._pose):
            if publisher is not None:
                self._destroy(publisher)
        self.arm = self._gripper = self._width = self._pose = None

    def claim(self) -> str:
        """Ask to lead the arm; before a motion and during it, again and again.

        Returns:
            Why nothing may be sent, in words: a motion must end, and begin anew from where the arm
            is by then. Empty: go ahead.
        """
        if not self._exclusive:
            return ""
        others, now_s = self.rivals(), time.monotonic()
        if self.arm is None and not others:
            self._publish()
            self._crowded_s = now_s
        # Once it is led, a listener more, such as a recorder, is no reason to stop.
        if others or not (self._settled or self.heard):
            self._crowded_s = now_s
        self._settled = now_s - self._crowded_s >= SETTLE_S
        if self._settled:
            return ""
        whom = f": {others} other publishers" if others else ""
        return f"waiting to be alone on {self.topic}{whom}"

    def release(self) -> None:
        """Leave the arm to whoever claims it next."""
        if self._exclusive:
            self._withdraw()

    def destroy(self) -> None:
        """Take the publishers back."""
        self._withdraw()
        if self._hand is not None:
            self._hand.destroy()

    def rivals(self) -> int:
        """How many others publish on the arm's topic; crisp_controllers then listen to nobody."""
        return max(0, self._node.count_publishers(self.topic) - (self.arm is not None))

    @property
    def problem(self) -> str:
        """What is wrong with the gripper's goals, where it is moved by actions; or empty."""
        return "" if self._hand is None else self._hand.problem

    @property
    def heard(self) -> bool:
        """Whether everybody who listens to the arm's topic would hear a command now."""
        listeners = self._node.count_subscribers(self.topic)
        return 0 < listeners <= self.arm.get_subscription_count()

    def stream(self, command: Array, stamp: Time) -> None:
        """Send one target (A,), due about now."""
        arm, names = command[:-1], self._contract.proprio.joint_names
        if self._kind is PoseStamped:
            self.arm.publish(self._stamped(arm, stamp))
        elif self._kind is JointState:
            self.arm.publish(to_joint_state(names, arm, stamp))
        else:
            self.arm.publish(to_trajectory(names, arm, stamp, self._ahead_s))

    def trajectory(self, start_s: float, motions: Sequence[Motion]) -> None:
        """Send a whole motion that ends at rest, the first of `motions` due at `start_s`."""
        message = JointTrajectory(joint_names=list(self._contract.proprio.joint_names))
        message.header.stamp = to_stamp(start_s)
        # The first point is where the arm is now: whoever receives it later has no use for it.
        for index, motion in enumerate(motions[1:] or motions, start=1):
            point = JointTrajectoryPoint(
                positions=motion.action[:-1].tolist(),
                velocities=motion.velocity.tolist(),
                accelerations=motion.acceleration.tolist(),
            )
            seconds, nano = divmod(round(index * PERIOD_S * 1e9), 1_000_000_000)
            point.time_from_start.sec, point.time_from_start.nanosec = seconds, nano
            message.points.append(point)
        self.arm.publish(message)

    def pose(self, pose: Array, stamp: Time) -> None:
        """Note the pose (7,) that what is sent gives the hand, where joints are sent."""
        if self._pose is not None:
            self._pose.publish(self._stamped(pose, stamp))

    def width(self, width: float, stamp: Time) -> None:
        """Send the gripper to a width, metres."""
        if self._hand is not None:
            self._hand.move(width)
        else:
            self._gripper.publish(self._gripper_message(width, stamp))
        if self._width is not None:
            self._width.publish(to_joint_state([GRIPPER_NAME], np.array([width]), stamp))

    def _stamped(self, pose: Array, stamp: Time) -> PoseStamped:
        header = Header(stamp=stamp, frame_id=self._contract.base_frame)
        return PoseStamped(header=header, pose=to_pose(pose))
