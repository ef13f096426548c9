"""The driver over libfranka's own protocol, against limits that trip like those of the arm.

Set FRANKA_SOAK_S for a longer soak than a minute.
"""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from bad_network import BadNetwork, wandering_hand
from robots import HOME_JOINTS
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.ros import qos

pytestmark = pytest.mark.slow
SOAK_S = float(os.environ.get("FRANKA_SOAK_S", 60))


class Arm:
    """What the driver publishes, and a way to command it."""

    def __init__(self, probe):
        self.probe = probe
        self.joints = probe.listen(JointState, "joint_states", profile=qos.STATE_IN)
        self.modes = probe.listen(String, "franka_driver/robot_mode", profile=qos.STATE_IN)
        self.rates = probe.listen(
            Float64, "franka_driver/control_command_success_rate", profile=qos.STATE_IN
        )
        self.commands = probe.node.create_publisher(
            JointTrajectory, "joint_trajectory", qos.COMMANDS
        )
        probe.spin_until(self.commands.get_subscription_count, "the driver")
        probe.spin_until(lambda: self.joints, "joint states")

    def position(self):
        return np.array(self.joints[-1].position)

    def reflexes(self) -> int:
        return int(self.probe.values("franka_driver")["reflexes"])

    def stream(self, path, **network):
        network = BadNetwork(self.commands, path, **network)
        self.probe.spin_until(
            lambda: network.work() or network.done(), "the end", len(path) * 0.05 + 60
        )
        return network

    def go(self, goal, seconds=4.0):
        """Lead the arm to joints (7,) on a straight line, slowly."""
        steps = int(seconds / 0.05)
        u = np.linspace(0, 1, steps)[:, None]
        start = self.position()
        line = start + (goal - start) * (u * u * (3 - 2 * u))
        self.stream(np.vstack([line, np.repeat(goal[None], 12, axis=0)]), delay_s=0, loss=0)

    def wait_until_still(self):
        count = len(self.joints)

        def still():
            recent = np.array([m.position for m in self.joints[-30:]])
            return len(self.joints) > count + 30 and np.ptp(recent, axis=0).max() < 5e-4

        self.probe.spin_until(still, "rest")


@pytest.fixture(scope="module")
def arm(driver, probe):
    arm = Arm(probe)
    for _ in range(3):  # a start further than start_distance_rad is refused
        arm.go(HOME_JOINTS)
    return arm


def test_it_goes_where_it_is_led(arm):
    goal = HOME_JOINTS + [0.2, 0, 0, 0.1, 0, 0, -0.2]
    arm.go(goal)
    arm.wait_until_still()
    np.testing.assert_allclose(arm.position(), goal, atol=5e-3)
    assert arm.reflexes() == 0
    arm.go(HOME_JOINTS)


BURSTS = {"loss": 0.03, "burst": 7, "delay_s": 0.1, "tail_s": 0.8}


@pytest.mark.timeout(SOAK_S + 600)
@pytest.mark.parametrize(
    ("step_m", "network"),
    [
        (0.03, {}),
        (0.03, {"jitter_s": 0.002}),
        (0.03, {"jitter_s": 0.005}),
        (0.03, {"jitter_s": 0.01}),
        (0.05, {"jitter_s": 0.005, **BURSTS}),
    ],
)
def test_a_policy_over_a_bad_network_causes_no_reflex(arm, step_m, network):
    """20 Hz, delays of 0 to 200 ms, a tenth lost, reordered, steps of up to 3 cm; worse in turn."""
    path = wandering_hand(seed=1, count=int(SOAK_S / 0.05), step_m=step_m)
    network = arm.stream(path, seed=2, **network)
    assert network.sent > 0.7 * len(path)
    assert arm.reflexes() == 0, arm.probe.reports["franka_driver"].message
    rates = [m.data for m in arm.rates[-2000:]]
    print(f"{network.sent} chunks, success rate {np.mean(rates):.3f}, {arm.reflexes()} reflexes")
    arm.wait_until_still()
    arm.go(HOME_JOINTS)


def test_single_targets_are_followed_too(arm):
    network = arm.stream(wandering_hand(3, 200), seed=4, delay_s=0.1, chunk=1)
    assert network.sent > 150
    assert arm.reflexes() == 0
    arm.go(HOME_JOINTS)


