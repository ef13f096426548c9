"""One robot: the parts of its contract, and what must hold between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from vilp_ros.contract.action import Action
from vilp_ros.contract.arm import FRANKA_JOINTS, FRANKAS, Arm, an_arm
from vilp_ros.contract.hand import Width
from vilp_ros.contract.limits import Limits
from vilp_ros.contract.names import a_frame, a_name
from vilp_ros.contract.proprio import Proprio
from vilp_ros.contract.readers import (
    ContractError,
    Key,
    by,
    choice,
    number,
    parse_yaml,
    part,
    read,
)
from vilp_ros.contract.tool import Tool
from vilp_ros.contract.view import DEPTH_ENCODINGS, View


def _views(key: Key, value: Any) -> dict[str, View]:
    if not isinstance(value, dict) or not value:
        key.refuse(value or None, "a mapping with at least one view")
    names = [a_name(key, name) for name in value]
    return {name: part(View, name=name)(key.child(name), value[name]) for name in names}


def _in_one_message(*paths: str) -> bool:
    """The gripper's joint may stand beside the arm's."""
    return set(paths) == {"proprio.joint_state_topic", "proprio.gripper_topic"}


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
        arm: a URDF, or "fr3" or "panda": needed where `action.kind` is "ee_pose" and joints are
            sent, and where no topic tells the pose.
        tool: from its flange, or the URDF's `tip`, to `ee_frame`; left out, a Franka has its hand,
            and `tip` is `ee_frame`.
    """

    robot: str = field(metadata=by(a_name))
    base_frame: str = field(metadata=by(a_frame))
    ee_frame: str = field(metadata=by(a_frame))
    views: dict[str, View] = field(metadata=by(_views))
    proprio: Proprio = field(metadata=by(part(Proprio)))
    action: Action = field(metadata=by(part(Action)))
    control_period_s: float = field(metadata=by(number(0.001, 1, "s")))
    limits: Limits = field(metadata=by(part(Limits)))
    safe_action: str = field(metadata=by(choice("hold")), default="hold")
    staleness_s: float = field(metadata=by(number(0.02, 5, "s")), default=0.3)
    arm: str | Arm | None = field(metadata=by(an_arm), default=None)
    tool: Tool | None = field(metadata=by(part(Tool)), default=None)

    def action_size(self, kind: str) -> int:
        """Numbers of an action: "ee_pose" has 8, "joint_position" one more than joints."""
        return 8 if kind == "ee_pose" else len(self.proprio.joint_names) + 1

    @property
    def measured_width(self) -> Width:
        """Of what the gripper says of itself."""
        return Width(self.proprio.gripper_scale, self.proprio.gripper_offset)

    @property
    def commanded_width(self) -> Width:
        """Of what the gripper is told on `action.gripper_topic`."""
        if self.action.gripper_scale is not None:
            return Width(self.action.gripper_scale, self.action.gripper_offset)
        return Width() if self.action.gripper == "franka_actions" else self.measured_width

    @property
    def recorded_width(self) -> Width:
        """Of `action.width_topic`."""
        return self.commanded_width if self.action.gripper == "topic" else Width()

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
        self._check_joints(key)
        self._check_gripper(key)
        if self.proprio.ee_pose_topic is None and self.arm is None:
            pose = key.child("proprio").child("ee_pose_topic")
            pose.refuse(None, "a topic name, or beside `arm` none: its joints give the pose")
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
            if view.crop is not None:
                top, left, height, width = view.crop
                inside = top + height <= view.published[0] and left + width <= view.published[1]
                if not inside or height < view.height or width < view.width:
                    crop = key.child("views").child(name).child("crop")
                    allowed = f"[top, left, height, width] within {list(view.published)}, at least "
                    crop.refuse(list(view.crop), f"{allowed}the view's {view.height}x{view.width}")
        self._refuse_shared_topics(key)

    def _check_joints(self, key: Key) -> None:
        """All that is said of joints is said of the same number of them, which most agree on."""
        joints = list(self.proprio.joint_names)
        said: dict[Key, Any] = {key.child("proprio").child("joint_names"): joints}
        for name, value in vars(self.limits).items():
            if name.startswith("joint_") and value is not None:
                said[key.child("limits").child(name)] = list(value)
        (count, _), *others = Counter(map(len, said.values())).most_common()
        if isinstance(self.arm, str) and count != FRANKA_JOINTS:
            key.child("arm").refuse(self.arm, f"a URDF, since the contract has {count} joints")
        for here, values in said.items():
            if others and len(values) != count:
                here.refuse(values, f"a list of {count}, as many as there are joints elsewhere")
        if len(set(joints)) < count:
            next(iter(said)).refuse(joints, f"{count} different names")

    def _check_gripper(self, key: Key) -> None:
        proprio, action = self.proprio, self.action
        if proprio.gripper_topic == proprio.joint_state_topic and proprio.gripper_joint is None:
            joint = key.child("proprio").child("gripper_joint")
            joint.refuse(None, "the gripper's joint, since its topic is joint_state_topic")
        if action.gripper_offset and action.gripper_scale is None:
            scale = key.child("action").child("gripper_scale")
            scale.refuse(None, "a number, since action.gripper_offset is given")

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
                key.child("arm").refuse(None, f"one of {list(FRANKAS)} or a URDF, since {why}")
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
                    if topic in owners and not _in_one_message(here.path, owners[topic]):
                        here.refuse(topic, f"a topic that {owners[topic]} does not name already")
                    owners[topic] = here.path
