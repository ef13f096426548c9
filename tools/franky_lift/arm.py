"""Leads the arm of franky-sim through franka_driver, in the simulator's time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from tools.franky_lift.world import READY, World, place
from vilp_ros.contract import Contract
from vilp_ros.control.resampler import Motion, Resampler
from vilp_ros.data.observe import joints_by_name
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of
from vilp_ros.nodes.record.remote import Remote
from vilp_ros.ros import qos
from vilp_ros.ros.domain import keep_apart
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.messages import to_joint_state, to_stamp
from vilp_ros.ros.supervisor import Supervisor

OPEN_M = 0.08
NEAR_RAD, NEAR_M = 0.01, 0.003
SOON_S = 0.15  # from a trajectory to its first point
TRIES = 5
PATIENCE_S = 300.0  # of ours, for seconds of the simulator
FORGET_S = 0.6  # the driver smooths over points that are nearer in time


class Arm(Remote):
    """A `Remote` that can move the arm.

    Args:
        contract: of the arm.
        world: its surroundings.
        stop: set when the user wants to end.
        dead: set when a node ended by itself.
    """

    def __init__(
        self, contract: Contract, world: World, stop: threading.Event, dead: threading.Event
    ) -> None:
        super().__init__(stop, dead)
        self.set_parameters([Parameter("use_sim_time", value=True)])
        self.contract, self.world = contract, world
        self.kinematics = kinematics_of(contract)
        self._resampler = Resampler(contract.limits, "joint_position")
        self.joints, self.width = np.full(7, np.nan), np.nan
        self.values: dict[str, dict[str, str]] = {}
        """What each node said last on diagnostics, by its name."""
        latest = QoSProfile(depth=1, reliability=qos.STATE_IN.reliability)
        proprio, action = contract.proprio, contract.action
        listen = self.create_subscription
        listen(JointState, proprio.joint_state_topic, self._on_joints, latest)
        listen(JointState, proprio.gripper_topic, self._on_gripper, latest)
        listen(DiagnosticArray, "diagnostics", self._on_diagnostics, qos.COMMANDS)
        self._way = self.create_publisher(JointTrajectory, action.joint_topic, qos.COMMANDS)
        self._fingers = self.create_publisher(JointState, action.gripper_topic, qos.LATEST)

    @property
    def now_s(self) -> float:
        """Time of the simulator, as all nodes are told."""
        return self.get_clock().now().nanoseconds * 1e-9

    @property
    def reflexes(self) -> int:
        """Of the driver since its start."""
        return int(self.values.get("franka_driver", {}).get("reflexes", 0))

    def lead(self, stamp_s: float, times_s: Sequence[float], motions: Sequence[Motion]) -> None:
        """Sends motions of the joints, due so long after a stamp."""
        message = JointTrajectory(joint_names=list(self.contract.proprio.joint_names))
        message.header.stamp = to_stamp(stamp_s)
        for time_s, motion in zip(times_s, motions, strict=True):
            point = JointTrajectoryPoint(
                positions=motion.action[:7].tolist(), velocities=motion.velocity.tolist()
            )
            point.time_from_start.sec, nano = divmod(round(time_s * 1e9), 10**9)
            point.time_from_start.nanosec = nano
            message.points.append(point)
        self._way.publish(message)

    def grip(self, width: float, stamp_s: float) -> None:
        """Sends the fingers to a width, metres."""
        self._fingers.publish(to_joint_state(["gripper_width"], [width], to_stamp(stamp_s)))

    def prepare(self, seed: int) -> None:
        """Opens the fingers, goes to `READY` as fast as the limits let it, puts the cube."""
        ends = (self._way, self._fingers)
        self.wait(lambda: all(end.get_subscription_count() for end in ends), "the driver")
        self.wait(lambda: np.isfinite([*self.joints, self.width]).all(), "the state of the arm")
        goal = self._ready_joints()
        for _ in range(TRIES):  # what it says while the arm is moving still is refused
            self._go(goal)
            if np.abs(self.joints - goal[:7]).max() < NEAR_RAD:
                break
        else:
            raise VilpError("the arm does not get ready: see what the driver says of it")
        self.grip(OPEN_M, self.now_s)  # by now a controller that was disabled says no other width
        self.wait(lambda: abs(self.width - OPEN_M) < NEAR_M, "open fingers", PATIENCE_S)
        self.world.put(place(seed))
        self.wait(self.world.lies, "the cube in its place")

    def _go(self, goal: np.ndarray) -> None:
        """Leads the joints to (8,) as fast as the limits let it, and waits for it."""
        period_s = self.contract.control_period_s
        motions = [self._resampler.rest(np.append(self.joints, OPEN_M))]
        while len(motions) < 2 or not motions[-1].still:
            last = motions[-1]
            motion = self._resampler.follow(last, goal, np.zeros(7), period_s, period_s)
            near = np.abs(motion.action[:7] - goal[:7]).max() < 1e-6
            motions.append(self._resampler.rest(goal) if near else motion)
        times_s = [SOON_S + k * period_s for k in range(len(motions))]
        now_s = self.now_s  # not before: on a busy machine the roll-out takes longer than SOON_S
        self.lead(now_s, times_s, motions)
        rests_s = now_s + times_s[-1] + FORGET_S
        self.wait(lambda: self.now_s > rests_s, "the arm to move", PATIENCE_S)

    def _ready_joints(self) -> np.ndarray:
        """(8,): `READY` by a straight line from a pose that every arm knows."""
        home = np.array([0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4])
        here = self.kinematics.forward(home)
        line = here[:3] + np.linspace(0, 1, 20)[:, None] * (READY[:3] - here[:3])
        poses = np.hstack([line, np.tile(READY[3:], (len(line), 1))])
        return np.append(self.kinematics.inverse_path(poses, home)[-1], OPEN_M)

    def _on_joints(self, message: JointState) -> None:
        names = self.contract.proprio.joint_names
        self.joints = joints_by_name(message, message.position, names)

    def _on_gripper(self, message: JointState) -> None:
        self.width = float(message.position[0])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            name = status.name.rsplit("/", 1)[-1]
            self.values[name] = {pair.key: pair.value for pair in status.values}


@contextmanager
def session(folder: Path, words: Sequence[str], wanted: Sequence[str]) -> Iterator[Arm]:
    """The scene, its cameras and some of the nodes, in a ROS graph and a time of their own.

    The time is the simulator's, so that a busy machine makes all slow and nothing late.

    Args:
        folder: of scene and logs.
        words: arguments of `vilp up` beside those of the driver.
        wanted: names of the nodes to start.
    """
    stop, dead = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    keep_apart()
    host = f"127.{1 + os.getpid() % 250}.{os.getpid() // 250 % 250}.4"
    given = parse(["sim:=false", "driver:=true", "realtime:=false", f"robot_ip:={host}", *words])
    given["use_sim_time"] = "true"
    started = [process for process in processes(given) if process.name in wanted]
    contract = Contract.load(find_contract(given["contract"]))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "nodes.log").open("w", buffering=1) as log, World(folder, host) as world:

        def write(line: str) -> None:
            log.write(line)
            if "ended by itself" in line:
                dead.set()

        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = SingleThreadedExecutor()
        arm = Arm(contract, world, stop, dead)
        executor.add_node(arm)
        try:
            arm.wait(world.ready, "franky-sim")
            world.start_cameras(given["contract"], sim_time=True)
            with Supervisor(started, write=write) as supervisor:
                ended = threading.Event()
                watcher = threading.Thread(target=supervisor.wait, args=(ended,))
                watcher.start()
                try:
                    yield arm
                finally:
                    ended.set()
                    watcher.join()
        finally:
            executor.remove_node(arm)
            arm.destroy_node()
            executor.shutdown()
            rclpy.shutdown()
