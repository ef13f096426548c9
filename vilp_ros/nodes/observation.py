"""The camera subscriber: views and robot state of one instant, in two messages."""

from __future__ import annotations

import zlib
from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState

from vilp_ros.canvas import on_canvas
from vilp_ros.contract import Contract
from vilp_ros.data.frozen import FrozenWatch
from vilp_ros.data.observe import Observation, Observer, slop
from vilp_ros.errors import VilpError
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Rate, Report
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.freshness import Freshness
from vilp_ros.ros.images import camera_type, to_jpeg, to_message
from vilp_ros.ros.kinds import wrong_kinds
from vilp_ros.ros.messages import pack_state, to_stamp
from vilp_ros.ros.parameters import OBSERVATION, declare
from vilp_ros.ros.process import run
from vilp_ros.ros.steady import speed_of, steady


class ObservationNode(Node):
    """Publishes `~/views` and `~/state` with the same stamp for each complete observation.

    Views are stacked in the order of the contract, rgb8, (V*H, W), each on a canvas that holds the
    largest; for whoever subscribes to `~/views/compressed`, as JPEG. The state is read at the time
    of the views. Latencies of the contract are taken off the stamps first, so the stamp that leaves
    is when the picture was true. A view of another size or encoding, or one that shows the same
    while the hand moves, is refused by name and counts as lost until a right one comes.
    """

    def __init__(self) -> None:
        super().__init__("observation")
        self.exit_code: int | None = None
        self.loading = False
        settings = declare(self, OBSERVATION)
        self._contract = contract = Contract.load(find_contract(settings.contract))
        self._slop_s = settings.slop_s or slop(contract)
        self._observer = Observer(contract, self._slop_s)
        clock = steady(speed_of(self))
        self._freshness = Freshness(
            [*contract.views, *self._observer.told],
            contract.staleness_s,
            clock,
            drift_s=contract.control_period_s / 2,
        )
        self._observed = Freshness(["observation"], contract.staleness_s, clock)
        self._frozen = FrozenWatch()
        self._rate = Rate()
        self._views = self.create_publisher(Image, "~/views", qos.LATEST)
        self._packed = self.create_publisher(CompressedImage, "~/views/compressed", qos.LATEST)
        self._state = self.create_publisher(JointState, "~/state", qos.LATEST)
        self._subscribe()
        self._diagnostics = Diagnostics(self, self._report, contract.robot)

    def close(self) -> None:
        """Nothing runs beside the executor."""

    def _subscribe(self) -> None:
        views = self._contract.views
        for name, view in views.items():
            callback = partial(self._on_message, name)
            self.create_subscription(camera_type(view), view.topic, callback, qos.camera(view))
        for topic, channel in self._observer.topics.items():
            if channel not in views:
                kind = PoseStamped if channel == "ee_pose" else JointState
                callback = partial(self._on_message, channel)
                self.create_subscription(kind, topic, callback, qos.STATE_IN)

    def _on_message(self, channel: str, message: Image | PoseStamped | JointState) -> None:
        try:
            stamp_s, parts = self._observer.read(channel, message)
        except VilpError as error:
            self._freshness.refused(channel, str(error))
            return
        if "ee_pose" in parts:
            self._frozen.moved(stamp_s, parts["ee_pose"][:3])
        if channel in self._contract.views:
            code = zlib.crc32(np.ascontiguousarray(parts[channel]).data)
            if why := self._frozen.check(channel, stamp_s, code):
                self._freshness.refused(channel, why)
                return
        now_s = self.get_clock().now().nanoseconds * 1e-9
        for name in parts.keys() & {*self._contract.views, *self._observer.told}:
            self._freshness.good(name, now_s - stamp_s)
        for complete in self._observer.add(stamp_s, parts):
            self._publish(complete)

    def _publish(self, observation: Observation) -> None:
        stamp = to_stamp(observation.stamp_s)
        stacked = np.concatenate(on_canvas(list(observation.images.values())))
        state = pack_state(observation.state, self._contract.proprio.joint_names, stamp)
        self._state.publish(state)
        frame_id = self._contract.base_frame
        if self._views.get_subscription_count():
            self._views.publish(to_message(stacked, "rgb8", stamp, frame_id))
        if self._packed.get_subscription_count():
            self._packed.publish(to_jpeg(stacked, stamp, frame_id))
        self._observed.good("observation")
        self._rate.tick()

    def _report(self) -> Report:
        values: dict[str, object] = {"rate_hz": self._rate.hz}
        complaints = self._freshness.complaints()
        if complaints:
            kinds = {t: self._observer.kinds[c] for t, c in self._observer.topics.items()}
            complaints += wrong_kinds(self, kinds).values()
            complaints += filter(None, [self._observer.lacks()])
            return Report(ERROR, "; ".join(complaints), values)
        if self._observed.complaints():
            why = (
                f"inputs arrive, but views are never within {self._slop_s:g} s of each other, or "
                "the state's stamps never reach theirs: compare the clocks"
            )
            return Report(WARN, why, values)
        if remarks := self._freshness.remarks():
            return Report(WARN, "; ".join(remarks), values)
        return Report(OK, "observing", values)


def main() -> None:
    """Entry point of the executable `observation_node`."""
    run(ObservationNode)


if __name__ == "__main__":
    main()
