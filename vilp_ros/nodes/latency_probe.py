"""Move arm and gripper a little and see how late they and the cameras follow, for the contract."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.contract import Contract
from vilp_ros.control.fit import Fit
from vilp_ros.control.grip import CLOSED_M
from vilp_ros.control.latency import GOOD, MAX_LAG_S, Lag, lag
from vilp_ros.data.observe import MessageError, joints_by_name, seconds, width_of
from vilp_ros.data.pixels import rgb_pixels
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of
from vilp_ros.ros import qos
from vilp_ros.ros.commands import SETTLE_S, Commands
from vilp_ros.ros.hand_pose import listen_to_hand
from vilp_ros.ros.images import camera_type
from vilp_ros.ros.messages import to_stamp

REACH_M, REACH_RAD = 0.02, 0.04
PERIOD_S, AHEAD = 0.02, 15  # of commands; points of a trajectory
FIRST_S = 5.0
GRIP_M, HOLD_S, HOLDS = 0.02, 1.2, 7  # of the gripper, which is not told to turn back on its way


@dataclass
class Signal:
    """Samples of one channel: header stamps (s), values, and arrival minus stamp (s)."""

    times: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    transport: list[float] = field(default_factory=list)

    def add(self, stamp_s: float, value: Any) -> None:
        """Note a message that has just arrived."""
        if not self.times or stamp_s > self.times[-1]:
            self.times.append(stamp_s)
            self.values.append(value)
            self.transport.append(time.time() - stamp_s)


def wiggle(time_s: float) -> float:
    """-1 to 1, without period in a few seconds, from rest."""
    ramp = min(1.0, time_s / 2)
    return ramp * (0.6 * np.sin(2.9 * time_s) + 0.4 * np.sin(6.1 * time_s))


def squeeze(time_s: float) -> float:
    """0 or 1, from 0 to 0; each for longer than twice the longest lag, so that none is mistaken."""
    return int(time_s / HOLD_S) % 2


def measure(contract: Contract, namespace: str, duration_s: float) -> dict[str, Lag]:
    """Wiggle the arm, close the gripper by `GRIP_M` a few times, and listen.

    Returns:
        Lags of `action`, `gripper` and each view, `views.<name>`; those of views beyond the stamps.

    Raises:
        VilpError: Nothing is heard of arm or gripper, another node commands the arm, or there is no
            room.
    """
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("latency", context=context, namespace=namespace)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        return _Probe(node, contract).run(executor, duration_s)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


class _Probe:
    def __init__(self, node: Any, contract: Contract) -> None:
        self._node, self._contract = node, contract
        self._pose, self._joints, self._sent = Signal(), Signal(), Signal()
        self._width, self._told_width = Signal(), Signal()
        self._images = {name: Signal() for name in contract.views}
        self._by_pose, proprio = contract.action.sends == "ee_pose", contract.proprio
        self._commands = Commands(node, contract, 1 / PERIOD_S)
        listen_to_hand(node, contract, self._pose.add)
        node.create_subscription(
            JointState, proprio.joint_state_topic, self._on_joints, qos.STATE_IN
        )
        node.create_subscription(JointState, proprio.gripper_topic, self._on_width, qos.STATE_IN)
        for view in contract.views.values():

            def on_image(message: Any, view: Any = view) -> None:
                pixels = rgb_pixels(view, message)[::2, ::2].astype(np.int16)
                self._images[view.name].add(seconds(message.header.stamp), pixels)

            node.create_subscription(camera_type(view), view.topic, on_image, qos.camera(view))

    def _on_joints(self, message: JointState) -> None:
        names = self._contract.proprio.joint_names
        with contextlib.suppress(MessageError):
            joints = joints_by_name(message, message.position, names)
            self._joints.add(seconds(message.header.stamp), joints)

    def _on_width(self, message: JointState) -> None:
        with contextlib.suppress(MessageError):  # another's, on the same topic
            self._width.add(seconds(message.header.stamp), width_of(message, self._contract))

    def run(self, executor: Any, duration_s: float) -> dict[str, Lag]:
        self._hear(executor)
        if self._commands.rivals():
            topic = self._commands.topic
            raise VilpError(f"another node publishes on {topic}: end the controller first")
        until = time.monotonic() + SETTLE_S + FIRST_S
        while waits := self._commands.claim():
            if time.monotonic() > until:
                raise VilpError(f"{waits}; `vilp doctor` says more")
            executor.spin_once(timeout_sec=0.1)
        pose, joints, width = (x.values[-1] for x in (self._pose, self._joints, self._width))
        told = self._contract.proprio.ee_pose_topic is not None
        if told and self._contract.arm is not None and not self._by_pose:
            fit = Fit(self._contract, kinematics_of(self._contract))
            if misfit := fit.misfit(joints, pose, time.monotonic()):
                raise VilpError(misfit)
        self._check_room(pose, width)
        _each_period(executor, duration_s, lambda time_s: self._move(pose, joints, time_s))
        arm = self._lags()
        _each_period(executor, HOLDS * HOLD_S, lambda time_s: self._grip(width, time_s))
        times = np.array(self._width.times) - self._contract.proprio.latency_s
        told, seen = self._told_width, self._width.values
        gripper = lag(told.times, told.values, times, seen)
        return {"action": arm.pop("action"), "gripper": gripper, **arm}

    def _hear(self, executor: Any) -> None:
        until = time.monotonic() + FIRST_S
        while not (self._pose.times and self._joints.times and self._width.times):
            if time.monotonic() > until:
                arm = self._pose.times and self._joints.times
                who = "gripper" if arm else "arm"
                raise VilpError(f"nothing heard of the {who}; `vilp doctor` says more")
            executor.spin_once(timeout_sec=0.1)

    def _check_room(self, pose: np.ndarray, width: float) -> None:
        low, high = self._contract.limits.workspace["y"]
        if not low + REACH_M <= pose[1] <= high - REACH_M:
            raise VilpError(
                f"the hand is at y = {pose[1]:.3f} m and would move by {REACH_M} m; keep it inside "
                f"the workspace, {low:g} to {high:g} m"
            )
        if width - GRIP_M <= CLOSED_M:  # opening might drop what it holds
            raise VilpError(
                f"the fingers are {width:.3f} m apart and would close by {GRIP_M} m: open them to "
                f"more than {CLOSED_M + GRIP_M} m, with nothing in between"
            )

    def _move(self, pose: np.ndarray, joints: np.ndarray, elapsed: float) -> None:
        now_s, value = time.time(), wiggle(elapsed)
        self._sent.add(now_s, value)
        stamp, first = to_stamp(now_s), np.eye(len(joints))[0]
        if self._by_pose:
            self._commands.stream(np.append(pose + REACH_M * value * np.eye(7)[1], 0.0), stamp)
        elif self._contract.action.transport == "crisp_joint":
            self._commands.stream(np.append(joints + REACH_RAD * value * first, 0.0), stamp)
        else:
            names = self._contract.proprio.joint_names
            self._commands.arm.publish(_trajectory(names, joints, first, elapsed, stamp))

    def _grip(self, width: float, elapsed: float) -> None:
        now_s, target = time.time(), width - GRIP_M * squeeze(elapsed)
        self._told_width.add(now_s, target)
        self._commands.width(target, to_stamp(now_s))

    def _lags(self) -> dict[str, Lag]:
        measured = self._pose if self._by_pose else self._joints
        column = 1 if self._by_pose else 0
        moved = np.array(measured.values)[:, column]
        times = np.array(measured.times) - self._contract.proprio.latency_s
        found = {"action": lag(self._sent.times, self._sent.values, times, moved)}
        grid = np.arange(times[0], times[-1], 0.01)
        speed = abs(np.gradient(np.interp(grid, times, moved), grid))
        for name, images in self._images.items():
            changes = [float(abs(b - a).mean()) for a, b in zip(images.values, images.values[1:])]
            between = [(a + b) / 2 for a, b in zip(images.times, images.times[1:])]
            fit = Lag(0.0, 0.0)
            if len(between) > 2 / MAX_LAG_S:
                fit = lag(grid, speed, between, changes)
            found[f"views.{name}"] = fit
        return found


def _each_period(executor: Any, duration_s: float, send: Callable[[float], None]) -> None:
    """Send for so long, told how long already, and listen in between."""
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < duration_s:
        send(elapsed)
        due = began + PERIOD_S * (int(elapsed / PERIOD_S) + 1)
        while (left := due - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)


def _trajectory(
    names: Any, joints: np.ndarray, axis: np.ndarray, elapsed: float, stamp: Any
) -> Any:
    """The next 0.3 s, ending at rest."""
    from trajectory_msgs.msg import JointTrajectoryPoint

    message = JointTrajectory(joint_names=list(names))
    message.header.stamp = stamp
    for k in range(AHEAD):
        time_s, slow = k * PERIOD_S, 1 - k / (AHEAD - 1)
        value = wiggle(elapsed + time_s * (1 + slow) / 2)
        rate = (wiggle(elapsed + time_s + 1e-4) - wiggle(elapsed + time_s - 1e-4)) / 2e-4
        point = JointTrajectoryPoint(positions=(joints + REACH_RAD * value * axis).tolist())
        point.velocities = (slow * REACH_RAD * rate * axis).tolist()
        point.time_from_start.nanosec = round(1e9 * (time_s + PERIOD_S))
        message.points.append(point)
    return message


def usable(found: Lag) -> bool:
    """Whether a lag may go into a contract: clear, and in its range."""
    return found.correlation >= GOOD and 0 <= round(found.seconds, 3) <= 1


def write(text: str, path: str, value: float) -> str:
    """Set one number of a contract's text, keeping everything else.

    Args:
        text: YAML.
        path: Such as "views.agentview.latency_s".
        value: Seconds.

    Raises:
        VilpError: There is no such key.
    """
    lines, stack = text.splitlines(keepends=True), []
    for index, line in enumerate(lines):
        match = re.match(r"( *)(\w+):(.*)", line)
        if not match:
            continue
        indent = len(match[1])
        stack = [entry for entry in stack if entry[0] < indent] + [(indent, match[2])]
        if ".".join(name for _, name in stack) == path:
            lines[index] = re.sub(r"(: *)[-\d.e]+", rf"\g<1>{value:.3f}", line, count=1)
            return "".join(lines)
    raise VilpError(f"the contract has no {path}")
