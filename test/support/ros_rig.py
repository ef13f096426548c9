"""A probe that listens to real nodes, and a rig that plays camera and arm for them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from vilp_ros.contract import Contract
from vilp_ros.ros import qos
from vilp_ros.ros.images import to_message
from vilp_ros.ros.messages import to_gripper, to_joint_state, to_pose, to_stamp

WAIT_S = 90.0


class Probe:
    """A node in the test process: listens, calls services, waits on conditions."""

    def __init__(self, domain: int, namespace: str = "") -> None:
        self.context = rclpy.Context()
        rclpy.init(
            context=self.context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO
        )
        self.node = Node("probe", context=self.context, namespace=namespace)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.reports: dict[str, object] = {}
        # Nodes speak in the same millisecond every second: of a queue of one, some are never heard.
        self.listen(DiagnosticArray, "diagnostics", self._on_diagnostics, qos.COMMANDS)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def add(self, node: Node) -> None:
        """Spin a node of the test's own too."""
        self._executor.add_node(node)

    def listen(self, kind, topic, callback=None, profile=qos.LATEST) -> list:
        """Messages of a topic, as they come (or what `callback` makes of them)."""
        messages = []
        self.node.create_subscription(kind, topic, callback or messages.append, profile)
        return messages

    def spin_until(self, condition: Callable[[], object], what: str, timeout_s: float = WAIT_S):
        """Handle messages until the condition holds; what it returned."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() >= deadline:
                said = {name: report.message for name, report in self.reports.items()}
                raise AssertionError(f"waited {timeout_s} s for: {what}; last said: {said}")
            self._executor.spin_once(timeout_sec=0.1)
        return value

    def call(self, kind, name: str, **fields):
        """Answer of a service."""
        client = self.node.create_client(kind, name)
        self.spin_until(client.service_is_ready, f"service {name}")
        future = client.call_async(kind.Request(**fields))
        self.spin_until(future.done, f"answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def says(self, node: str, text: str) -> bool:
        """Whether the node's last report contains a text."""
        report = self.reports.get(node)
        return report is not None and text in report.message

    def values(self, node: str) -> dict[str, str]:
        """Figures of the node's last report; none before its first."""
        report = self.reports.get(node)
        return {pair.key: pair.value for pair in report.values} if report is not None else {}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.reports[status.name.rsplit("/", 1)[-1]] = status


class Rig:
    """Two cameras and an arm that draws circles, on the topics of the contract, at 20 Hz.

    `size`, `encoding`, `silent` and `frozen` may be changed per view while it runs; `offset_s` sets
    the clock of its stamps, which it publishes on /clock too, and `image_age_s` that of the images.
    """

    def __init__(self, probe: Probe, contract: Contract) -> None:
        self._node, self._contract = probe.node, contract
        self.size = {name: (view.height, view.width) for name, view in contract.views.items()}
        self.encoding = {name: view.encoding for name, view in contract.views.items()}
        self.silent: set[str] = set()
        self.frozen: set[str] = set()
        self.offset_s = self.image_age_s = 0.0
        self._clock = self._node.create_publisher(Clock, "/clock", qos.SENSOR)
        create, proprio = self._node.create_publisher, contract.proprio
        self._images = {n: create(Image, v.topic, qos.SENSOR) for n, v in contract.views.items()}
        pose = proprio.ee_pose_topic
        self._pose = pose and create(PoseStamped, pose, qos.STATE_OUT)
        self._gripper = create(JointState, proprio.gripper_topic, qos.STATE_OUT)
        self._joints = create(JointState, proprio.joint_state_topic, qos.STATE_OUT)
        self._noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def state(self, phase: float) -> tuple[object, float, object]:
        """Pose (7,), width of the gripper, m, joints (J,)."""
        pose = [0.45 + 0.05 * math.cos(phase), 0.05 * math.sin(phase), 0.3, 1, 0, 0, 0]
        return pose, 0.04, np.zeros(len(self._contract.proprio.joint_names))

    def publish(self, phase: float) -> None:
        """One frame of each view that is not silent, and the state of the arm."""
        now_s = time.time() + self.offset_s
        stamp = to_stamp(now_s)
        self._clock.publish(Clock(clock=stamp))
        pose, width, joints = self.state(phase)
        message = PoseStamped(pose=to_pose(pose))
        message.header.stamp, message.header.frame_id = stamp, self._contract.base_frame
        if self._pose:
            self._pose.publish(message)
        self.publish_hand(width, stamp)
        self.publish_joints(joints, stamp)
        for name, publisher in self._images.items():
            if name not in self.silent:
                height, width = self.size[name]
                shift = 0 if name in self.frozen else int(50 * phase)
                pixels = np.roll(self._noise, shift, axis=1)[:height, :width]
                exposed = to_stamp(now_s - self.image_age_s)
                publisher.publish(to_message(pixels, self.encoding[name], exposed))

    def publish_hand(self, width: float, stamp) -> None:
        """Of the gripper."""
        self._gripper.publish(to_gripper(self._contract, width, stamp))

    def publish_joints(self, joints, stamp) -> None:
        """Of the arm."""
        names = self._contract.proprio.joint_names
        self._joints.publish(to_joint_state(names, joints, stamp))

    def _run(self) -> None:
        start, frame = time.monotonic(), 0
        while not self._stop.wait(max(0.0, start + frame * 0.05 - time.monotonic())):
            self.publish(frame * 0.05)
            frame += 1
