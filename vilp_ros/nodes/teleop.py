"""A person steers the arm, on the topics and within the limits of a policy."""

from __future__ import annotations

import contextlib
import time

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from vilp_ros.contract import Contract
from vilp_ros.control.action import fault
from vilp_ros.control.jog import Jog
from vilp_ros.control.limits import UnsafeCommandError
from vilp_ros.control.steering import Steering
from vilp_ros.data.commands import HUMAN
from vilp_ros.data.observe import MessageError, joints_by_name, width_of
from vilp_ros.errors import VilpError
from vilp_ros.ros import qos
from vilp_ros.ros.commands import LEAD_S
from vilp_ros.ros.demonstrated import DemonstratedCommands, check_recordable
from vilp_ros.ros.diagnostics import OK, WARN, Diagnostics, Report
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.hand_pose import listen_to_hand
from vilp_ros.ros.led import Led
from vilp_ros.ros.messages import to_stamp
from vilp_ros.ros.parameters import TELEOP, declare
from vilp_ros.ros.process import run
from vilp_ros.ros.teleop_devices import KEYBOARD_HELP, Hand, open_device

DISCOVERY_S = 5.0  # a controller that is there was found by then
ASK_AGAIN_S = 1.0  # a controller that ended before it answered is asked anew when it is back
RAMP_M_S, AT_ONCE_M_S = 0.15, 10.0
"""Of the width: the simulator's fingers follow a ramp; a Franka Hand makes one movement of each
target."""


