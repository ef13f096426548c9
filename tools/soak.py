"""Load the recorder: two views of 640x480 at 30 Hz and joint states at 1 kHz, and count.

    .venv/bin/python tools/soak.py --seconds 600 --out runs/soak

Publishes from this process, records in another, and compares what was published with what lies in
the bag. Needs psutil (requirements-dev.lock) and 55 MB of disk a second. Exit code 1 if a message
that reached the recorder is not in the bag.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag
from vilp_ros.nodes import qos
from vilp_ros.nodes.demo_run import free_domain
from vilp_ros.nodes.files import find_contract
from vilp_ros.nodes.graph import processes
from vilp_ros.nodes.images import to_message
from vilp_ros.nodes.messages import to_joint_state, to_pose
from vilp_ros.nodes.supervisor import Supervisor

HEIGHT, WIDTH, CAMERA_HZ, JOINT_HZ, POSE_HZ = 480, 640, 30.0, 1000.0, 100.0
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
"""Best effort loses frames of this size in the middleware's default shared memory."""


def soak_contract(folder: Path) -> Path:
    """The simulated arm with larger and faster cameras."""
    text = find_contract("sim_panda").read_text()
    for old, new in (
        ("height: 96", f"height: {HEIGHT}"),
        ("width: 160", f"width: {WIDTH}"),
        ("rate_hz: 20.0", f"rate_hz: {CAMERA_HZ}"),
        ("reliability: best_effort", "reliability: reliable"),
    ):
        text = text.replace(old, new)
    path = folder / "soak_contract.yaml"
    path.write_text(text)
    return path


class Load:
    """Publishes serialized messages with fresh stamps on a schedule, and counts them."""

    def __init__(self, node: Node, contract: Contract) -> None:
        self._stop = threading.Event()
        self.counts: dict[str, int] = {}
        rng = np.random.default_rng(0)
        proprio, stamp = contract.proprio, node.get_clock().now().to_msg()
        bodies: list[tuple[type, str, float, list[object]]] = []
        for view in contract.views.values():
            frames = rng.integers(0, 255, (8, HEIGHT, WIDTH, 3), dtype=np.uint8)
            images = [to_message(frame, "rgb8", stamp, "camera") for frame in frames]
            bodies.append((Image, view.topic, CAMERA_HZ, images))
        joints = to_joint_state(proprio.joint_names, np.zeros(7), stamp, np.zeros(7))
        bodies.append((JointState, proprio.joint_state_topic, JOINT_HZ, [joints]))
        pose = PoseStamped(pose=to_pose([0.4, 0, 0.3, 1, 0, 0, 0]))
        bodies.append((PoseStamped, proprio.ee_pose_topic, POSE_HZ, [pose]))
        width = to_joint_state(["gripper_width"], np.array([0.04]), stamp)
        bodies.append((JointState, proprio.gripper_topic, POSE_HZ, [width]))
        self._flows = [
            (
                topic,
                1.0 / rate,
                node.create_publisher(kind, topic, RELIABLE),
                [bytearray(serialize_message(body)) for body in group],
            )
            for kind, topic, rate, group in bodies
        ]
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Publish from now on."""
        self._thread.start()

    def stop(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        begin = time.monotonic()
        done = [0] * len(self._flows)
        while not self._stop.wait(0.0005):
            elapsed = time.monotonic() - begin
            for i, (topic, period_s, publisher, bodies) in enumerate(self._flows):
                while done[i] * period_s <= elapsed:
                    body = bodies[done[i] % len(bodies)]
                    struct.pack_into("<iI", body, 4, *divmod(time.time_ns(), 1_000_000_000))
                    publisher.publish(bytes(body))
                    done[i] += 1
                    self.counts[topic] = done[i]


def say(text: str) -> None:
    """A line to the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Runs the soak and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    path = soak_contract(args.out)
    table = processes({"model": "", "record": str(args.out), "contract": str(path)})
    (entry,) = [process for process in table if process.name == "recorder"]
    rclpy.init()
    node, contract = Node("soak"), Contract.load(path)
    load, statuses = Load(node, contract), []
    node.create_subscription(DiagnosticStatus, "recorder/status", statuses.append, qos.STATE_IN)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def ask(name: str) -> str:
        client = node.create_client(Trigger, f"recorder/{name}")
        while not client.service_is_ready():
            executor.spin_once(0.1)
        future = client.call_async(Trigger.Request())
        while not future.done():
            executor.spin_once(0.1)
        return future.result().message

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            executor.spin_once(0.2)

    with Supervisor([replace(entry, required=True)], write=sys.stderr.write) as supervisor:
        load.start()
        while not statuses:
            executor.spin_once(0.1)
        wait(3.0)  # every topic has been found
        process = psutil.Process(supervisor._children["recorder"].pid)
        say(ask("start"))
        before, cpu, begin = dict(load.counts), process.cpu_times(), time.monotonic()
        wait(args.seconds)
        elapsed, used = time.monotonic() - begin, process.cpu_times()
        peak = process.memory_info().rss
        load.stop()
        after = dict(load.counts)
        wait(2.0)  # what is on its way
        say(ask("stop"))
    rclpy.shutdown()
    bag_path = sorted(args.out.glob("episode_*"))[-1]
    with Bag(bag_path) as bag:
        report = json.loads(bag.labels["audit"])
        rows = []
        for topic, count in after.items():
            taken = report["channels"][topic]["messages"]
            rows.append((topic, count - before[topic], taken, bag.counts[f"/{topic}"]))
    size = sum(file.stat().st_size for file in bag_path.iterdir())
    busy = (used.user + used.system - cpu.user - cpu.system) / elapsed
    say(f"{'topic':28}{'published':>10}{'taken':>10}{'in the bag':>12}")
    for topic, published, taken, written in rows:
        say(f"{topic:28}{published:>10}{taken:>10}{written:>12}")
    queued = max(float(v.value) for s in statuses for v in s.values if v.key == "waiting_peak_mb")
    say(
        f"{elapsed:.0f} s, {size / 1e6 / elapsed:.1f} MB/s, recorder {busy:.0%} of a core, "
        f"{peak / 1e6:.0f} MB of memory, at most {queued:.1f} MB queued for the disk; "
        "published: since the start was answered"
    )
    return int(any(taken != written for *_, taken, written in rows))


if __name__ == "__main__":
    sys.exit(main())
