"""Runs episodes on a live graph and records what happens on its topics; starts nothing itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.executors import TimeoutException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from vilp_ros.contract import Contract
from vilp_ros.data.observe import from_pose, joints_by_name, seconds
from vilp_ros.data.pixels import rgb_pixels
from vilp_ros.evaluation.demo.run_report import KEEPS_UP, EpisodeLog
from vilp_ros.nodes.demo.world_clock import WorldClock
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import ERROR
from vilp_ros.ros.hand_pose import listen_to_hand
from vilp_ros.ros.images import camera_type, to_array

EVERY = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
"""What is counted must not be dropped by the one who counts."""

PLANS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
"""As plans are sent: who counts them may not ask for more."""

ORDER = ("sim", "observation", "planner", "controller")
SPIN_PERIOD_S = 0.02
START_TIMEOUT_S = 120.0
SERVICE_TIMEOUT_S = 30.0
STALL_S = 5.0
AFTER_SUCCESS_S = 1.0
MAX_SHOWN = 5
PROOF_STEPS = 40
"""Control periods of an episode after which the simulator's pace is no longer chance."""


class PipelineError(Exception):
    """The pipeline does not run.

    Attributes:
        node: name of the node that failed.
    """

    def __init__(self, node: str, why: str) -> None:
        super().__init__(f"{node}: {why}")
        self.node = node


class TooSlowError(Exception):
    """The simulator falls behind: what comes of the episode would be the machine's doing.

    Attributes:
        real_time_factor: that it came to.
    """

    def __init__(self, real_time_factor: float) -> None:
        super().__init__(f"real-time factor {real_time_factor:.2f}")
        self.real_time_factor = real_time_factor


class Status(NamedTuple):
    """The simulator's account of one control period."""

    seed: int
    step: int
    success: bool
    real_time_factor: float


