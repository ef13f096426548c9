"""What `soak.py` puts on the network, with what each send took, and a process that only ticks.

As on a robot, each camera and the arm publish from a process of their own: from one for all, states
came up to a second late that had been sent on time.
"""

from __future__ import annotations

import multiprocessing
import signal
import struct
import time
from array import array
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState

from vilp_ros.contract import Contract
from vilp_ros.ros.images import camera_type, to_jpeg, to_message
from vilp_ros.ros.messages import to_joint_state, to_pose, to_stamp

HEIGHT, WIDTH, CAMERA_HZ, JOINT_HZ, POSE_HZ = 480, 640, 30.0, 1000.0, 100.0
PICTURES = 8
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
"""Best effort loses frames of this size in the middleware's default shared memory."""
CATCH_UP_S = 0.05
"""Of its past a driver that stood still sends no more than half of what `RELIABLE` holds at 1 kHz;
more at once would push its own messages out before anybody can read them."""
OVERSLEPT_S = 0.01


class Topic(NamedTuple):
    """What one topic carries: serialized messages in turn."""

    name: str
    kind: Any
    rate_hz: float
    bodies: list[bytes]


def drivers(contract: Contract) -> list[list[Topic]]:
    """Topics by the process that publishes them: a camera each, and the arm."""
    proprio, stamp, rng = contract.proprio, to_stamp(0), np.random.default_rng(0)
    cameras = []
    for view in contract.views.values():
        pack = to_jpeg if camera_type(view) is CompressedImage else _raw
        images = [serialize_message(pack(_picture(rng), stamp, "camera")) for _ in range(PICTURES)]
        cameras.append([Topic(view.topic, camera_type(view), CAMERA_HZ, images)])
    joints = to_joint_state(proprio.joint_names, np.zeros(7), stamp, np.zeros(7))
    pose = PoseStamped(pose=to_pose([0.4, 0, 0.3, 1, 0, 0, 0]))
    width = to_joint_state(["gripper_width"], np.array([0.04]), stamp)
    arm = [
        Topic(proprio.joint_state_topic, JointState, JOINT_HZ, [serialize_message(joints)]),
        Topic(proprio.ee_pose_topic, PoseStamped, POSE_HZ, [serialize_message(pose)]),
        Topic(proprio.gripper_topic, JointState, POSE_HZ, [serialize_message(width)]),
    ]
    return [*cameras, arm]


def _picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shapes and a little noise, as a camera has them: (HEIGHT, WIDTH, 3)."""
    shapes = rng.integers(0, 255, (HEIGHT // 40, WIDTH // 40, 3), dtype=np.uint8)
    large = cv2.resize(shapes, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(large + rng.normal(0, 3, large.shape), 0, 255).astype(np.uint8)


def _raw(pixels: NDArray[np.uint8], stamp: Time, frame_id: str) -> Image:
    return to_message(pixels, "rgb8", stamp, frame_id)


class Aside:
    """A process that does one thing until it is asked what it saw.

    To be made before the threads of this process.

    Args:
        work: called with the other end of a pipe; returns when something can be read from it.
        words: further arguments.
    """

    def __init__(self, work: Callable[..., Any], *words: Any) -> None:
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        context.Process(target=_aside, args=(there, work, *words), daemon=True).start()

    def stop(self) -> Any:
        """Ends it, and gives what `work` returned."""
        self._here.send(None)
        return self._here.recv()


def _aside(pipe: Connection, work: Callable[..., Any], *words: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(work(pipe, *words))


def publish(pipe: Connection, topics: list[Topic]) -> dict[str, NDArray[np.int64]]:
    """Publishes with fresh stamps on a schedule.

    Returns:
        By topic, (N, 3): stamp, lateness against the schedule, time inside `publish()`; ns.
    """
    rclpy.init()
    node = rclpy.create_node("driver")
    flows = [
        _Flow(topic, node.create_publisher(topic.kind, topic.name, RELIABLE)) for topic in topics
    ]
    begin_s = time.monotonic()
    while not pipe.poll(max(min(flow.due_s for flow in flows) + begin_s - time.monotonic(), 0)):
        for flow in flows:
            flow.send(begin_s)
    rclpy.shutdown()
    return {flow.name: np.array(flow.log).reshape(-1, 3) for flow in flows}


class _Flow:
    def __init__(self, topic: Topic, publisher: Any) -> None:
        self.name, self._period_s, self._publisher = topic.name, 1 / topic.rate_hz, publisher
        self._bodies = [bytearray(body) for body in topic.bodies]
        self.log, self._next = array("q"), 0

    @property
    def due_s(self) -> float:
        """Of the next message, after the begin."""
        return self._next * self._period_s

    def send(self, begin_s: float) -> None:
        """Publishes what is due by now."""
        while (late_s := time.monotonic() - begin_s - self.due_s) >= 0:
            if late_s > CATCH_UP_S:
                self._next += int((late_s - CATCH_UP_S) / self._period_s)
            body = self._bodies[self._next % len(self._bodies)]
            stamp_ns, before_ns = time.time_ns(), time.monotonic_ns()
            struct.pack_into("<iI", body, 4, *divmod(stamp_ns, 1_000_000_000))
            self._publisher.publish(bytes(body))
            self.log.extend((stamp_ns, round(late_s * 1e9), time.monotonic_ns() - before_ns))
            self._next += 1


def tick(pipe: Connection) -> list[tuple[float, float]]:
    """Only sleeps: when it wakes late too, the machine stood still, and none of us.

    Returns:
        Seconds for which it stood still, and the `time.time()` at which that began.
    """
    still, last_s = list[tuple[float, float]](), time.monotonic()
    while not pipe.poll(0.001):
        now_s = time.monotonic()
        if now_s - last_s > OVERSLEPT_S:
            still.append((now_s - last_s, time.time() - (now_s - last_s)))
        last_s = now_s
    return still
