"""Hands what happens on the topics of a live graph to a view; starts and commands nothing."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import rclpy
from nav_msgs.msg import Path
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header

from vilp_ros.contract import Contract
from vilp_ros.contract import View as Camera
from vilp_ros.data.observe import from_pose, joints_by_name, seconds
from vilp_ros.data.pixels import rgb_pixels
from vilp_ros.evaluation.demo.rerun_view import View
from vilp_ros.ros import qos
from vilp_ros.ros.hand_pose import listen_to_hand
from vilp_ros.ros.images import camera_type, to_array

SEEN = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class Viewer(Node):
    """Subscribes to everything that a `View` shows.

    Args:
        contract: of the robot.
        view: where it goes.
        namespace: of the nodes.
    """

    def __init__(self, contract: Contract, view: View, namespace: str = "") -> None:
        super().__init__("view", namespace=namespace)
        self._view, self._joints = view, contract.proprio.joint_names
        listen = self.create_subscription
        for camera in contract.views.values():
            listen(camera_type(camera), camera.topic, partial(self._on_image, camera), SEEN)
        listen(Image, "planner/predicted_frames", self._on_strip, SEEN)
        listen(JointState, "planner/imagination_gap", self._on_gap, SEEN)
        listen(Path, "planner/plan_path", self._on_path, SEEN)
        listen(Header, "controller/command_source", self._on_source, SEEN)
        listen(JointState, contract.proprio.joint_state_topic, self._on_joints, qos.STATE_IN)
        listen_to_hand(self, contract, self._on_arm)

    def _on_image(self, camera: Camera, message: Image) -> None:
        pixels = rgb_pixels(camera, message)
        self._view.camera(camera.name, seconds(message.header.stamp), pixels)

    def _on_strip(self, message: Image) -> None:
        self._view.strip(seconds(message.header.stamp), to_array(message))

    def _on_gap(self, message: JointState) -> None:
        named = zip(message.name, message.position, strict=True)
        values = {name: value for name, value in named if np.isfinite(value)}
        self._view.gap(seconds(message.header.stamp), values)

    def _on_path(self, message: Path) -> None:
        points = np.array([from_pose(pose.pose)[:3] for pose in message.poses])
        self._view.path(seconds(message.header.stamp), points)

    def _on_source(self, message: Header) -> None:
        now_s = self.get_clock().now().nanoseconds * 1e-9
        self._view.age(now_s, now_s - seconds(message.stamp))

    def _on_joints(self, message: JointState) -> None:
        angles = joints_by_name(message, message.position, self._joints)
        self._view.joints(seconds(message.header.stamp), angles)

    def _on_arm(self, stamp_s: float, pose: np.ndarray) -> None:
        self._view.arm(stamp_s, pose[:3])


def watch(view: View, contract: Contract, namespace: str, stop: threading.Event) -> None:
    """Shows a live graph until `stop` is set.

    Args:
        view: where it goes.
        contract: of the robot.
        namespace: of the nodes.
        stop: asked ten times a second.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    node = Viewer(contract, view, namespace)
    executor.add_node(node)
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.remove_node(node)
        node.destroy_node()
        executor.shutdown()
        rclpy.shutdown()
