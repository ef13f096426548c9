"""The simulated arm and its cameras, on the topics of a real one, in real time or slower."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.contract import Contract
from vilp_ros.contract.readers import parse_yaml, read
from vilp_ros.data.observe import MessageError, from_pose, joints_by_name, seconds
from vilp_ros.errors import VilpError
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from vilp_ros.ros.expert import ExpertDriver
from vilp_ros.ros.files import find_contract, find_model
from vilp_ros.ros.images import camera_type, to_jpeg, to_message
from vilp_ros.ros.messages import to_camera_info, to_gripper, to_joint_state, to_pose, to_stamp
from vilp_ros.ros.pacer import Pacer
from vilp_ros.ros.parameters import SIM, declare
from vilp_ros.ros.process import run
from vilp_ros.ros.steady import speed_of
from vilp_ros.ros.target import Target
from vilp_ros.sim.env import CONTROL_PERIOD_S, Observation, SimEnv

PANDA_JOINTS = 7
RESET_TIMEOUT_S = 60.0


@dataclass
class _Reset:
    seed: int
    done: threading.Event = field(default_factory=threading.Event)


class SimNode(Node):
    """Steps `SimEnv` on a steady schedule in a thread of its own; callbacks only leave messages.

    A period is simulated ahead with the target in force when it begins, and its pictures and state
    are published, stamped, when it ends. So commands act causally, and rendering time is hidden
    like the exposure and readout of a camera that stamps well.

    With `use_sim_time` the stamps count simulated seconds and /clock carries them, `speed` of them
    in a second; without, they are system time, so that ages measured against them are real.
    """

    def __init__(self) -> None:
        super().__init__("sim")
        self.exit_code: int | None = None
        self.loading = False
        self._settings = declare(self, SIM)
        self._own_clock = bool(self.get_parameter("use_sim_time").value)
        self._speed = speed_of(self)
        self._contract = contract = Contract.load(find_contract(self._settings.contract))
        if contract.control_period_s != CONTROL_PERIOD_S:
            raise VilpError(
                f"contract {contract.robot} has control_period_s {contract.control_period_s}; "
                f"the simulator runs at {CONTROL_PERIOD_S}"
            )
        if (count := len(contract.proprio.joint_names)) != PANDA_JOINTS:
            raise VilpError(
                f"contract {contract.robot} has {count} joints; the simulated Panda has "
                f"{PANDA_JOINTS}: sim:=false, or another contract"
            )
        sizes = {view.published for view in contract.views.values()}
        if len(sizes) > 1:
            raise VilpError(f"the simulator renders views of one size; the contract has {sizes}")
        self._size = sizes.pop()
        self._target = Target()
        self._refused, self._built = "", False
        self._report = Report(WARN, "building the simulation")
        self.get_logger().info("building the simulation")
        self._episode, self._seed, self._step = 0, int(self._settings.seed), 0
        self._sim_s = 0.0
        self._reset: _Reset | None = None
        self._expert: ExpertDriver | None = None
        self._stopped = threading.Event()
        self._make_topics()
        self._diagnostics = Diagnostics(self, lambda: self._report, contract.robot)
        self._thread = threading.Thread(target=self._run, name="simulation")
        self._thread.start()

    def close(self) -> None:
        """End the simulation thread, unless it is still building the model, which takes seconds."""
        self._stopped.set()
        self._thread.join(None if self._built else 1.0)

    def _make_topics(self) -> None:
        proprio, action, views = self._contract.proprio, self._contract.action, self._contract.views
        self._images, self._infos = {}, {}
        for name, view in views.items():
            self._images[name] = self.create_publisher(camera_type(view), view.topic, qos.SENSOR)
            self._infos[name] = self.create_publisher(CameraInfo, view.info_topic, qos.SENSOR)
        out = qos.STATE_OUT
        self._joints = self.create_publisher(JointState, proprio.joint_state_topic, out)
        topic = proprio.ee_pose_topic
        self._ee_pose = topic and self.create_publisher(PoseStamped, topic, out)
        self._gripper = self.create_publisher(JointState, proprio.gripper_topic, out)
        self._status = self.create_publisher(DiagnosticStatus, "~/status", out)
        # Absolute: every node of the graph, in whatever namespace, takes its time from this topic.
        self._clock_topic = self.create_publisher(Clock, "/clock", qos.SENSOR)
        if action.kind == "ee_pose":
            self.create_subscription(PoseStamped, action.pose_topic, self._on_pose, qos.LATEST)
        else:
            self.create_subscription(
                JointTrajectory, action.joint_topic, self._on_trajectory, qos.LATEST
            )
        self.create_subscription(JointState, action.width_topic, self._on_gripper, qos.LATEST)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/demonstrate", self._on_demonstrate)
        if self._settings.expert:
            self._expert = ExpertDriver(self, self._contract, self._settings.expert)

    def _on_pose(self, message: PoseStamped) -> None:
        base = self._contract.base_frame
        if message.header.frame_id != base:
            self._refused = f"target refused: frame '{message.header.frame_id}', not '{base}'"
            return
        stamp = seconds(message.header.stamp)
        self._refused = self._target.move_arm(stamp, from_pose(message.pose)) or ""

    def _on_trajectory(self, message: JointTrajectory) -> None:
        try:
            names = self._contract.proprio.joint_names
            joints = joints_by_name(message, message.points[-1].positions, names)
            self._refused = self._target.move_arm(seconds(message.header.stamp), joints) or ""
        except (MessageError, IndexError) as error:
            self._refused = f"target refused: {error}"

    def _on_gripper(self, message: JointState) -> None:
        if not message.position:
            self._refused = "gripper target refused: no position"
            return
        stamp = seconds(message.header.stamp)
        width = self._contract.recorded_width.metres(message.position[0])
        self._refused = self._target.move_gripper(stamp, width) or ""

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        reset = _Reset(int(self.get_parameter("seed").value))
        self._reset = reset
        response.success = reset.done.wait(RESET_TIMEOUT_S)
        response.message = f"episode {self._episode}, seed {reset.seed}"
        if not response.success:
            response.message = f"the simulation did not reset within {RESET_TIMEOUT_S:.0f} s"
        return response

    def _on_demonstrate(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._expert is None:
            response.message = "no expert: start the simulator with expert:=expert"
        elif self._expert.state != "waiting":
            response.message = f"the expert is {self._expert.state}: reset first"
        else:
            self._expert.begin()
            response.success, response.message = True, "the expert drives"
        return response

    def _run(self) -> None:
        try:
            with self._build() as env:
                self._simulate(env)
        except VilpError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            self.exit_code = 2
        except BaseException:
            self.exit_code = 1
            raise
        finally:
            self._stopped.set()

    def _build(self) -> SimEnv:
        task = self._settings.task
        if not task:  # not through vilp_ros.policy: a simulator has no use for torch
            file = find_model(self._settings.model) / "policy.yaml"
            if not (task := (parse_yaml(read(file), str(file)) or {}).get("task")):
                raise VilpError(f"{file} names no task: give one with task:=")
        return SimEnv(
            task,
            views=tuple(self._contract.views),
            size=self._size,
            action_kind=self._contract.action.kind,
            variation=self._settings.variation,
        )

    def _simulate(self, env: SimEnv) -> None:
        self._built = True
        self._intrinsics = {view: env.intrinsics(view) for view in env.views}
        self._reset = self._reset or _Reset(self._seed)
        pacer = Pacer(CONTROL_PERIOD_S / self._speed, self._sleep)
        while not self._stopped.is_set():
            reset, self._reset = self._reset, None
            if reset is not None:
                observation = self._new_scene(env, reset.seed)
                self._episode, self._seed, self._step = self._episode + 1, reset.seed, 0
                arm = observation.ee_pose
                if env.action_kind == "joint_position":
                    arm = observation.joint_position
                self._target.reset(arm, observation.gripper_width, self._now_s())
                pacer.restart()
                reset.done.set()
            else:
                observation = env.step(self._target.action())
                self._step += 1
            success = env.success()
            pacer.wait()
            self._sim_s += CONTROL_PERIOD_S
            self._publish(env, observation, success, pacer.on_schedule)
            if self._expert is not None:
                self._expert.drive(observation, success, to_stamp(self._now_s()))

    def _new_scene(self, env: SimEnv, seed: int) -> Observation:
        if self._expert is None:
            return env.reset(seed)
        mode, noise = (self.get_parameter(f"expert_{name}").value for name in ("mode", "noise"))
        return self._expert.reset(env, seed, int(mode), float(noise))

    def _now_s(self) -> float:
        return self._sim_s if self._own_clock else time.time()

    def _sleep(self, duration_s: float) -> None:
        if not self._own_clock:
            self._stopped.wait(duration_s)
            return
        tick, start = 1.0 / self._settings.clock_hz, time.monotonic()
        while (left := start + duration_s - time.monotonic()) > 0:
            between = max(0.0, CONTROL_PERIOD_S - left * self._speed)
            self._clock_topic.publish(Clock(clock=to_stamp(self._sim_s + between)))
            if self._stopped.wait(min(tick, left)):
                return

    def _publish(
        self, env: SimEnv, observation: Observation, success: bool, on_schedule: float
    ) -> None:
        stamp = to_stamp(self._now_s())
        self._clock_topic.publish(Clock(clock=stamp))
        self._publish_state(observation, stamp)
        for view in observation.images:
            # Depth is aligned to colour: the same optics, the same frame.
            frame = f"{view.removesuffix('_depth')}_optical_frame"
            self._images[view].publish(self._encode(view, observation, stamp, frame))
            info = to_camera_info(*self._size, self._intrinsics[view], stamp, frame)
            self._infos[view].publish(info)
        values = {
            "task": env.task,
            "seed": self._seed,
            "episode": self._episode,
            "step": self._step,
            "success": success,
            **({} if (part := env.measured()) is None else {"measured": f"{part:.3f}"}),
            "real_time_factor": on_schedule * self._speed,
            "expert": self._expert.state if self._expert else "none",
        }
        self._report = self._judge(on_schedule, values)
        status = Report(OK, "success" if success else "running", values)
        self._status.publish(status.to_message("sim", self._contract.robot))

    def _encode(
        self, view: str, seen: Observation, stamp: Time, frame: str
    ) -> Image | CompressedImage:
        encoding, image = self._contract.views[view].encoding, seen.images[view]
        if camera_type(self._contract.views[view]) is CompressedImage and view not in seen.depth_m:
            return to_jpeg(image, stamp, frame)
        possible = ("32FC1",) if view in seen.depth_m else ("rgb8", "bgr8")
        if encoding not in possible:
            raise VilpError(
                f"the simulator publishes {view} as {' or '.join(possible)}; the contract wants "
                f"{encoding}"
            )
        if encoding == "32FC1":
            image = seen.depth_m[view]
        elif encoding == "bgr8":
            image = image[..., ::-1]
        return to_message(image, encoding, stamp, frame)

    def _publish_state(self, observation: Observation, stamp: Time) -> None:
        self._joints.publish(
            to_joint_state(
                self._contract.proprio.joint_names,
                observation.joint_position,
                stamp,
                observation.joint_velocity,
            )
        )
        if self._ee_pose:
            header = Header(stamp=stamp, frame_id=self._contract.base_frame)
            self._ee_pose.publish(PoseStamped(header=header, pose=to_pose(observation.ee_pose)))
        self._gripper.publish(to_gripper(self._contract, observation.gripper_width, stamp))

    def _judge(self, on_schedule: float, values: dict[str, object]) -> Report:
        if self._refused:
            return Report(ERROR, self._refused, values)
        if on_schedule < 0.95:
            wanted = f"speed {self._speed:g}" if self._speed < 1.0 else "real time"
            factor = f"{on_schedule * self._speed:.2f}"
            return Report(WARN, f"slower than {wanted}: factor {factor}; see speed", values)
        return Report(OK, "running", values)


def main() -> None:
    """Entry point of the executable `sim_node`."""
    run(SimNode)


if __name__ == "__main__":
    main()
