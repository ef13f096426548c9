"""A person steers the arm, on the topics and within the limits of a policy."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from vilp_ros.contract import Contract
from vilp_ros.control.jog import Jog
from vilp_ros.control.limits import UnsafeCommandError
from vilp_ros.data.commands import HUMAN
from vilp_ros.data.observe import from_pose
from vilp_ros.errors import VilpError
from vilp_ros.nodes import qos
from vilp_ros.nodes.demonstrated import DemonstratedCommands
from vilp_ros.nodes.diagnostics import OK, WARN, Diagnostics, Report
from vilp_ros.nodes.files import find_contract
from vilp_ros.nodes.parameters import TELEOP, declare
from vilp_ros.nodes.process import run
from vilp_ros.nodes.teleop_devices import KEYBOARD_HELP, open_device


class TeleopNode(Node):
    """Publishes absolute targets while it has the arm, and says on `commander` that it is a person.

    It takes the arm at the word `takeover` (at once, where no controller runs): the controller is
    disabled first, so that never two command. Given back, the controller goes on with the next
    plan. What a person did during a policy's run is recorded as such, a correction.
    """

    def __init__(self) -> None:
        super().__init__("teleop")
        self.exit_code: int | None = None
        self.loading = False
        settings = declare(self, TELEOP)
        self._contract = contract = Contract.load(find_contract(settings.contract))
        proprio = contract.proprio
        self._commands = DemonstratedCommands(self, contract)
        self._device = open_device(settings.device, settings.device_path)
        self._jog = Jog(contract.limits, settings.linear_speed, settings.angular_speed)
        self._has_arm = False
        self._ee_pose: np.ndarray | None = None
        self._width: float | None = None
        self._heard_s, self._last_s = 0.0, time.monotonic()
        self._said = "waiting for the state of the arm"
        self._enable = self.create_client(SetBool, "controller/enable")
        self._recorder = {
            name: self.create_client(Trigger, f"recorder/{name}")
            for name in ("start", "success", "failure", "discard")
        }
        depth = qos.STATE_IN
        self.create_subscription(PoseStamped, proprio.ee_pose_topic, self._on_pose, depth)
        self.create_subscription(JointState, proprio.gripper_topic, self._on_gripper, depth)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / settings.command_rate_hz, self._tick, clock=steady)
        self._diagnostics = Diagnostics(self, self._report, contract.robot)
        if settings.device == "keyboard":
            self.get_logger().info(KEYBOARD_HELP)

    def close(self) -> None:
        """Gives the device back."""
        self._device.close()

    def _on_pose(self, message: PoseStamped) -> None:
        self._ee_pose, self._heard_s = from_pose(message.pose), time.monotonic()

    def _on_gripper(self, message: JointState) -> None:
        if message.position:
            self._width = float(message.position[0]) * self._contract.proprio.gripper_scale

    def _tick(self) -> None:
        now_s = time.monotonic()
        dt_s, self._last_s = now_s - self._last_s, now_s
        try:
            hand = self._device.read()
        except VilpError as error:
            self.get_logger().error(str(error))
            self.exit_code = 1
            return
        for word in hand.words:
            self._obey(word)
        if self._ee_pose is None or self._width is None:
            return
        if now_s - self._heard_s > self._contract.staleness_s:
            self._said = "the state of the arm is stale: nothing is sent"
            self._jog.release()
            return
        if not self._has_arm and hand.twist.any() and not self._enable.service_is_ready():
            self._has_arm = True  # nobody else commands
        if not self._has_arm:
            self._said = "a policy has the arm: take over to steer"
            return
        try:
            command = self._jog.step(hand.twist, np.append(self._ee_pose, self._width), dt_s)
        except UnsafeCommandError as error:
            self._said = str(error)
            return
        self._said = "a person steers"
        self._commands.send(command, self.get_clock().now().to_msg(), HUMAN)

    def _obey(self, word: str) -> None:
        if word == "gripper":
            self._jog.open = not self._jog.open
        elif word == "takeover":
            self._change_hands()
        elif self._recorder[word].service_is_ready():
            self._recorder[word].call_async(Trigger.Request())
            self.get_logger().info(f"recorder: {word}")

    def _change_hands(self) -> None:
        """To the person only after the controller let go; back at once."""
        self._jog.release()
        if self._has_arm:
            self._has_arm = False
            if self._enable.service_is_ready():
                self._enable.call_async(SetBool.Request(data=True))
        elif self._enable.service_is_ready():
            future = self._enable.call_async(SetBool.Request(data=False))
            future.add_done_callback(lambda _: setattr(self, "_has_arm", True))
        else:
            self._has_arm = True
        self.get_logger().info("given back" if not self._has_arm else "taken over")

    def _report(self) -> Report:
        values: dict[str, object] = {"has_arm": self._has_arm, "gripper_open": self._jog.open}
        return Report(OK if self._has_arm else WARN, self._said, values)


def main() -> None:
    """Entry point of the executable `teleop_node`."""
    run(TeleopNode)


if __name__ == "__main__":
    main()
