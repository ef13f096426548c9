"""From messages of cameras and arm to observations: one piece of code, live and from bags.

The observation node hands it what rclpy delivers, the converter what a bag holds. So training sees
what the robot will see, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Contract
from vilp_ros.data.pixels import rgb_pixels
from vilp_ros.data.robot_state import RobotState, blend_linear, blend_pose
from vilp_ros.data.synchroniser import Synchroniser
from vilp_ros.errors import VilpError

Array = NDArray[np.float64]
SLOP_S = 0.025
STATES = ("ee_pose", "gripper", "joints")


class MessageError(VilpError):
    """A message that lacks what it should carry."""


class Observation(NamedTuple):
    """What the robot knows at one instant.

    Attributes:
        stamp_s: when the oldest of the images was exposed.
        images: per view (H, W, 3) uint8 rgb, in the order of the contract.
        state: of the arm, read at that time.
    """

    stamp_s: float
    images: dict[str, NDArray[np.uint8]]
    state: RobotState


def seconds(stamp: Any) -> float:
    """Seconds of a builtin_interfaces/Time, to the microsecond.

    A float64 carries whole microseconds of the present epoch exactly, so a stamp that went through
    the pure rooms comes back equal to the one that came in.
    """
    return round(stamp.sec + stamp.nanosec * 1e-9, 6)


def from_pose(pose: Any) -> Array:
    """(7,) xyz + quaternion xyzw of a geometry_msgs/Pose."""
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def joints_by_name(message: Any, values: Sequence[float], names: Sequence[str]) -> Array:
    """Values in the order of `names`, whatever the order of the message.

    Args:
        message: sensor_msgs/JointState or trajectory_msgs/JointTrajectory, for its names.
        values: one for each of them.
        names: wanted.

    Raises:
        MessageError: a joint is missing, or names and values differ in number.
    """
    found = list(message.name if hasattr(message, "name") else message.joint_names)
    if len(found) != len(values):
        raise MessageError(f"message names {len(found)} joints but carries {len(values)} values")
    if found == list(names):
        return np.array(values, dtype=np.float64)
    missing = [name for name in names if name not in found]
    if missing:
        raise MessageError(f"joint '{missing[0]}' is missing; the message has {found}")
    return np.array([values[found.index(name)] for name in names], dtype=np.float64)


class Observer:
    """Joins what belongs to one instant.

    Latencies of the contract are taken off the stamps first, so that an observation's stamp is when
    the picture was true.

    Args:
        contract: of the robot.
        slop_s: largest time between the parts of one observation.
    """

    def __init__(self, contract: Contract, slop_s: float = SLOP_S) -> None:
        self._contract, proprio = contract, contract.proprio
        self._synchroniser: Synchroniser[NDArray] = Synchroniser(
            contract.views,
            {"ee_pose": blend_pose, "gripper": blend_linear, "joints": blend_linear},
            slop_s,
        )
        self.topics = {view.topic: name for name, view in contract.views.items()} | {
            proprio.ee_pose_topic: "ee_pose",
            proprio.gripper_topic: "gripper",
            proprio.joint_state_topic: "joints",
        }

    def read(self, channel: str, message: Any) -> tuple[float, NDArray]:
        """When a message was true, and what it says.

        Args:
            channel: a view, or one of `STATES`.
            message: sensor_msgs/Image, geometry_msgs/PoseStamped (`ee_pose`) or
                sensor_msgs/JointState.

        Raises:
            VilpError: it is not what the contract promises, or not finite.
        """
        proprio, stamp_s = self._contract.proprio, seconds(message.header.stamp)
        if stamp_s == 0:
            raise MessageError("the header bears no stamp: make the driver set it")
        if view := self._contract.views.get(channel):
            return round(stamp_s - view.latency_s, 6), rgb_pixels(view, message)
        value = self._state(channel, message)
        if not np.isfinite(value).all():
            raise MessageError(f"not finite: {value.tolist()}")
        return round(stamp_s - proprio.latency_s, 6), value

    def add(self, channel: str, stamp_s: float, value: NDArray) -> Observation | None:
        """Takes what `read` returned; the observation that it completes, if it does."""
        complete = self._synchroniser.add(channel, stamp_s, value)
        if complete is None:
            return None
        stamp_s, parts = complete
        state = RobotState(parts["ee_pose"], float(parts["gripper"][0]), parts["joints"])
        return Observation(stamp_s, {name: parts[name] for name in self._contract.views}, state)

    def _state(self, channel: str, message: Any) -> Array:
        if channel == "ee_pose":
            base = self._contract.base_frame
            if message.header.frame_id not in ("", base):
                raise MessageError(
                    f"frame '{message.header.frame_id}', the contract promises '{base}'"
                )
            return from_pose(message.pose)
        if channel == "gripper":
            if not len(message.position):
                raise MessageError("message without position[0]")
            scale = self._contract.proprio.gripper_scale
            return np.array([message.position[0] * scale], dtype=np.float64)
        return joints_by_name(message, message.position, self._contract.proprio.joint_names)
