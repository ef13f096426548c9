"""A Franka arm without ros2_control: trajectories in, libfranka out, and words about both."""

from __future__ import annotations

import os
import sys
import threading
import time

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, WrenchStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Header, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.contract import Contract
from vilp_ros.contract.arm import FRANKA_JOINTS
from vilp_ros.control.fit import Fit
from vilp_ros.control.follower import Follower
from vilp_ros.control.precheck import PreCheck
from vilp_ros.data.observe import MessageError, joints_by_name, seconds
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of
from vilp_ros.kinematics.base import to_matrix
from vilp_ros.kinematics.base import to_pose as pose_of
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Rate, Report
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.franka.arm import PERIOD_S, ArmState, FrankaArm
from vilp_ros.ros.franka.gripper import FrankaGripper, Grip
from vilp_ros.ros.franka.words import MODES, explain
from vilp_ros.ros.messages import to_gripper, to_joint_state, to_pose
from vilp_ros.ros.parameters import FRANKA_DRIVER, declare
from vilp_ros.ros.process import run

Array = NDArray[np.float64]
# Each time that franky takes a new target it begins from the arm's account of the last command,
# which is a guess where one came too late (`FrankaArm.steady`). Rarely is better.
TICKS_A_TARGET = 4
AHEAD_S = 0.1
ANSWER_TIMEOUT_S = 10.0
PRIORITY = 60  # SCHED_FIFO; franky's 1 kHz thread inherits that of the thread which starts it


