"""The camera subscriber: views and robot state of one instant, in two messages."""

from __future__ import annotations

from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from vilp_ros.contract import Contract, View
from vilp_ros.data.robot_state import RobotState, blend_linear, blend_pose
from vilp_ros.data.synchroniser import Synchroniser
from vilp_ros.errors import VilpError
from vilp_ros.nodes import qos
from vilp_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics, Rate, Report
from vilp_ros.nodes.files import find_contract
from vilp_ros.nodes.freshness import Freshness
from vilp_ros.nodes.images import ImageError, to_array, to_message
from vilp_ros.nodes.messages import (
    MessageError,
    from_pose,
    joints_by_name,
    pack_state,
    seconds,
    to_stamp,
)
from vilp_ros.nodes.parameters import OBSERVATION, declare
from vilp_ros.nodes.process import run

Array = NDArray[np.float64]


class ObservationNode(Node):
    """Publishes `~/views` and `~/state` with the same stamp for each complete observation.

    Views are stacked in the order of the contract, rgb8, (V*H, W). The state is read at the time of
    the views. Latencies of the contract are taken off the stamps first, so the stamp that leaves is
    when the picture was true. A view of another size or encoding is refused by name and counts as
    lost until a right one comes.
    """

    def __init__(self) -> None:
        super().__init__("observation")
        self.exit_code: int | None = None
        self.loading = False
        settings = declare(self, OBSERVATION)
        self._contract = contract = Contract.load(find_contract(settings.contract))
        sizes = {name: (view.height, view.width) for name, view in contract.views.items()}
        if len(set(sizes.values())) > 1:
            raise VilpError(f"views are stacked and must have one size; the contract has {sizes}")
        states = {"ee_pose": blend_pose, "gripper": blend_linear, "joints": blend_linear}
        self._synchroniser = Synchroniser(contract.views, states, settings.slop_s)
        self._freshness = Freshness([*contract.views, *states], contract.staleness_s)
        self._observed = Freshness(["observation"], contract.staleness_s)
        self._rate = Rate()
        self._views = self.create_publisher(Image, "~/views", qos.LATEST)
        self._state = self.create_publisher(JointState, "~/state", qos.LATEST)
        self._subscribe()
        self._diagnostics = Diagnostics(self, self._report, contract.robot)

    def close(self) -> None:
        """Nothing runs beside the executor."""

    def _subscribe(self) -> None:
        for view in self._contract.views.values():
            callback = partial(self._on_view, view)
            self.create_subscription(Image, view.topic, callback, qos.camera(view))
        proprio, depth = self._contract.proprio, qos.STATE_IN
        self.create_subscription(PoseStamped, proprio.ee_pose_topic, self._on_ee_pose, depth)
        self.create_subscription(JointState, proprio.gripper_topic, self._on_gripper, depth)
        self.create_subscription(JointState, proprio.joint_state_topic, self._on_joints, depth)

    def _on_view(self, view: View, message: Image) -> None:
        found = (message.height, message.width, message.encoding)
        if found != (view.height, view.width, view.encoding):
            self._freshness.refused(
                view.name,
                f"found {message.height}x{message.width} {message.encoding}, the contract promises "
                f"{view.height}x{view.width} {view.encoding}",
            )
            return
        try:
            pixels = to_array(message, "rgb8")
        except ImageError as error:
            self._freshness.refused(view.name, str(error))
            return
        self._add(view.name, seconds(message.header.stamp) - view.latency_s, pixels)

    def _on_ee_pose(self, message: PoseStamped) -> None:
        base = self._contract.base_frame
        if message.header.frame_id not in ("", base):
            why = f"frame '{message.header.frame_id}', the contract promises '{base}'"
            self._freshness.refused("ee_pose", why)
            return
        self._add_state("ee_pose", message, from_pose(message.pose))

    def _on_gripper(self, message: JointState) -> None:
        if not message.position:
            self._freshness.refused("gripper", "message without position[0]")
            return
        self._add_state("gripper", message, np.array([message.position[0]]))

    def _on_joints(self, message: JointState) -> None:
        try:
            names = self._contract.proprio.joint_names
            joints = joints_by_name(message, message.position, names)
        except MessageError as error:
            self._freshness.refused("joints", str(error))
            return
        self._add_state("joints", message, joints)

    def _add_state(self, channel: str, message: PoseStamped | JointState, value: Array) -> None:
        if not np.isfinite(value).all():
            self._freshness.refused(channel, f"not finite: {value.tolist()}")
            return
        stamp = seconds(message.header.stamp) - self._contract.proprio.latency_s
        self._add(channel, stamp, value)

    def _add(self, channel: str, stamp_s: float, value: NDArray) -> None:
        now_s = self.get_clock().now().nanoseconds * 1e-9
        self._freshness.good(channel, now_s - stamp_s)
        complete = self._synchroniser.add(channel, stamp_s, value)
        if complete is not None:
            self._publish(*complete)

    def _publish(self, stamp_s: float, parts: dict[str, NDArray]) -> None:
        stamp = to_stamp(stamp_s)
        stacked = np.concatenate([parts[name] for name in self._contract.views])
        state = RobotState(parts["ee_pose"], float(parts["gripper"][0]), parts["joints"])
        self._state.publish(pack_state(state, self._contract.proprio.joint_names, stamp))
        self._views.publish(to_message(stacked, "rgb8", stamp, self._contract.base_frame))
        self._observed.good("observation")
        self._rate.tick()

    def _report(self) -> Report:
        values: dict[str, object] = {"rate_hz": self._rate.hz}
        complaints = self._freshness.complaints()
        if complaints:
            return Report(ERROR, "; ".join(complaints), values)
        if self._observed.complaints():
            slop = self.get_parameter("slop_s").value
            why = f"inputs arrive, but their stamps are never within slop_s = {slop} of each other"
            return Report(WARN, why, values)
        return Report(OK, "observing", values)


def main() -> None:
    """Entry point of the executable `observation_node`."""
    run(ObservationNode)


if __name__ == "__main__":
    main()
