"""A person at the keyboard steers an FR3 over libfranka's own protocol, its limits enforced."""

from __future__ import annotations

import numpy as np
import pytest
from bad_network import BadNetwork
from pilot import Pilot
from robots import HOME_JOINTS
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.kinematics.franka import FrankaKinematics
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def states(driver, probe):
    """Joint states of an arm that was led home."""
    states = probe.listen(JointState, "joint_states", profile=qos.STATE_IN)
    commands = probe.node.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMANDS)
    probe.spin_until(commands.get_subscription_count, "the driver")
    probe.spin_until(lambda: states, "joint states")
    away = lambda: abs(np.array(states[-1].position) - HOME_JOINTS).max()  # noqa: E731
    while away() > 0.02:
        u, start = np.linspace(0, 1, 80)[:, None], np.array(states[-1].position)
        line = start + (HOME_JOINTS - start) * (u * u * (3 - 2 * u))
        path = np.vstack([line, np.repeat(HOME_JOINTS[None], 12, axis=0)])
        network = BadNetwork(commands, path, delay_s=0, loss=0)
        probe.spin_until(lambda n=network: n.work() or n.done(), "home")
    probe.node.destroy_publisher(commands)
    return states


def test_a_person_steers_without_a_reflex_and_can_be_killed(states, probe):
    arm = FrankaKinematics("fr3", np.tile([-3.2, 4.6], (7, 1)))
    hand = lambda: arm.forward(states[-1].position)[:3]  # noqa: E731

    def stands():
        recent = np.array([m.position for m in states[-50:]])
        return np.ptp(recent, axis=0).max() < 5e-4

    pilot = Pilot(probe, find_contract("fr3_direct"))
    try:
        pilot.until_says("nobody has the arm")
        start = hand()
        pilot.until(lambda: hand()[1] > start[1] + 0.1, "the hand to the left", hold="a")
        pilot.until(lambda: hand()[1] < start[1], "the hand to the right, turning", hold="dq")
        pilot.until(lambda: hand()[0] > start[0] + 0.1, "the hand ahead", hold="w")
        count = len(states)
        pilot.until(lambda: len(states) > count + 60 and stands(), "rest")
        there = hand()
        pilot.until(lambda: hand()[2] < there[2] - 0.05, "the hand down", hold="f")
        pilot.kill()
        count = len(states)
        probe.spin_until(lambda: len(states) > count + 60 and stands(), "rest after the kill")
        assert hand()[2] > there[2] - 0.15
    finally:
        pilot.close()
    values = probe.values("franka_driver")
    assert values["reflexes"] == "0", probe.reports["franka_driver"].message
    assert values["trajectories_refused"] == "0"