def test_stop_halts_and_stays_until_enabled(arm, probe):
    path = wandering_hand(5, 200)
    network = BadNetwork(arm.commands, path, delay_s=0, loss=0)
    probe.spin_until(lambda: network.work() or network._next > 40, "motion")
    assert probe.call(Trigger, "franka_driver/stop").success
    stopped = arm.position()
    probe.spin_until(lambda: network.work() or network.done(), "the rest of the stream")
    arm.wait_until_still()
    assert abs(arm.position() - stopped).max() < 0.25  # v^2 / 2a and the way of the answer
    assert probe.says("franka_driver", "stopped until ~/enable")
    assert probe.call(SetBool, "franka_driver/enable", data=True).success
    arm.go(HOME_JOINTS)
    arm.wait_until_still()
    np.testing.assert_allclose(arm.position(), HOME_JOINTS, atol=5e-3)
    assert arm.reflexes() == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"offset": 0.8}, "starts too far from the arm: joint1 by 0.8"),
        ({"joint": "elbow"}, "joint 'fr3_joint1' is missing"),
        ({"nan": True}, "trajectory is not finite"),
        ({"age_s": 5.0}, "s older than the one in force"),
    ],
)
def test_a_bad_trajectory_is_refused_by_name(arm, probe, change, says):
    network = BadNetwork(arm.commands, np.repeat(HOME_JOINTS[None], 20, axis=0))
    message = network._message(time.time() - change.get("age_s", 0))
    for point in message.points:
        point.positions[0] += change.get("offset", 0.0)
        if "nan" in change:
            point.positions[3] = float("nan")
    if "joint" in change:
        message.joint_names[0] = change["joint"]
    before = arm.position()
    arm.commands.publish(message)
    probe.spin_until(lambda: probe.says("franka_driver", says), says)
    np.testing.assert_allclose(arm.position(), before, atol=1e-3)
    arm.go(HOME_JOINTS, 1.0)


@pytest.mark.skipif("FRANKA_SIM_PATIENT" in os.environ, reason="a patient arm waits for a command")
def test_a_reflex_is_told_in_words_and_recovered(arm, probe, driver):
    """The driver is frozen while the arm moves: 20 commands in a row are missing."""
    path = wandering_hand(6, 400)
    network = BadNetwork(arm.commands, path, delay_s=0, loss=0)
    probe.spin_until(lambda: network.work() or network._next > 60, "motion")
    driver.signal("franka_driver", signal.SIGSTOP)
    frozen_s = time.monotonic()
    probe.spin_until(lambda: time.monotonic() > frozen_s + 1.0, "a second")
    driver.signal("franka_driver", signal.SIGCONT)
    says = "communication_constraints_violation: 20 commands in a row came too late"
    probe.spin_until(lambda: probe.says("franka_driver", says), says)
    assert not probe.call(SetBool, "franka_driver/enable", data=True).success
    assert probe.call(Trigger, "franka_driver/recover").success
    probe.spin_until(lambda: probe.says("franka_driver", "ready"), "the news")
    count = arm.reflexes()
    arm.go(HOME_JOINTS)
    arm.wait_until_still()
    np.testing.assert_allclose(arm.position(), HOME_JOINTS, atol=5e-3)
    assert arm.reflexes() == count == 1


def test_the_gripper_moves_beside_the_arm(arm, probe):
    widths = probe.listen(JointState, "gripper_state", profile=qos.STATE_IN)
    publisher = probe.node.create_publisher(JointState, "gripper_target", qos.LATEST)
    probe.spin_until(publisher.get_subscription_count, "the driver")
    assert probe.call(Trigger, "franka_driver/home_gripper").success
    for width in (0.07, 0.03):
        publisher.publish(JointState(name=["gripper_width"], position=[width]))
        near = lambda w=width: widths and abs(widths[-1].position[0] - w) < 0.005  # noqa: E731
        count = len(arm.joints)
        probe.spin_until(near, f"a width of {width}")
        assert len(arm.joints) > count  # the arm's thread went on


def test_the_raw_stream_trips_the_arm(arm, franka_sim, driver):
    """The control experiment: the stream of the soak, straight into the 1 kHz interface."""
    import pylibfranka

    path = wandering_hand(seed=1, count=200)
    driver.signal("franka_driver", signal.SIGINT)
    assert driver._children["franka_driver"].wait(30) == 0
    robot = pylibfranka.Robot(franka_sim, pylibfranka.RealtimeConfig.kIgnore)
    control = robot.start_joint_position_control(pylibfranka.ControllerMode.JointImpedance)

    def stream():
        for target in path:
            for _ in range(50):
                control.readOnce()
                control.writeOnce(pylibfranka.JointPositions(target.tolist()))

    with pytest.raises(pylibfranka.ControlException, match=r"discontinuity|start_pose_invalid"):
        stream()
