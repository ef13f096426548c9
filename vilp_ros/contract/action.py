"""What the arm and its gripper take, and how it reaches them."""

from __future__ import annotations

from dataclasses import dataclass, field

from vilp_ros.contract.names import a_latency, a_topic
from vilp_ros.contract.readers import (
    by,
    choice,
    factor,
    number,
)

ACTION_KINDS = ("ee_pose", "joint_position")
TRANSPORTS = ("target", "joint_trajectory", "crisp_pose", "crisp_joint")
GRIPPERS = ("topic", "float64_array", "gripper_command", "gripper_action", "franka_actions")


@dataclass(frozen=True)
class Action:
    """What the arm takes, always absolute targets.

    Attributes:
        kind: "ee_pose" (xyz, quaternion xyzw, gripper width) or "joint_position" (joints, width).
        gripper_topic: where the gripper hears, or the name of its action; with `gripper`
            "franka_actions" the namespace of the actions, such as "franka_gripper".
        latency_s: from sending a command to the arm acting on it; targets are sampled so far ahead.
        pose_topic: geometry_msgs/PoseStamped, where the hand shall be. Arms that take poses listen
            to it; where joints are sent it is for the record, so that bags have actions: a topic
            that no arm listens to. May be left out where it is not needed.
        joint_topic: trajectory_msgs/JointTrajectory, or sensor_msgs/JointState for "crisp_joint";
            may be left out where it is not needed.
        transport: how targets reach the arm. "target": each one as it is, PoseStamped or a
            JointTrajectory of one point. "joint_trajectory": smooth trajectories that end in a
            stop, for ros2_control or franka_driver. "crisp_pose", "crisp_joint": a smooth stream of
            PoseStamped or JointState for crisp_controllers.
        gripper: how widths reach it. "topic": sensor_msgs/JointState, "float64_array":
            std_msgs/Float64MultiArray, "gripper_command": control_msgs/GripperCommand, each with
            one number; "gripper_action": control_msgs' action GripperCommand; "franka_actions":
            move and grasp of franka_ros2.
        gripper_scale: times the number that is sent, plus `gripper_offset`, is the width in metres;
            left out, both are those of `proprio` (and franka_ros2's actions speak of metres).
        gripper_offset: metres between the fingers at 0.
        gripper_effort: N, of what closes with force, where the gripper is told that.
    """

    kind: str = field(metadata=by(choice(*ACTION_KINDS)))
    gripper_topic: str = field(metadata=by(a_topic))
    latency_s: float = field(metadata=by(a_latency))
    pose_topic: str | None = field(metadata=by(a_topic), default=None)
    joint_topic: str | None = field(metadata=by(a_topic), default=None)
    transport: str = field(metadata=by(choice(*TRANSPORTS)), default="target")
    gripper: str = field(metadata=by(choice(*GRIPPERS)), default="topic")
    gripper_scale: float | None = field(metadata=by(factor(1000)), default=None)
    gripper_offset: float = field(metadata=by(number(-1, 1, "m")), default=0.0)
    gripper_effort: float = field(metadata=by(number(0, 1000, "N", above=True)), default=20.0)

    @property
    def width_topic(self) -> str:
        """sensor_msgs/JointState of the wanted width: what the gripper hears, or for the record."""
        if self.gripper == "topic":
            return self.gripper_topic
        return f"{self.gripper_topic}/commanded_width"

    @property
    def sends(self) -> str:
        """What leaves for the arm: "ee_pose" or "joint_position"."""
        return {
            "joint_trajectory": "joint_position",
            "crisp_joint": "joint_position",
            "crisp_pose": "ee_pose",
        }.get(self.transport, self.kind)