class DemoRecorder(Node):
    """Drives reset and enable, watches everything else.

    Ages are taken at the publisher (DDS source timestamps), so that a busy recorder does not make
    the robot look slow.

    Args:
        contract: of the robot.
        views: the bundle's views, in its order: the rows of a decoded strip.
        row_period_s: seconds between two columns of a strip.
        dead: tells of a process that ended, as (node, why); None while all live.
        stop: set by a signal; every wait then raises KeyboardInterrupt.
        clock: of the world that is watched.
        patient: run the first episode too to its end though the simulator falls behind.
    """

    def __init__(
        self,
        contract: Contract,
        views: Sequence[str],
        row_period_s: float,
        dead: Callable[[], tuple[str, str] | None],
        stop: threading.Event,
        clock: WorldClock,
        patient: bool,
    ) -> None:
        super().__init__("demo")
        self.clock, self._patient = clock, patient
        self._behind: float | None = None
        self._contract, self._views, self._dead, self._stop = contract, tuple(views), dead, stop
        self._row_period_s = row_period_s
        self._log: EpisodeLog | None = None
        self._status: Status | None = None
        self._heard: dict[str, float] = {}
        self.reports: dict[str, DiagnosticStatus] = {}
        self.on_tick: Callable[[], None] = lambda: None
        self._subscribe()
        self._reset = self.create_client(Trigger, "sim/reset")
        self._seed = self.create_client(SetParameters, "sim/set_parameters")
        self._new_episode = self.create_client(Trigger, "planner/new_episode")
        self._enable = self.create_client(SetBool, "controller/enable")

    def _subscribe(self) -> None:
        for name in self._views:
            view = self._contract.views[name]
            profile = QoSProfile(depth=10, reliability=qos.camera(view).reliability)
            callback = partial(self._on_image, name)
            self.create_subscription(camera_type(view), view.topic, callback, profile)
        # Callbacks of two arguments get the DDS timestamps too (EventsExecutor cannot do that).
        self.create_subscription(Image, "planner/predicted_frames", self._on_strip, qos.LATEST)
        self.create_subscription(Image, "planner/plan", self._on_plan, PLANS)
        self.create_subscription(Header, "controller/command_source", self._on_source, EVERY)
        self.create_subscription(JointState, "planner/imagination_gap", self._on_gap, EVERY)
        self.create_subscription(Path, "planner/plan_path", self._on_path, EVERY)
        proprio = self._contract.proprio
        self.create_subscription(
            JointState, proprio.joint_state_topic, self._on_joints, qos.STATE_IN
        )
        listen_to_hand(self, self._contract, self._on_arm)
        if self._contract.action.kind == "ee_pose":
            topic = self._contract.action.pose_topic
            self.create_subscription(PoseStamped, topic, self._on_target, EVERY)
        self.create_subscription(DiagnosticStatus, "sim/status", self._on_status, EVERY)
        if self.clock.speed < 1.0:
            self.create_subscription(Clock, "/clock", self._on_clock, qos.SENSOR)
        self.create_subscription(DiagnosticArray, "diagnostics", self._on_diagnostics, EVERY)

    def wait_ready(self, say: Callable[[str], object]) -> None:
        """Blocks until every node is up.

        Args:
            say: told which node it is that we wait for.

        Raises:
            PipelineError: one is not, within `START_TIMEOUT_S`.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        up: dict[str, Callable[[], bool]] = {
            "sim": lambda: self._status is not None and self._reset.service_is_ready(),
            "observation": lambda: "observation" in self.reports,
            "planner": lambda: "plan" in self._heard and self._new_episode.service_is_ready(),
            "controller": lambda: "controller" in self.reports and self._enable.service_is_ready(),
        }
        for node, condition in up.items():
            say(node)
            left = max(deadline - time.monotonic(), 0.1)
            self._wait(condition, left, node, f"not up within {START_TIMEOUT_S:.0f} s")

    def run_episode(self, log: EpisodeLog, limit_s: float) -> None:
        """Resets to `log.seed`, enables the controller, records until success or time out.

        Args:
            log: where everything goes; complete when this returns, usable when it raises.
            limit_s: simulated seconds from the first command to failure.

        Raises:
            PipelineError: a node died, fell silent or refused a request.
            TooSlowError: in the first episode, unless patient.
        """
        self._call(self._enable, SetBool.Request(data=False), "controller")
        seed = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=log.seed)
        self._set(self._seed, "sim", "seed", seed)
        self._status = None
        self._call(self._reset, Trigger.Request(), "sim")
        self._wait(
            lambda: self._status is not None and self._status.seed == log.seed,
            SERVICE_TIMEOUT_S,
            "sim",
            f"no status with seed {log.seed} after the reset",
        )
        self._call(self._new_episode, Trigger.Request(), "planner")
        holds = self._holds()
        log.images = {view: [] for view in self._views}
        log.began_s = self.clock.now()
        self._log = log
        try:
            self._call(self._enable, SetBool.Request(data=True), "controller")
            self._watch(log, limit_s)
        finally:
            log.ended_s = self.clock.now()
            self._log = None
        self._call(self._enable, SetBool.Request(data=False), "controller")
        self.reports.pop("controller", None)  # the next one counts all holds of this episode
        self._wait(
            lambda: "controller" in self.reports, SERVICE_TIMEOUT_S, "controller", "no diagnostics"
        )
        log.holds = self._holds() - holds
        self._patient = True  # from now on there are episodes to lose

    def _watch(self, log: EpisodeLog, limit_s: float) -> None:
        for node, flow in (("planner", log.plans), ("controller", log.commands)):
            self._wait(lambda flow=flow: bool(flow), 2 * STALL_S, node, "nothing came from it")
        assert self._status is not None
        last = self._status.step + round(limit_s / self._contract.control_period_s)
        while log.success_s is None and self._status.step < last:
            self._spin()
            for node, what in (("sim", "status"), ("planner", "plan")):
                silence = time.monotonic() - self._heard[what]
                if silence > STALL_S:
                    self._blame(node, f"silent for {silence:.0f} s")
        ends = time.monotonic() + AFTER_SUCCESS_S / self.clock.speed
        while log.success_s is not None and time.monotonic() < ends:
            self._spin()

    def _spin(self) -> None:
        """Waits a little, then takes all that came: one wait set for many messages.

        `spin_once` builds one for each; that costs a sixth of a core, which the robot needs.
        """
        if self._stop.wait(SPIN_PERIOD_S):
            raise KeyboardInterrupt
        death = self._dead()
        if death is not None:
            raise PipelineError(*death)
        if self._behind is not None:
            raise TooSlowError(self._behind)
        assert self.executor is not None
        with suppress(TimeoutException):
            while True:
                handler, _, _ = self.executor.wait_for_ready_callbacks(timeout_sec=0.0)
                handler()
                handler.result()  # raises what the callback raised
        self.on_tick()

    def _wait(self, condition: Callable[[], bool], limit_s: float, node: str, why: str) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                self._blame(node, why)
            self._spin()

    def _blame(self, node: str, why: str) -> None:
        """Raises PipelineError for the first node upstream of `node` that complains itself."""
        for name in ORDER[: ORDER.index(node) + 1]:
            report = self.reports.get(name)
            if report is not None and report.level == ERROR:
                raise PipelineError(name, report.message)
        raise PipelineError(node, why)

    def _call(self, client: Client, request: Any, node: str) -> None:
        name = client.srv_name
        self._wait(client.service_is_ready, SERVICE_TIMEOUT_S, node, f"no service {name}")
        future = client.call_async(request)
        self._wait(future.done, SERVICE_TIMEOUT_S, node, f"{name} does not answer")
        response = future.result()
        answers = getattr(response, "results", [response])  # of SetParameters, or of the others
        if not all(a.success if hasattr(a, "success") else a.successful for a in answers):
            raise PipelineError(node, f"{name} refused: {response}")

    def _set(self, client: Client, node: str, name: str, value: ParameterValue) -> None:
        parameters = [ParameterMessage(name=name, value=value)]
        self._call(client, SetParameters.Request(parameters=parameters), node)

    def _holds(self) -> int:
        return int(self.value("controller", "holds") or 0)

    def value(self, node: str, key: str) -> str | None:
        """A figure from a node's last diagnostics."""
        report = self.reports.get(node)
        values = report.values if report is not None else []
        return next((v.value for v in values if v.key == key), None)

    def _published(self, info: dict[str, int]) -> float:
        """World time at which a message left its publisher."""
        return self.clock.at((info["source_timestamp"] or time.time_ns()) * 1e-9)

    def _on_clock(self, message: Clock, info: dict[str, int]) -> None:
        wall_ns = info["source_timestamp"] or time.time_ns()
        self.clock.set(wall_ns * 1e-9, seconds(message.clock))

    def _on_image(self, view: str, message: Image) -> None:
        if self._log is not None:
            pixels = rgb_pixels(self._contract.views[view], message)
            self._log.images[view].append((seconds(message.header.stamp), pixels))

    def _on_strip(self, message: Image) -> None:
        log = self._log
        if log is None or seconds(message.header.stamp) < log.began_s:
            return
        view = self._contract.views[self._views[0]]
        log.strips += 1
        rows, columns = message.height // view.height, message.width // view.width
        grid = to_array(message).reshape(rows, view.height, columns, view.width, 3)
        future = np.arange(1, columns) if columns > 1 else np.zeros(1, int)
        if len(future) > MAX_SHOWN:
            future = future[::-2][::-1]  # every other one, and the last
        log.offsets_s = tuple(float(k) * self._row_period_s for k in future)
        frames = grid.transpose(0, 2, 1, 3, 4)[:, future]
        log.decoded.append(
            (seconds(message.header.stamp), dict(zip(self._views, frames, strict=True)))
        )

    def _on_plan(self, message: Image, info: dict[str, int]) -> None:
        self._heard["plan"] = time.monotonic()
        stamp = seconds(message.header.stamp)
        if self._log is not None and stamp >= self._log.began_s:
            self._log.plans.append((stamp, self._published(info)))

    def _on_source(self, message: Header, info: dict[str, int]) -> None:
        stamp = seconds(message.stamp)
        if self._log is not None and stamp >= self._log.began_s:
            self._log.commands.append((stamp, self._published(info)))

    def _on_target(self, message: PoseStamped) -> None:
        stamp = seconds(message.header.stamp)
        if self._log is not None and stamp >= self._log.began_s:  # not one left from the last one
            p = message.pose.position
            self._log.targets.append((stamp, np.array([p.x, p.y, p.z])))

    def _on_gap(self, message: JointState) -> None:
        if self._log is not None:
            named = zip(message.name, message.position, strict=True)
            values = {name: value for name, value in named if np.isfinite(value)}
            self._log.gaps.append((seconds(message.header.stamp), values))

    def _on_path(self, message: Path) -> None:
        log = self._log
        if log is not None and seconds(message.header.stamp) >= log.began_s:
            points = [from_pose(pose.pose)[:3] for pose in message.poses]
            log.paths.append((seconds(message.header.stamp), np.array(points)))

    def _on_joints(self, message: JointState) -> None:
        if self._log is not None:
            names = self._contract.proprio.joint_names
            angles = joints_by_name(message, message.position, names)
            self._log.joints.append((seconds(message.header.stamp), angles))

    def _on_arm(self, stamp_s: float, pose: np.ndarray) -> None:
        if self._log is not None:
            self._log.arm.append((stamp_s, pose[:3]))

    def _on_status(self, message: DiagnosticStatus) -> None:
        self._heard["status"] = time.monotonic()
        values = {v.key: v.value for v in message.values}
        self._status = status = Status(
            int(values["seed"]),
            int(values["step"]),
            values["success"] == "True",
            float(values["real_time_factor"]),
        )
        log = self._log
        if log is not None and status.seed == log.seed:
            log.real_time_factor.append(status.real_time_factor)
            steps, on_time = len(log.real_time_factor), KEEPS_UP * self.clock.speed
            if not self._patient and steps >= PROOF_STEPS and status.real_time_factor < on_time:
                self._behind = status.real_time_factor
            if "measured" in values:
                log.measured = max(log.measured or 0.0, float(values["measured"]))
            if status.success and log.success_s is None:
                log.success_s = self.clock.now()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.reports[status.name.rsplit("/", 1)[-1]] = status