class FrankaDriverNode(Node):
    """Follows joint trajectories by the clock; stops smoothly when they end, and says why.

    One thread owns the arm. 25 times a second it tells franky's own loop where to be a little
    later, and where to come to rest if nothing more is said; callbacks only leave messages.
    After a start, an enable or a recovery the reference fades in from where the arm is.
    """

    def __init__(self) -> None:
        super().__init__("franka_driver")
        self.exit_code: int | None = None
        self.loading = False
        self._settings = settings = declare(self, FRANKA_DRIVER)
        self._contract = contract = Contract.load(find_contract(settings.contract))
        whole = contract.action.transport == "joint_trajectory"
        if not whole or contract.arm is None or len(contract.proprio.joint_names) != FRANKA_JOINTS:
            raise VilpError(
                f"franka_driver takes joint trajectories; contract {contract.robot} needs arm: fr3 "
                "and action.transport: joint_trajectory, as config/robots/fr3_direct.yaml has them"
            )
        self._kinematics = kinematics = kinematics_of(contract)
        anywhere = np.zeros(FRANKA_JOINTS)
        tool = kinematics.tool(anywhere, kinematics.forward(anywhere))
        self._hand_to_flange = np.linalg.inv(to_matrix(tool))
        self._fit = Fit(contract, self._kinematics, "the hand, with the tool set in Desk,")
        self._misfit = ""
        self._check = PreCheck(contract.limits, "joint_position", contract.control_period_s)
        self._follower = Follower(contract.limits, settings.bridge_s, settings.fade_in_s)
        self._lock = threading.Lock()
        self._enabled = bool(settings.enabled)
        self._wants = {"brake": threading.Event(), "recover": threading.Event()}
        self._recovered = threading.Event()
        self._refused, self._refusals, self._last_reflex, self._reflexes = "", 0, "", 0
        self._ticks, self._said = 0, Time()
        self._state: ArmState | None = None
        self._rate = Rate()
        self._stopped, self._wake = threading.Event(), threading.Event()
        self._make_topics()
        self._diagnostics = Diagnostics(self, self._report, contract.robot)
        self._gripper = FrankaGripper(settings.robot_ip, settings.grasp_force_n)
        self._thread = threading.Thread(target=self._run, name="arm")
        self._thread.start()

    def close(self) -> None:
        """Bring the arm to rest and end the threads."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()
        self._gripper.close()

    def _make_topics(self) -> None:
        proprio, action, out = self._contract.proprio, self._contract.action, qos.STATE_OUT
        self._joints = self.create_publisher(JointState, proprio.joint_state_topic, out)
        topic = proprio.ee_pose_topic
        self._pose = topic and self.create_publisher(PoseStamped, topic, out)
        self._width = self.create_publisher(JointState, proprio.gripper_topic, out)
        self._wrench = self.create_publisher(WrenchStamped, "~/external_wrench", out)
        self._mode = self.create_publisher(String, "~/robot_mode", out)
        rate_topic = "~/control_command_success_rate"
        self._success = self.create_publisher(Float64, rate_topic, out)
        self.create_subscription(
            JointTrajectory, action.joint_topic, self._on_trajectory, qos.COMMANDS
        )
        self.create_subscription(JointState, action.width_topic, self._on_gripper, qos.LATEST)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/stop", self._on_stop)
        self.create_service(Trigger, "~/recover", self._on_recover)
        self.create_service(Trigger, "~/home_gripper", self._on_home)

    def _heeded_s(self) -> float:
        """Present time, told to the path too; under the lock, so that threads tell it in order."""
        now_s = self.get_clock().now().nanoseconds * 1e-9
        self._follower.path.heed_clock(now_s)
        return now_s

    def _refuse(self, why: str) -> None:
        self._refused, self._refusals = why, self._refusals + 1
        self.get_logger().warning(f"refused: {why}", throttle_duration_sec=1.0)

    def _on_trajectory(self, message: JointTrajectory) -> None:
        names, state = self._contract.proprio.joint_names, self._state
        if not self._enabled or self._last_reflex or self._misfit or state is None:
            return  # diagnostics say which
        try:
            positions = np.array(
                [joints_by_name(message, p.positions, names) for p in message.points]
            )
            velocities = None
            if message.points and all(p.velocities for p in message.points):
                velocities = np.array(
                    [joints_by_name(message, p.velocities, names) for p in message.points]
                )
        except MessageError as error:
            self._refuse(str(error))
            return
        times = np.array(
            [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in message.points]
        )
        values = (positions, times) if velocities is None else (positions, times, velocities)
        if not all(np.isfinite(v).all() for v in values):
            self._refuse("trajectory is not finite")
            return
        stamp_s = seconds(message.header.stamp)
        with self._lock:
            now_s = self._heeded_s()
            reference = self._follower.path.at(now_s)
            if len(positions):
                # Against where the arm is being led: it lags behind that on purpose.
                here = state.position if reference is None else reference.position
                first = int(
                    np.clip(np.searchsorted(times, now_s - (stamp_s or now_s)), 0, len(times) - 1)
                )
                width = np.zeros((len(positions), 1))
                wrong = self._check.misplaced(
                    np.hstack([positions, width])[first:], np.append(here, 0)
                )
                if wrong:
                    self._refuse("; ".join(wrong))
                    return
            refusal = self._follower.path.submit(stamp_s, times, positions, velocities, now_s)
        if refusal:
            self._refuse(refusal)
        else:
            self._refused = ""
            self._rate.tick()

    def _on_gripper(self, message: JointState) -> None:
        if not self._enabled:
            return
        position = message.position[0] if message.position else float("nan")
        refusal = self._gripper.move(self._contract.recorded_width.metres(position))
        if refusal:
            self._refuse(refusal)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not request.data:
            self._halt()
        with self._lock:
            self._follower.path.clear()
        self._enabled = request.data
        response.success = True
        response.message = "follows trajectories from now on" if request.data else "stopped"
        if request.data and self._last_reflex:
            response.success, response.message = False, f"call ~/recover first: {self._last_reflex}"
        return response

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._halt()
        response.success, response.message = True, "stopped until ~/enable"
        return response

    def _halt(self) -> None:
        self._enabled = False
        self._wants["brake"].set()
        self._wake.set()

    def _on_recover(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._recovered.clear()
        self._wants["recover"].set()
        self._wake.set()
        response.success = self._recovered.wait(ANSWER_TIMEOUT_S) and not self._last_reflex
        response.message = "ready" if response.success else f"still: {self._last_reflex}"
        return response

    def _on_home(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._gripper.home()
        response.success, response.message = True, "homing; gripper on diagnostics says when done"
        return response

    def _run(self) -> None:
        arm = None
        try:
            if self._settings.realtime:
                _take_priority()
            arm = FrankaArm(
                self._settings.robot_ip,
                self._contract.limits,
                realtime=self._settings.realtime,
                collision_torque_nm=self._settings.collision_torque_nm,
                collision_force_n=self._settings.collision_force_n,
            )
            while not self._stopped.is_set():
                started = time.monotonic()
                self._tick(arm)
                self._wake.wait(max(0.0, started + PERIOD_S - time.monotonic()))
                self._wake.clear()
        except VilpError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            self.exit_code = 2
        except BaseException:
            self.exit_code = 1
            raise
        finally:
            if arm is not None:
                arm.close()

    def _tick(self, arm: FrankaArm) -> None:
        if self._wants["brake"].is_set():
            self._wants["brake"].clear()
            arm.brake()
            self._forget()
        if self._wants["recover"].is_set():
            self._wants["recover"].clear()
            if arm.recover():
                self._last_reflex = ""
            self._forget()
            self._recovered.set()
        failed = arm.failure()
        state = arm.state()
        if failed or (state.mode == "Reflex" and not self._last_reflex):
            self._reflexes += 1
            self._last_reflex = explain(failed or state.errors)
            self.get_logger().error(self._last_reflex)
            self._forget()
        self._ticks += 1
        fitted = not self._misfit
        self._misfit = self._misfit_of(state)
        if self._misfit and fitted:
            arm.brake()
            self._forget()
        able = self._enabled and not self._last_reflex and not self._misfit
        free = able and not self._wants["brake"].is_set()
        if free and self._ticks >= TICKS_A_TARGET and arm.steady:
            self._ticks = 0
            self._follow(arm, state)
        self._state = state
        self._publish(state)

    def _misfit_of(self, state: ArmState) -> str:
        """Of the tool alone: the arm's own account of its hand may be of another instant."""
        if state.tool is None:
            return ""
        hand = to_matrix(self._kinematics.forward(state.position))
        told = pose_of(hand @ self._hand_to_flange @ state.tool)
        return self._fit.misfit(state.position, told, time.monotonic())

    def _forget(self) -> None:
        with self._lock:
            self._follower.clear()

    def _follow(self, arm: FrankaArm, state: ArmState) -> None:
        with self._lock:
            due_s = self._heeded_s() + AHEAD_S
            aim = self._follower.aim(due_s, time.monotonic(), state.position)
        if aim is not None:
            arm.follow(aim, AHEAD_S)

    def _publish(self, state: ArmState) -> None:
        stamp, base = self.get_clock().now().to_msg(), self._contract.base_frame
        if stamp == self._said:
            return  # a simulator's time that stands: a state is said once
        self._said, names = stamp, self._contract.proprio.joint_names
        joints = to_joint_state(names, state.position, stamp, state.velocity)
        joints.effort = state.torque.tolist()
        self._joints.publish(joints)
        header = Header(stamp=stamp, frame_id=base)
        pose = to_pose(self._kinematics.forward(state.position))
        if self._pose:
            self._pose.publish(PoseStamped(header=header, pose=pose))
        grip = self._gripper.grip
        if np.isfinite(grip.width):
            self._width.publish(to_gripper(self._contract, grip.width, stamp))
        wrench = WrenchStamped(header=header)
        force, torque = wrench.wrench.force, wrench.wrench.torque
        force.x, force.y, force.z, torque.x, torque.y, torque.z = map(float, state.wrench)
        self._wrench.publish(wrench)
        self._mode.publish(String(data=state.mode))
        self._success.publish(Float64(data=state.success_rate))

    def _report(self) -> Report:
        state, grip = self._state, self._gripper.grip
        if state is None:
            return Report(WARN, f"connecting to {self._settings.robot_ip}")
        values: dict[str, object] = {
            "robot_mode": state.mode,
            "enabled": self._enabled,
            "control_command_success_rate": state.success_rate,
            "trajectories_hz": self._rate.hz,
            "trajectories_refused": self._refusals,
            "reflexes": self._reflexes,
            "last_reflex": self._last_reflex,
            **_gripper_values(grip),
        }
        if self._last_reflex:
            return Report(ERROR, f"reflex, call ~/recover: {self._last_reflex}", values)
        mode = MODES.get(state.mode, state.mode)
        if state.mode not in ("Idle", "Move"):
            return Report(ERROR, mode, values)
        if not self._enabled:
            return Report(WARN, f"{mode}; stopped until ~/enable", values)
        if self._misfit:
            return Report(ERROR, f"{mode}; does not move: {self._misfit}", values)
        if self._refused:
            return Report(ERROR, f"{mode}; refused: {self._refused}", values)
        if grip.problem:
            return Report(WARN, f"{mode}; {grip.problem}", values)
        if (last := self._follower.last) is None:
            return Report(OK, f"{mode}; waiting for a trajectory", values)
        if last.rate < 1:
            return Report(WARN, f"{mode}; the trajectory is over: holding", values)
        return Report(OK, f"{mode}; following", values)


def _take_priority() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        raise VilpError(
            "no right to real-time priority, so commands would come too late at times; `vilp "
            "doctor` says how to give it, realtime:=false goes without"
        ) from None


def _gripper_values(grip: Grip) -> dict[str, object]:
    return {
        "gripper": grip.doing,
        "gripper_width_m": grip.width,
        "gripper_holds": grip.holds,
        "gripper_problem": grip.problem,
    }


def main() -> None:
    """Entry point of the executable `franka_driver_node`."""
    run(FrankaDriverNode)


if __name__ == "__main__":
    main()