class TeleopNode(Node):
    """Sends a policy's commands while it has the arm, and says on `commander` that it is a person.

    It takes the arm at the word `takeover` (at once, where no controller runs): the controller is
    disabled first, and the arm at rest, so that never two command. A controller that is found, or
    started again, while a person steers is disabled before the person goes on. Given back, the arm
    comes to rest and the controller goes on with the next plan. What a person did during a policy's
    run is recorded as such, a correction.
    """

    def __init__(self) -> None:
        super().__init__("teleop")
        self.exit_code: int | None = None
        self.loading = False
        settings = declare(self, TELEOP)
        self._contract = contract = Contract.load(find_contract(settings.contract))
        self._rate_hz = settings.command_rate_hz
        self._commands: DemonstratedCommands | None = None
        self._led = Led(self, contract)
        simple = contract.action.transport == "target"
        self._jog = Jog(
            contract.limits,
            settings.linear_speed,
            settings.angular_speed,
            RAMP_M_S if simple else AT_ONCE_M_S,
        )
        whole = contract.action.transport == "joint_trajectory"
        self._steering = Steering(contract, self._jog, LEAD_S if whole else 0.0)
        check_recordable(contract)
        self._device = open_device(settings.device, settings.device_path)
        self._wants_arm = self._has_arm = self._giving = self._grips = False
        self._disabled, self._asked_s = False, -ASK_AGAIN_S  # the controller, by us
        self._asked: Future | None = None
        self._arm: np.ndarray | None = None  # (A - 1,) where it is, in the words that it is sent
        self._width: float | None = None
        self._pose: np.ndarray | None = None  # (7,) of the hand, where joints are sent
        self._heard_s = self._posed_s = 0.0
        self._found_s = time.monotonic() + DISCOVERY_S
        self._said = "waiting for the state of the arm"
        self._enable = self.create_client(SetBool, "controller/enable")
        self._recorder = {
            name: self.create_client(Trigger, f"recorder/{name}")
            for name in ("start", "success", "failure", "discard")
        }
        self._listen()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / settings.command_rate_hz, self._tick, clock=steady)
        self._diagnostics = Diagnostics(self, self._report, contract.robot)
        if settings.device == "keyboard":
            self.get_logger().info(KEYBOARD_HELP)

    def _listen(self) -> None:
        proprio, depth = self._contract.proprio, qos.STATE_IN
        listen_to_hand(self, self._contract, self._on_pose)
        if self._contract.action.sends != "ee_pose":
            self.create_subscription(JointState, proprio.joint_state_topic, self._on_joints, depth)
        self.create_subscription(JointState, proprio.gripper_topic, self._on_gripper, depth)

    def close(self) -> None:
        """Gives the device back."""
        self._device.close()

    def _on_pose(self, stamp_s: float, pose: np.ndarray) -> None:
        self._pose, self._posed_s = pose, time.monotonic()
        if self._contract.action.sends == "ee_pose":
            self._arm, self._heard_s = self._pose, self._posed_s

    def _on_joints(self, message: JointState) -> None:
        names = self._contract.proprio.joint_names
        try:
            self._arm = joints_by_name(message, message.position, names)
        except MessageError as error:
            self.get_logger().warning(f"joint states: {error}", throttle_duration_sec=5.0)
            return
        self._heard_s = time.monotonic()

    def _on_gripper(self, message: JointState) -> None:
        with contextlib.suppress(MessageError):  # another's, on the same topic
            self._width = width_of(message, self._contract)

    def _tick(self) -> None:
        try:
            hand = self._device.read()
        except VilpError as error:
            self.get_logger().error(str(error))
            self.exit_code = 1
            return
        for word in hand.words:
            self._obey(word)
        alone = not self._enable.service_is_ready() and time.monotonic() > self._found_s
        self._change_hands(alone)
        self._make_publishers(self._has_arm or alone)
        waits = self._commands.claim() if self._commands is not None else ""
        if self._arm is None or self._width is None:
            return
        measured = np.append(self._arm, self._width)
        if wrong := waits or self._wrong(measured):
            self._said = f"{wrong}: nothing is sent"
            self._steering.release()
            if self._giving:
                self._give_back()
            return
        if alone and hand.twist.any():
            self._wants_arm = self._has_arm = True
        if not self._has_arm:
            who = "nobody" if alone else "a policy"
            how = "it is asked to rest" if self._wants_arm else "take over to steer"
            self._said = f"{who} has the arm: {how}"
            return
        now_s = self.get_clock().now().nanoseconds * 1e-9
        if self._commands is None:
            return
        if not self._steering.begun and not self._begin(self._commands, measured, now_s):
            return
        self._steer(self._commands, hand, measured, now_s)
        if self._giving and self._steering.over(now_s):
            self._give_back()

    def _make_publishers(self, wanted: bool) -> None:
        """None beside a controller that has the arm; before the first command, for the recorder."""
        if wanted and self._commands is None:
            self._commands = DemonstratedCommands(self, self._contract, self._rate_hz)
        elif not wanted and self._commands is not None:
            self._commands.destroy()
            self._commands = None

    def _wrong(self, measured: np.ndarray) -> str:
        """Why nobody can steer by what is known of the arm."""
        if time.monotonic() - self._heard_s > self._contract.staleness_s:
            return "the state of the arm is stale"
        kind = self._contract.action.sends
        if what := fault(kind, measured, self._contract.action_size(kind)):
            return f"the state of the arm: {what}"
        if self._steering.fit is None:
            return ""
        if self._pose is None or time.monotonic() - self._posed_s > self._contract.staleness_s:
            topic = self._contract.proprio.ee_pose_topic
            return f"nothing on {topic}, so the contract's tool cannot be checked"
        return self._steering.fit.misfit(measured[:-1], self._pose, time.monotonic())

    def _begin(self, commands: DemonstratedCommands, measured: np.ndarray, now_s: float) -> bool:
        """Lead the arm on from where it was led last, when it has come to rest and listens."""
        if not commands.heard:
            self._said = f"nobody listens on {commands.topic} yet"
            return False
        if not self._led.rests:
            self._said = "the arm is led by another command still: it must end first"
            return False
        self._steering.begin(self._led.near(measured), now_s)
        self._grips = self._led.width is not None
        return True

    def _steer(
        self, commands: DemonstratedCommands, hand: Hand, measured: np.ndarray, now_s: float
    ) -> None:
        """One tick of the motion, the hand's or, while the arm is given back, its end."""
        steering = self._steering
        if not self._giving:
            try:
                news = steering.step(hand.twist, measured, now_s)
            except UnsafeCommandError as error:
                self._said = str(error)
                return
            self._said = "; ".join(filter(None, ("a person steers", steering.finding)))
            if news:
                self._send_whole(commands)
        command, stamp = steering.command(now_s), to_stamp(now_s)
        commands.send(command, steering.hand(command), stamp, HUMAN, self._grips)

    def _send_whole(self, commands: DemonstratedCommands) -> None:
        horizon = self._steering.horizon
        if horizon is not None and commands.whole and not horizon.stands:
            commands.trajectory(horizon.start_s, horizon.motions)

    def _obey(self, word: str) -> None:
        if word == "gripper" and self._steering.begun:
            self._jog.grip()
            self._grips = True
        elif word == "takeover":
            if self._wants_arm:
                self._stop()
            else:
                self._wants_arm = True
        elif word in self._recorder and self._recorder[word].service_is_ready():
            self._recorder[word].call_async(Trigger.Request())
            self.get_logger().info(f"recorder: {word}")

    def _change_hands(self, alone: bool) -> None:
        """To the person who wants the arm only when no controller is there, or it was disabled."""
        ready, had_it = self._enable.service_is_ready(), self._has_arm
        self._disabled = self._disabled and ready
        self._has_arm = self._wants_arm and (alone or self._disabled)
        if self._has_arm and not had_it:
            self.get_logger().info("taken over")
        if had_it and not self._has_arm:
            self._steering.release()
        now_s = time.monotonic()
        if self._wants_arm and ready and not self._disabled and now_s > self._asked_s + ASK_AGAIN_S:
            self._asked_s = now_s
            self._asked = self._enable.call_async(SetBool.Request(data=False))
            self._asked.add_done_callback(self._on_rest)

    def _on_rest(self, future: Future) -> None:
        if future is self._asked:  # not of a takeover before
            self._disabled = bool(future.result().success)

    def _stop(self) -> None:
        """Bring the arm to rest, to be given back."""
        self._giving = True
        if self._commands is not None and self._steering.begun:
            self._steering.stop(self.get_clock().now().nanoseconds * 1e-9)
            self._send_whole(self._commands)
        else:
            self._give_back()

    def _give_back(self) -> None:
        self._wants_arm = self._has_arm = self._giving = self._disabled = False
        self._asked, self._asked_s = None, -ASK_AGAIN_S
        self._steering.release()
        if self._enable.service_is_ready():
            self._enable.call_async(SetBool.Request(data=True))
        self.get_logger().info("given back")

    def _report(self) -> Report:
        values: dict[str, object] = {"has_arm": self._has_arm, "gripper_open": self._jog.open}
        fine = self._has_arm and not self._steering.refused
        return Report(OK if fine else WARN, self._said, values)


def main() -> None:
    """Entry point of the executable `teleop_node`."""
    run(TeleopNode)


if __name__ == "__main__":
    main()
