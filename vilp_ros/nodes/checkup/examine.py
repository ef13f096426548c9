"""The whole examination; it joins the graph for a second, longer where a clock seems to drift."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from vilp_ros.contract import Contract, View
from vilp_ros.data.observe import Observer
from vilp_ros.data.pixels import PixelError, described
from vilp_ros.nodes.checkup.finding import GREEN, RED, Finding
from vilp_ros.nodes.checkup.host import (
    arm,
    bundle,
    contract_of,
    fragments,
    libraries,
    middleware,
    real_time,
    robot,
    shared_memory,
)
from vilp_ros.nodes.checkup.judge import LOOK_S, Heard, heard_enough, judge_graph

LISTEN_S = 1.0


def examine(
    contract_name: str,
    model: str,
    *,
    driver: bool = False,
    robot_ip: str = "",
    graph: bool = True,
    namespace: str = "",
) -> list[Finding]:
    """Everything, in the order in which a set-up is brought up.

    Args:
        contract_name: A file or a name in config/robots/.
        model: A folder or a name in models/; empty: no bundle.
        driver: franka_driver would run on this host.
        robot_ip: Of the control box; empty: not asked.
        graph: Listen to the running nodes.
        namespace: Of those nodes.
    """
    ros = middleware(os.environ)
    contract, finding = contract_of(contract_name)
    findings = [*ros, finding]
    if robot_ip:
        findings.append(robot(robot_ip))
    if os.environ.get("ROS_STATIC_PEERS"):
        findings.append(fragments())
    if driver:
        findings += real_time(needed=True)
    if contract is None:
        return findings
    turns = arm(contract)
    findings += [libraries(contract, driver), *turns, shared_memory(contract, os.environ)]
    if model:
        findings.append(bundle(contract, model))
    broken = contract.proprio.ee_pose_topic is None and any(f.state == RED for f in turns)
    if graph and not broken and all(f.state == GREEN for f in ros):
        findings += listen(contract, namespace)
    return findings


def listen(contract: Contract, namespace: str) -> list[Finding]:
    """Join the graph for a moment: cameras, state of the arm, clocks, other commanders."""
    import rclpy
    from geometry_msgs.msg import PoseStamped
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import JointState

    from vilp_ros.ros import qos
    from vilp_ros.ros.images import camera_type
    from vilp_ros.ros.kinds import wrong_kinds

    observer = Observer(contract)
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(
        "doctor",
        context=context,
        namespace=namespace,
        enable_rosout=False,
        start_parameter_services=False,
    )
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard: dict[str, Heard] = {}

    def subscribe(
        name: str,
        kind: Any,
        topic: str,
        profile: Any,
        view: View | None = None,
        joints: set[Any] | None = None,
    ) -> None:
        heard[name] = note = Heard([], [], set())

        def callback(message: Any) -> None:
            if joints is not None and joints.isdisjoint(message.name):
                note.others.update(message.name)
                return
            stamp = message.header.stamp
            note.arrivals.append(time.monotonic())
            note.ages.append(time.time() - stamp.sec - 1e-9 * stamp.nanosec)
            note.last = message if view is None else None
            if view is not None:
                with contextlib.suppress(PixelError):
                    note.shapes.add(described(view, message))

        node.create_subscription(kind, topic, callback, profile)

    for view in contract.views.values():
        subscribe(view.name, camera_type(view), view.topic, qos.camera(view), view)
    proprio = contract.proprio
    shared = proprio.gripper_topic == proprio.joint_state_topic
    if proprio.ee_pose_topic is not None:
        subscribe("ee_pose", PoseStamped, proprio.ee_pose_topic, qos.STATE_IN)
    for name, topic, joints in (
        ("joints", proprio.joint_state_topic, set(proprio.joint_names)),
        ("gripper", proprio.gripper_topic, {proprio.gripper_joint}),
    ):
        subscribe(name, JointState, topic, qos.STATE_IN, joints=joints if shared else None)
    try:
        until = time.monotonic() + LISTEN_S
        while (left := until - time.monotonic()) > 0:
            # Half the time at least, for publishers that nobody has discovered yet.
            if left < LISTEN_S / 2 and heard_enough(heard):
                break
            executor.spin_once(timeout_sec=left)
        if any(note.seems_to_drift for note in heard.values()):
            until = time.monotonic() + LOOK_S
            while (left := until - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left)
        for view in contract.views.values():
            heard[view.name].publishers = node.count_publishers(view.topic)
        kinds = {topic: observer.kinds[name] for topic, name in observer.topics.items()}
        for topic, why in wrong_kinds(node, kinds).items():
            heard[observer.topics[topic]].wrong_kind = why
        action = contract.action
        target = (action.pose_topic if action.sends == "ee_pose" else action.joint_topic) or ""
        commanders = node.count_publishers(target)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    return judge_graph(contract, heard, commanders)
