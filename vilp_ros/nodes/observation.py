"""The camera subscriber: views and robot state of one instant, in two messages."""

from __future__ import annotations

from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from vilp_ros.contract import Contract
from vilp_ros.data.observe import STATES, Observation, Observer
from vilp_ros.errors import VilpError
from vilp_ros.nodes import qos
from vilp_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics, Rate, Report
from vilp_ros.nodes.files import find_contract
from vilp_ros.nodes.freshness import Freshness
from vilp_ros.nodes.frozen import FrozenWatch
from vilp_ros.nodes.images import to_message
from vilp_ros.nodes.messages import pack_state, to_stamp
from vilp_ros.nodes.parameters import OBSERVATION, declare
from vilp_ros.nodes.process import run


class ObservationNode(Node):
    """Publishes `~/views` and `~/state` with the same stamp for each complete observation.

    Views are stacked in the order of the contract, rgb8, (V*H, W). The state is read at the time of
    the views. Latencies of the contract are taken off the stamps first, so the stamp that leaves is
    when the picture was true. A view of another size or encoding, or one that shows the same while
    the hand moves, is refused by name and counts as lost until a right one comes.
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
        self._observer = Observer(contract, settings.slop_s)
        self._freshness = Freshness([*contract.views, *STATES], contract.staleness_s)
        self._observed = Freshness(["observation"], contract.staleness_s)
        self._frozen = FrozenWatch()
        self._rate = Rate()
        self._views = self.create_publisher(Image, "~/views", qos.LATEST)
        self._state = self.create_publisher(JointState, "~/state", qos.LATEST)
        self._subscribe()
        self._diagnostics = Diagnostics(self, self._report, contract.robot)

    def close(self) -> None:
        """Nothing runs beside the executor."""

    def _subscribe(self) -> None:
        views, proprio = self._contract.views, self._contract.proprio
        for name, view in views.items():
            callback = partial(self._on_message, name)
            self.create_subscription(Image, view.topic, callback, qos.camera(view))
        for channel, kind, topic in (
            ("ee_pose", PoseStamped, proprio.ee_pose_topic),
            ("gripper", JointState, proprio.gripper_topic),
            ("joints", JointState, proprio.joint_state_topic),
        ):
            callback = partial(self._on_message, channel)
            self.create_subscription(kind, topic, callback, qos.STATE_IN)

    def _on_message(self, channel: str, message: Image | PoseStamped | JointState) -> None:
        try:
            stamp_s, value = self._observer.read(channel, message)
        except VilpError as error:
            self._freshness.refused(channel, str(error))
            return
        if channel == "ee_pose":
            self._frozen.moved(value[:3])
        elif channel in self._contract.views and (why := self._frozen.check(channel, value)):
            self._freshness.refused(channel, why)
            return
        now_s = self.get_clock().now().nanoseconds * 1e-9
        self._freshness.good(channel, now_s - stamp_s)
        complete = self._observer.add(channel, stamp_s, value)
        if complete is not None:
            self._publish(complete)

    def _publish(self, observation: Observation) -> None:
        stamp = to_stamp(observation.stamp_s)
        stacked = np.concatenate(list(observation.images.values()))
        state = pack_state(observation.state, self._contract.proprio.joint_names, stamp)
        self._state.publish(state)
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
