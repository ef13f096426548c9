"""A bundle on the live topics that commands nothing: its actions against the commands that flow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.contract import Contract
from vilp_ros.data.commands import Commands
from vilp_ros.data.frames import Frame
from vilp_ros.data.observe import Observer
from vilp_ros.data.robot_state import Past, RobotState
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.shadow import Agreement, Shadow
from vilp_ros.policy.policy import Policy
from vilp_ros.ros import qos
from vilp_ros.ros.images import camera_type
from vilp_ros.ros.slot import Worker

ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Every command counts; best effort listens to reliable and best effort alike."""


class ShadowNode(Node):
    """Joins what it hears as the observation node does; plans from the newest observation.

    Args:
        contract: of the robot.
        policy: fitting it.
        namespace: of the nodes.
    """

    def __init__(self, contract: Contract, policy: Policy, namespace: str = "") -> None:
        super().__init__("shadow", namespace=namespace)
        self._contract, self._observer = contract, Observer(contract)
        self._past = Past(contract.control_period_s)
        self._commands, self._shadow = Commands(contract), Shadow(policy)
        _warm_up(policy)  # networks are compiled when they are first used
        self._error: Exception | None = None
        self._refused = ""
        self._worker: Worker[Frame] = Worker("shadow", self._shadow.see, self._fail)
        views, action = contract.views, contract.action
        cameras = {view.topic: qos.camera(view) for view in views.values()}
        for topic, channel in self._observer.topics.items():
            kind: Any = PoseStamped if channel == "ee_pose" else JointState
            if channel in views:
                kind = camera_type(views[channel])
            profile = cameras.get(topic, qos.STATE_IN)
            self.create_subscription(kind, topic, partial(self._on_input, channel), profile)
        joint = JointState if action.transport == "crisp_joint" else JointTrajectory
        kinds = {"arm": PoseStamped if action.kind == "ee_pose" else joint, "gripper": JointState}
        for topic, what in self._commands.topics.items():
            take = partial(self._on_command, what)
            self.create_subscription(kinds.get(what, Header), topic, take, ALL)

    @property
    def heard(self) -> str:
        """What has come so far."""
        return f"{len(self._shadow)} inferences, {len(self._commands.stamps)} commands"

    def check(self) -> None:
        """Raises what the policy raised."""
        if self._error:
            raise self._error

    def finish(self) -> Agreement:
        """Ends planning.

        Raises:
            VilpError: nothing can be compared.
        """
        self._worker.stop()
        self.check()
        stamps = self._commands.stamps
        agreement = self._shadow.agreement(self._commands, stamps[-1]) if stamps else None
        if agreement is None:
            topic = next(t for t, what in self._commands.topics.items() if what == "arm")
            raise VilpError(
                f"nothing to compare: {self.heard} on {topic}{self._refused}; let somebody drive "
                "(`vilp teleop`), name the robot with --contract; `vilp doctor` says what is silent"
            )
        return agreement

    def _fail(self, error: Exception) -> None:
        self._error = error

    def _on_command(self, what: str, message: Any) -> None:
        try:
            self._commands.add(what, message)
        except VilpError as error:
            self._refused = f"; command: {error}"

    def _on_input(self, channel: str, message: Any) -> None:
        try:
            stamp_s, parts = self._observer.read(channel, message)
        except VilpError as error:
            self._refused = f"; {channel}: {error}"
            return
        for seen in self._observer.add(stamp_s, parts):
            self._past.add(seen.stamp_s, seen.state)
            self._worker.put(Frame(*seen, self._past.before(seen.stamp_s)))


def _warm_up(policy: Policy) -> None:
    images = {v: np.zeros((*size, 3), np.uint8) for v, size in policy.spec.views.items()}
    home = RobotState(np.array([0.4, 0, 0.3, 1, 0, 0, 0]), 0.08, np.zeros(7))
    Shadow(policy).see(Frame(0.0, images, home, home))


def follow(
    contract: Contract,
    policy: Policy,
    namespace: str,
    seconds: float,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> Agreement:
    """Shadows whoever drives until `stop` is set or the time is over.

    Args:
        contract: of the robot.
        policy: fitting it.
        namespace: of the nodes.
        seconds: at most so long.
        stop: asked ten times a second.
        tell: told ten times a second what was heard.

    Raises:
        VilpError: commands go out in other words than actions, or nothing can be compared.
    """
    action = contract.action
    if action.sends != action.kind and action.pose_topic is None:
        raise VilpError(
            f"commands of {contract.robot} go out as {action.sends}, its actions are "
            f"{action.kind}: they cannot be compared without action.pose_topic"
        )
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor, until_s = SingleThreadedExecutor(), time.monotonic() + seconds
    node = ShadowNode(contract, policy, namespace)
    executor.add_node(node)
    try:
        while not stop.is_set() and time.monotonic() < until_s:
            executor.spin_once(timeout_sec=0.1)
            node.check()
            tell(node.heard)
        return node.finish()
    finally:
        executor.remove_node(node)
        node.destroy_node()
        executor.shutdown()
        rclpy.shutdown()
