"""The whole examination; it joins the graph for a second, longer where there is a reason."""

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
PATIENT_S = 4.0
"""Where a channel is not heard: a busy host takes seconds to discover the others. Where time is a
simulator's: it may be a slow one's.
"""
SIMULATED_S = 1000.0
"""So far from the system's time, /clock tells a time of its own."""


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
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import JointState

    from vilp_ros.data.observe import seconds
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
    simulated_s: float | None = None

    def set_time(message: Clock) -> None:
        nonlocal simulated_s
        told_s = seconds(message.clock)
        if abs(told_s - time.time()) > SIMULATED_S:
            if simulated_s is None:  # what came before was held against another clock
                for note in heard.values():
                    note.arrivals.clear()
                    note.ages.clear()
            simulated_s = told_s

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
            real = simulated_s is None
            note.arrivals.append(time.monotonic() if real else simulated_s)
            note.ages.append((time.time() if real else simulated_s) - seconds(message.header.stamp))
            note.last = message if view is None else None
            if view is not None:
                with contextlib.suppress(PixelError):
                    note.shapes.add(described(view, message))

        node.create_subscription(kind, topic, callback, profile)

    node.create_subscription(Clock, "/clock", set_time, qos.SENSOR)
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
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < PATIENT_S:
            # Half the time at least, for publishers that nobody has discovered yet.
            if passed_s > LISTEN_S / 2 and heard_enough(heard):
                break
            silent = not all(note.arrivals for note in heard.values())
            if passed_s > LISTEN_S and not silent and simulated_s is None:
                break
            executor.spin_once(timeout_sec=0.1)
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
