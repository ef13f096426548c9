"""What a robot gives and takes: views, proprioception, action space, rates, latencies, limits.

One YAML file per robot in `config/robots/`. It is read whole and checked before anything starts, so
that a wrong key is a sentence at launch and not a surprise in motion. Poses are in `base_frame`,
metres and radians, quaternions xyzw. Topic names may be relative, so that a namespace moves them.

Each field below carries the reader that checks it: the classes are the schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from vilp_ros.contract.readers import (
    ContractError,
    Key,
    by,
    choice,
    interval,
    many,
    named,
    number,
    parse_yaml,
    part,
    read,
    text,
    whole,
)

__all__ = [
    "ACTION_KINDS",
    "ARMS",
    "GRIPPERS",
    "TRANSPORTS",
    "Action",
    "Contract",
    "ContractError",
    "Limits",
    "Proprio",
    "View",
]

ACTION_KINDS = ("ee_pose", "joint_position")
TRANSPORTS = ("target", "joint_trajectory", "crisp_pose", "crisp_joint")
GRIPPERS = ("topic", "franka_actions")
ARMS = ("fr3", "panda")
DEPTH_ENCODINGS = ("32FC1", "16UC1")
"""Metres, and millimetres as the drivers of RealSense publish them."""
ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", *DEPTH_ENCODINGS)
JOINTS = 7

_name = text(r"[A-Za-z_]\w*", "a name of letters, digits and underscores")
_topic = text(r"(/|~/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", "a topic name such as 'agentview/image_raw'")
_latency = number(0, 1, "s")


@dataclass(frozen=True)
class View:
    """One camera.

    Attributes:
        name: what policies call it.
        topic: sensor_msgs/Image.
        info_topic: sensor_msgs/CameraInfo.
        height: pixels that policies see.
        width: pixels that policies see.
        encoding: one of `ENCODINGS`.
        reliability: QoS of the subscription, "best_effort" or "reliable".
        depth: QoS history depth.
        rate_hz: frames per second that the driver promises.
        latency_s: from exposure to the header stamp.
        depth_range_m: (near, far) of a depth camera, and of no other; depth is clipped to it and
            becomes a grey picture of 255 steps (`vilp_ros.data.depth`). Part of what a policy
            learned: keep it.
        camera_size: (height, width) that the driver publishes, where that is larger: the middle of
            it, in the view's proportions, is scaled to the view. Recorded as it comes.
    """

    name: str
    topic: str = field(metadata=by(_topic))
    info_topic: str = field(metadata=by(_topic))
    height: int = field(metadata=by(whole(16, 4096)))
    width: int = field(metadata=by(whole(16, 4096)))
    encoding: str = field(metadata=by(choice(*ENCODINGS)))
    reliability: str = field(metadata=by(choice("best_effort", "reliable")))
    depth: int = field(metadata=by(whole(1, 100)))
    rate_hz: float = field(metadata=by(number(0, 1000, "Hz", above=True)))
    latency_s: float = field(metadata=by(_latency))
    depth_range_m: tuple[float, float] | None = field(
        metadata=by(interval(0, 65, "m")), default=None
    )
    camera_size: tuple[int, int] | None = field(metadata=by(many(whole(16, 4096), 2)), default=None)

    @property
    def published(self) -> tuple[int, int]:
        """(height, width) of the messages."""
        return self.camera_size or (self.height, self.width)


@dataclass(frozen=True)
class Proprio:
    """Where the arm's own state comes from.

    Attributes:
        joint_state_topic: sensor_msgs/JointState with at least `joint_names`.
        ee_pose_topic: geometry_msgs/PoseStamped of `ee_frame` in `base_frame`.
        gripper_topic: sensor_msgs/JointState, position[0] = metres between the fingers.
        joint_names: the arm's joints from base to flange.
        latency_s: from measurement to the header stamp.
        gripper_scale: times position[0] gives the metres between the fingers; 2 where a driver
            publishes how far one finger is from the middle, as franka_ros2 does.
    """

    joint_state_topic: str = field(metadata=by(_topic))
    ee_pose_topic: str = field(metadata=by(_topic))
    gripper_topic: str = field(metadata=by(_topic))
    joint_names: tuple[str, ...] = field(metadata=by(many(_name, JOINTS)))
    latency_s: float = field(metadata=by(_latency))
    gripper_scale: float = field(metadata=by(number(0, 10, "", above=True)), default=1.0)


@dataclass(frozen=True)
class Action:
    """What the arm takes, always absolute targets.

    Attributes:
        kind: "ee_pose" (xyz, quaternion xyzw, gripper width) or "joint_position" (7 joints, width).
        gripper_topic: sensor_msgs/JointState, position[0] = metres between the fingers; with
            `gripper` "franka_actions" the namespace of the actions, such as "franka_gripper".
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
        gripper: "topic", or "franka_actions" of franka_ros2.
    """

    kind: str = field(metadata=by(choice(*ACTION_KINDS)))
    gripper_topic: str = field(metadata=by(_topic))
    latency_s: float = field(metadata=by(_latency))
    pose_topic: str | None = field(metadata=by(_topic), default=None)
    joint_topic: str | None = field(metadata=by(_topic), default=None)
    transport: str = field(metadata=by(choice(*TRANSPORTS)), default="target")
    gripper: str = field(metadata=by(choice(*GRIPPERS)), default="topic")

    @property
    def width_topic(self) -> str:
        """sensor_msgs/JointState of the wanted width; for the record where that is an action."""
        if self.gripper == "franka_actions":
            return f"{self.gripper_topic}/commanded_width"
        return self.gripper_topic

    @property
    def sends(self) -> str:
        """What leaves for the arm: "ee_pose" or "joint_position"."""
        return {
            "joint_trajectory": "joint_position",
            "crisp_joint": "joint_position",
            "crisp_pose": "ee_pose",
        }.get(self.transport, self.kind)


@dataclass(frozen=True)
class Limits:
    """What no command may exceed. The allowed ranges are loose: they catch millimetres and degrees.

    Attributes:
        workspace: {"x": (lo, hi), "y": ..., "z": ...} of `ee_frame` in `base_frame`, metres.
        ee_speed: m/s.
        ee_angular_speed: rad/s.
        gripper_width: (lo, hi) metres.
        joint_position: (lo, hi) radians for each joint.
        joint_velocity: rad/s for each joint.
        joint_acceleration: rad/s^2 for each joint; with `joint_jerk` commands in joints are smooth.
        joint_jerk: rad/s^3 for each joint.
        ee_acceleration: m/s^2; with the three below commands of poses are smooth.
        ee_angular_acceleration: rad/s^2.
        ee_jerk: m/s^3.
        ee_angular_jerk: rad/s^3.
        precheck: what becomes of a plan that would break a limit: "off" (each command is clamped
            as it leaves), "slow" (stretched in time, held in a range that it grazes, else refused),
            "refuse".
        start_distance_m: how far from the hand a plan may start, with a pre-check.
        start_distance_rad: how far from any joint.
    """

    workspace: dict[str, tuple[float, float]] = field(
        metadata=by(named(interval(-3, 3, "m"), *"xyz"))
    )
    ee_speed: float = field(metadata=by(number(0, 3, "m/s", above=True)))
    ee_angular_speed: float = field(metadata=by(number(0, 10, "rad/s", above=True)))
    gripper_width: tuple[float, float] = field(metadata=by(interval(0, 0.3, "m")))
    joint_position: tuple[tuple[float, float], ...] = field(
        metadata=by(many(interval(-6.3, 6.3, "rad"), JOINTS))
    )
    joint_velocity: tuple[float, ...] = field(
        metadata=by(many(number(0, 10, "rad/s", above=True), JOINTS))
    )
    joint_acceleration: tuple[float, ...] | None = field(
        metadata=by(many(number(0, 50, "rad/s^2", above=True), JOINTS)), default=None
    )
    joint_jerk: tuple[float, ...] | None = field(
        metadata=by(many(number(0, 2e4, "rad/s^3", above=True), JOINTS)), default=None
    )
    ee_acceleration: float | None = field(
        metadata=by(number(0, 50, "m/s^2", above=True)), default=None
    )
    ee_angular_acceleration: float | None = field(
        metadata=by(number(0, 100, "rad/s^2", above=True)), default=None
    )
    ee_jerk: float | None = field(metadata=by(number(0, 2e4, "m/s^3", above=True)), default=None)
    ee_angular_jerk: float | None = field(
        metadata=by(number(0, 2e4, "rad/s^3", above=True)), default=None
    )
    precheck: str = field(metadata=by(choice("off", "slow", "refuse")), default="off")
    start_distance_m: float = field(metadata=by(number(0, 1, "m", above=True)), default=0.15)
    start_distance_rad: float = field(metadata=by(number(0, 3, "rad", above=True)), default=0.5)

    def dynamic(self, kind: str) -> bool:
        """Whether accelerations and jerks are given for a kind of action."""
        if kind == "joint_position":
            return self.joint_acceleration is not None and self.joint_jerk is not None
        linear, angular = self.ee_acceleration, self.ee_angular_acceleration
        return None not in (linear, angular, self.ee_jerk, self.ee_angular_jerk)


def _views(key: Key, value: Any) -> dict[str, View]:
    if not isinstance(value, dict) or not value:
        key.refuse(value or None, "a mapping with at least one view")
    names = [_name(key, name) for name in value]
    return {name: part(View, name=name)(key.child(name), value[name]) for name in names}


@dataclass(frozen=True)
class Contract:
    """One robot. See the classes of its parts for their units.

    Attributes:
        robot: name of the robot.
        base_frame: frame of every pose.
        ee_frame: frame between the fingertips, which poses place.
        views: cameras by name, in the order of the file.
        proprio: state topics.
        action: action space and command topics.
        control_period_s: duration of one action.
        limits: what no command may exceed.
        safe_action: what the arm does when inputs are lost or a command is refused.
        staleness_s: age at which an input counts as lost.
        arm: "fr3" or "panda", for inverse kinematics: needed where `action.kind` is "ee_pose" and
            joints are sent.
    """

    robot: str = field(metadata=by(_name))
    base_frame: str = field(metadata=by(_name))
    ee_frame: str = field(metadata=by(_name))
    views: dict[str, View] = field(metadata=by(_views))
    proprio: Proprio = field(metadata=by(part(Proprio)))
    action: Action = field(metadata=by(part(Action)))
    control_period_s: float = field(metadata=by(number(0.001, 1, "s")))
    limits: Limits = field(metadata=by(part(Limits)))
    safe_action: str = field(metadata=by(choice("hold")), default="hold")
    staleness_s: float = field(metadata=by(number(0.02, 5, "s")), default=0.3)
    arm: str | None = field(metadata=by(choice(*ARMS)), default=None)

    @classmethod
    def load(cls, path: str | Path) -> Contract:
        """Read and check a contract.

        Args:
            path: YAML file.

        Raises:
            ContractError: if the file is missing, not YAML, or a key is missing, unknown or wrong.
        """
        path = Path(path)
        return cls.parse(read(path), path.name)

    @classmethod
    def parse(cls, text: str, name: str) -> Contract:
        """Check a contract that was read already.

        Args:
            text: YAML.
            name: what errors call it.

        Raises:
            ContractError: if it is not YAML, or a key is missing, unknown or wrong.
        """
        key = Key(name)
        contract: Contract = part(cls)(key, parse_yaml(text, name))
        contract._check_parts_together(key)
        return contract

    def check_bundle(self, spec: Mapping[str, Any]) -> None:
        """Check that a policy bundle was made for this robot, before any weight is loaded.

        The contract may have more views than the bundle reads.

        Args:
            spec: the bundle's `views` {name: (height, width)}, `depth_range_m` {name: (near, far)}
                of its depth views, `action_kind`, `control_period_s`.

        Raises:
            ContractError: naming what the bundle expects and what the contract provides.
        """

        def refuse(expects: str, provides: str, cure: str) -> NoReturn:
            raise ContractError(
                f"bundle expects {expects}; contract {self.robot} provides {provides}"
                f" - {cure} or choose another model"
            )

        expected = {name: f"{size[0]}x{size[1]}" for name, size in spec["views"].items()}
        missing = [name for name in expected if name not in self.views]
        if missing:
            sizes = " and ".join(sorted(set(expected.values())))
            cure = f"add {' and '.join(map(repr, missing))}"
            refuse(f"views {list(expected)} at {sizes}", str(list(self.views)), cure)
        for name, size in expected.items():
            provided = f"{self.views[name].height}x{self.views[name].width}"
            if size != provided:
                refuse(f"view '{name}' at {size}", provided, f"change views.{name}")
            trained, given = spec["depth_range_m"].get(name), self.views[name].depth_range_m
            if trained != given:
                says = "{0[0]:g} to {0[1]:g} m deep".format
                refuse(
                    f"view '{name}' {says(trained) if trained else 'in colour'}",
                    says(given) if given else "colour",
                    f"change views.{name}",
                )
        if spec["action_kind"] != self.action.kind:
            refuse(
                f"action kind '{spec['action_kind']}'",
                f"'{self.action.kind}'",
                "change action.kind",
            )
        if not math.isclose(spec["control_period_s"], self.control_period_s, rel_tol=1e-3):
            expects, provides = spec["control_period_s"], self.control_period_s
            refuse(f"a control period of {expects} s", f"{provides} s", "change control_period_s")

    def _check_parts_together(self, key: Key) -> None:
        self._check_transport(key, self.action)
        if len(set(self.proprio.joint_names)) < JOINTS:
            names = key.child("proprio").child("joint_names")
            names.refuse(list(self.proprio.joint_names), f"{JOINTS} different names")
        for name, view in self.views.items():
            if view.rate_hz * self.staleness_s <= 1:
                rate = key.child("views").child(name).child("rate_hz")
                slowest = f"above 1 / staleness_s = {1 / self.staleness_s:.3g} Hz"
                rate.refuse(view.rate_hz, f"{slowest}, or every frame is stale")
            depth = view.encoding in DEPTH_ENCODINGS
            if depth == (view.depth_range_m is None):
                allowed = "[near, far] in metres" if depth else "for depth cameras only"
                range_m = key.child("views").child(name).child("depth_range_m")
                range_m.refuse(view.depth_range_m, f"{allowed}, and encoding is {view.encoding}")
            if view.published[0] < view.height or view.published[1] < view.width:
                size = key.child("views").child(name).child("camera_size")
                allowed = f"[height, width], at least [{view.height}, {view.width}] of the view"
                size.refuse(list(view.published), allowed)
        self._refuse_shared_topics(key)

    def _check_transport(self, key: Key, action: Action) -> None:
        reason = f"action.kind is '{action.kind}'"
        if action.transport != "target":
            reason = f"action.transport is '{action.transport}'"
        needed = "pose_topic" if action.sends == "ee_pose" else "joint_topic"
        if getattr(action, needed) is None:
            key.child("action").child(needed).refuse(None, f"a topic name, since {reason}")
        if action.sends != action.kind:
            if action.sends == "ee_pose":
                kind = key.child("action").child("kind")
                kind.refuse(action.kind, f"'ee_pose', since {reason}")
            if self.arm is None:
                why = f"{reason} and inverse kinematics is needed"
                key.child("arm").refuse(None, f"one of {list(ARMS)}, since {why}")
        # crisp_controllers listen to both: a record there would move the arm.
        if action.transport == "crisp_joint" and (action.pose_topic or "").endswith("target_pose"):
            topic = key.child("action").child("pose_topic")
            topic.refuse(action.pose_topic, f"another, such as 'commanded_pose', since {reason}")
        if action.transport != "target" and not self.limits.dynamic(action.sends):
            names = "joint_acceleration and joint_jerk"
            if action.sends == "ee_pose":
                names = "ee_acceleration, ee_angular_acceleration, ee_jerk and ee_angular_jerk"
            key.child("limits").refuse(None, f"{names} as well, since {reason}")

    def _refuse_shared_topics(self, key: Key) -> None:
        # A copied block with a forgotten topic would feed one camera to two views.
        owners: dict[str, str] = {}
        blocks: dict[str, object] = {f"views.{name}": view for name, view in self.views.items()}
        for path, block in (blocks | {"proprio": self.proprio, "action": self.action}).items():
            for name, topic in vars(block).items():
                if name.endswith("topic") and topic is not None:
                    here = key.child(path).child(name)
                    if topic in owners:
                        here.refuse(topic, f"a topic that {owners[topic]} does not name already")
                    owners[topic] = here.path
