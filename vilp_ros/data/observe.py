"""From messages of cameras and arm to observations: one piece of code, live and from bags.

The observation node hands it what rclpy delivers, the converter what a bag holds. So training sees
what the robot will see, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Contract
from vilp_ros.data.pixels import rgb_pixels
from vilp_ros.data.robot_state import RobotState, blend_linear, blend_pose
from vilp_ros.data.synchroniser import Synchroniser
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of

Array = NDArray[np.float64]
SLOP_S = 0.025
"""Between views, unless one of them is slower than that: free-running cameras of 10 Hz are up to
50 ms apart."""
STATES = ("ee_pose", "gripper", "joints")
"""Parts of the arm's state."""
STATE_KINDS = {
    "ee_pose": "geometry_msgs/msg/PoseStamped",
    "gripper": "sensor_msgs/msg/JointState",
    "joints": "sensor_msgs/msg/JointState",
}


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


def pose_in(message: Any, base: str) -> Array:
    """(7,) of a geometry_msgs/PoseStamped in the frame of the arm's base.

    Raises:
        MessageError: it names another frame.
    """
    if message.header.frame_id not in ("", base):
        raise MessageError(f"frame '{message.header.frame_id}', the contract promises '{base}'")
    return from_pose(message.pose)


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


def width_of(message: Any, contract: Contract) -> float:
    """Metres between the fingers, of a JointState of the gripper.

    Raises:
        MessageError: its joint is missing, or there is none.
    """
    joint = contract.proprio.gripper_joint
    if joint is not None:
        (position,) = joints_by_name(message, message.position, [joint])
    elif not len(message.position):
        raise MessageError("message without position[0]")
    else:
        position = message.position[0]
    return contract.measured_width.metres(float(position))


def slop(contract: Contract) -> float:
    """Seconds that may lie between the views of one observation."""
    return max(SLOP_S, *(0.5 / view.rate_hz for view in contract.views.values()))


class Observer:
    """Joins what belongs to one instant.

    Latencies of the contract are taken off the stamps first, so that an observation's stamp is when
    the picture was true.

    Args:
        contract: of the robot.
        slop_s: largest time between the views of one observation; 0: `slop` of the contract.

    Attributes:
        topics: channel (a view, or one of `STATES`) by topic of the contract. Where the gripper is
            a joint beside the arm's, its topic is that of "joints"; where no topic tells the pose,
            "joints" gives it.
        kinds: type of the messages by channel.
        told: parts of the state that messages tell, not `arm`'s kinematics.

    Raises:
        VilpError: the pose comes from the joints, and the contract's arm cannot be used.
    """

    def __init__(self, contract: Contract, slop_s: float = 0.0) -> None:
        self._contract, proprio = contract, contract.proprio
        self._kinematics = None if proprio.ee_pose_topic is not None else kinematics_of(contract)
        self.told = STATES if self._kinematics is None else STATES[1:]
        blends = {name: blend_pose if name == "ee_pose" else blend_linear for name in self.told}
        self._synchroniser: Synchroniser[NDArray] = Synchroniser(
            contract.views, blends, slop_s or slop(contract), contract.staleness_s
        )
        self.topics = {view.topic: name for name, view in contract.views.items()}
        if proprio.ee_pose_topic is not None:
            self.topics[proprio.ee_pose_topic] = "ee_pose"
        self.topics |= {proprio.gripper_topic: "gripper", proprio.joint_state_topic: "joints"}
        self._shared = proprio.gripper_topic == proprio.joint_state_topic
        self._met = False  # the arm's joints have come once
        self._named: set[str] = set()
        self.kinds = {name: view.message_kind for name, view in contract.views.items()}
        self.kinds |= STATE_KINDS

    def read(self, channel: str, message: Any) -> tuple[float, dict[str, NDArray]]:
        """When a message was true, and what it says.

        Args:
            channel: one of `topics`.
            message: of the type that `kinds` names.

        Returns:
            Stamp, and values by view or part of the state. None are there if others than the arm
            and its gripper publish their joints on that topic too, and this is theirs.

        Raises:
            VilpError: it is not what the contract promises, or not finite.
        """
        proprio, stamp_s = self._contract.proprio, seconds(message.header.stamp)
        if stamp_s == 0:
            raise MessageError("the header bears no stamp: make the driver set it")
        if view := self._contract.views.get(channel):
            return round(stamp_s - view.latency_s, 6), {channel: rgb_pixels(view, message)}
        parts = self._joints(message) if channel == "joints" else self._part(channel, message)
        for name, value in parts.items():
            if not np.isfinite(value).all():
                where = "" if name == channel else f"{name} is "
                raise MessageError(f"{where}not finite: {value.tolist()}")
        if "joints" in parts and self._kinematics is not None:
            parts["ee_pose"] = self._kinematics.forward(parts["joints"])
        return round(stamp_s - proprio.latency_s, 6), parts

    def add(self, stamp_s: float, parts: Mapping[str, NDArray]) -> list[Observation]:
        """Takes what `read` returned; the observations that it completes, oldest first."""
        found = []
        for name, value in parts.items():
            if name in STATES and name not in self.told:
                continue
            for at_s, complete in self._synchroniser.add(name, stamp_s, value):
                images = {view: complete[view] for view in self._contract.views}
                found.append(Observation(at_s, images, self._state(complete)))
        return found

    def lacks(self) -> str:
        """The first joint of the contract that no message has named yet, as a phrase; or empty."""
        proprio = self._contract.proprio
        wanted = dict.fromkeys(proprio.joint_names, "joint_names")
        if self._shared and proprio.gripper_joint is not None:
            wanted[proprio.gripper_joint] = "gripper_joint"
        missing = [name for name in wanted if name not in self._named]
        if not (missing and self._named):
            return ""
        return (
            f"no message of {proprio.joint_state_topic} names joint '{missing[0]}' "
            f"(proprio.{wanted[missing[0]]}); they name {', '.join(sorted(self._named))}"
        )

    def state(self, stamp_s: float) -> RobotState | None:
        """The arm's state at a time of the last seconds, observed or not; None if not known."""
        parts = self._synchroniser.state(stamp_s)
        return None if parts is None else self._state(parts)

    def _state(self, parts: Mapping[str, NDArray]) -> RobotState:
        joints = parts["joints"]
        pose = parts["ee_pose"] if self._kinematics is None else self._kinematics.forward(joints)
        return RobotState(pose, float(parts["gripper"][0]), joints)

    def _part(self, channel: str, message: Any) -> dict[str, NDArray]:
        if channel == "gripper":
            return {"gripper": np.array([width_of(message, self._contract)])}
        return {"ee_pose": pose_in(message, self._contract.base_frame)}

    def _joints(self, message: Any) -> dict[str, NDArray]:
        """Of the arm, and of the gripper beside it; each may have messages of its own."""
        names, parts = self._contract.proprio.joint_names, {}
        self._named.update(message.name)
        if self._shared and self._contract.proprio.gripper_joint in message.name:
            parts["gripper"] = np.array([width_of(message, self._contract)])
        if set(names) & set(message.name) or not (parts or self._met):
            parts["joints"] = joints_by_name(message, message.position, names)
            self._met = True
        return parts
