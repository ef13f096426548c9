"""From numpy to standard messages; `vilp_ros.data.observe` goes the other way.

Stamps are seconds, rounded to the microsecond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from nav_msgs.msg import Path
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import ColorRGBA, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import Marker, MarkerArray

from vilp_ros.contract import Contract
from vilp_ros.data.observe import joints_by_name
from vilp_ros.data.robot_state import RobotState
from vilp_ros.ros.gripper_messages import GRIPPER_NAME

Array = NDArray[np.float64]
EE_NAMES = ("ee.x", "ee.y", "ee.z", "ee.qx", "ee.qy", "ee.qz", "ee.qw")
WIDTH_NAME = "gripper.width"


def to_stamp(stamp_s: float) -> Time:
    """Stamp of seconds, to the microsecond."""
    sec, micro = divmod(round(stamp_s * 1e6), 1_000_000)
    return Time(sec=sec, nanosec=micro * 1000)


def to_pose(pose: Sequence[float] | Array) -> Pose:
    """Pose message of (7,) xyz + quaternion xyzw."""
    x, y, z, qx, qy, qz, qw = (float(v) for v in pose)
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def to_joint_state(
    names: Sequence[str], position: Array, stamp: Time, velocity: Array | None = None
) -> JointState:
    """JointState of positions (J,) and, where known, velocities (J,)."""
    message = JointState(name=list(names), position=np.asarray(position, dtype=float).tolist())
    message.header.stamp = stamp
    if velocity is not None:
        message.velocity = np.asarray(velocity, dtype=float).tolist()
    return message


def to_gripper(contract: Contract, width: float, stamp: Time) -> JointState:
    """JointState of a gripper that is `width` metres open, as the contract has it."""
    name = contract.proprio.gripper_joint or GRIPPER_NAME
    return to_joint_state([name], np.array([contract.measured_width.number(width)]), stamp)


def pack_state(state: RobotState, joint_names: Sequence[str], stamp: Time) -> JointState:
    """One JointState that carries a whole `RobotState`."""
    position = np.concatenate([state.ee_pose, [state.gripper_width], state.joint_position])
    return to_joint_state([*EE_NAMES, WIDTH_NAME, *joint_names], position, stamp)


def unpack_state(message: JointState, joint_names: Sequence[str]) -> RobotState:
    """Inverse of `pack_state`.

    Raises:
        MessageError: A name is missing.
    """
    names = [*EE_NAMES, WIDTH_NAME, *joint_names]
    values = joints_by_name(message, message.position, names)
    return RobotState(values[:7], float(values[7]), values[8:])


def to_trajectory(
    names: Sequence[str], position: Array, stamp: Time, ahead_s: float
) -> JointTrajectory:
    """Trajectory of one point (J,), to be reached `ahead_s` after `stamp`."""
    message = JointTrajectory(joint_names=list(names))
    message.header.stamp = stamp
    point = JointTrajectoryPoint(positions=np.asarray(position, dtype=float).tolist())
    point.time_from_start.nanosec = round(ahead_s * 1e9)
    message.points = [point]
    return message


def to_camera_info(
    height: int, width: int, matrix: Array, stamp: Time, frame_id: str
) -> CameraInfo:
    """CameraInfo of a pinhole without distortion.

    Args:
        height: Pixels.
        width: Pixels.
        matrix: (3, 3) intrinsics.
        stamp: Of the image it belongs to.
        frame_id: Optical frame.
    """
    projection = np.hstack([matrix, np.zeros((3, 1))])
    return CameraInfo(
        header=Header(stamp=stamp, frame_id=frame_id),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=matrix.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=projection.ravel().tolist(),
    )


def to_path(poses: Array, stamp_s: float, period_s: float, frame_id: str) -> Path:
    """Path of (T, 7) poses, the first at `stamp_s`, one every `period_s`."""
    path = Path(header=Header(stamp=to_stamp(stamp_s), frame_id=frame_id))
    for k, pose in enumerate(poses):
        header = Header(stamp=to_stamp(stamp_s + k * period_s), frame_id=frame_id)
        path.poses.append(PoseStamped(header=header, pose=to_pose(pose)))
    return path


def to_markers(poses: Array, widths: Array, stamp: Time, frame_id: str) -> MarkerArray:
    """Planned path as a line and, at each pose, a bar as long as the gripper is open.

    Args:
        poses: (T, 7) in `frame_id`; the fingers open along the y axis of the pose.
        widths: (T,) metres.
        stamp: Of the observation the plan came from.
        frame_id: Robot base frame.
    """
    header = Header(stamp=stamp, frame_id=frame_id)
    line = Marker(header=header, ns="path", type=Marker.LINE_STRIP, action=Marker.ADD)
    line.scale.x = 0.004
    line.pose.orientation.w = 1.0
    markers = [line]
    for k, (pose, width) in enumerate(zip(poses, widths)):
        u = k / max(1, len(poses) - 1)
        colour = ColorRGBA(r=u, g=1.0 - 0.6 * u, b=0.2, a=1.0)  # green now, red at the horizon
        line.points.append(to_pose(pose).position)
        line.colors.append(colour)
        bar = Marker(header=header, ns="gripper", id=k, type=Marker.CUBE, action=Marker.ADD)
        bar.pose, bar.color = to_pose(pose), colour
        bar.scale.x, bar.scale.y, bar.scale.z = 0.006, max(float(width), 0.002), 0.006
        markers.append(bar)
    return MarkerArray(markers=markers)


def to_imagination(poses: Array, number: int, stamp: Time, frame_id: str) -> Marker:
    """Where the grip site would go in an imagination that is not executed: a pale line.

    Args:
        poses: (T, 7) in `frame_id`.
        number: Of the imagination; each has its own.
        stamp: Of the observation.
        frame_id: Robot base frame.
    """
    header = Header(stamp=stamp, frame_id=frame_id)
    line = Marker(header=header, ns="imagination", id=number, type=Marker.LINE_STRIP)
    line.scale.x = 0.002
    line.pose.orientation.w = 1.0
    line.color = ColorRGBA(r=0.6, g=0.7, b=1.0, a=0.6)
    line.points = [to_pose(pose).position for pose in poses]
    return line
