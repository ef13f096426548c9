"""Where the arm's own state comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from vilp_ros.contract.names import a_frame, a_latency, a_topic
from vilp_ros.contract.readers import (
    by,
    factor,
    number,
    some,
)


@dataclass(frozen=True)
class Proprio:
    """Where the arm's own state comes from.

    Attributes:
        joint_state_topic: sensor_msgs/JointState with at least `joint_names`.
        ee_pose_topic: geometry_msgs/PoseStamped of `ee_frame` in `base_frame`; left out, the pose
            is what the joints give `arm`.
        gripper_topic: sensor_msgs/JointState; may be `joint_state_topic`.
        joint_names: the arm's joints from base to flange, as many as it has.
        latency_s: from measurement to the header stamp.
        gripper_joint: whose position tells the width; left out, the first of the message.
        gripper_scale: times that position, plus `gripper_offset`, gives the metres between the
            fingers: 2 where a driver speaks of how far one finger is from the middle, as
            franka_ros2 does; below 0 where it grows as the hand closes. What is sent goes the
            other way, unless `action` has its own.
        gripper_offset: metres between the fingers at position 0.
    """

    joint_state_topic: str = field(metadata=by(a_topic))
    gripper_topic: str = field(metadata=by(a_topic))
    joint_names: tuple[str, ...] = field(metadata=by(some(a_frame)))
    latency_s: float = field(metadata=by(a_latency))
    ee_pose_topic: str | None = field(metadata=by(a_topic), default=None)
    gripper_joint: str | None = field(metadata=by(a_frame), default=None)
    gripper_scale: float = field(metadata=by(factor(10)), default=1.0)
    gripper_offset: float = field(metadata=by(number(-1, 1, "m")), default=0.0)
