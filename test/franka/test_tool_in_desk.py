"""The driver on an arm that has been told of another tool than the contract's."""

import numpy as np
import pytest
from arm_driver import franka_driver
from bad_network import BadNetwork
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.ros import qos

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("franka_with_tool", "says"),
    [(0.1034, ""), (0.2034, "does not move: the hand, with the tool set in Desk, is 100 mm")],
    indirect=["franka_with_tool"],
)
def test_an_arm_with_a_longer_tool_does_not_move(franka_with_tool, probe, tmp_path, says):
    joints = probe.listen(JointState, "joint_states", profile=qos.STATE_IN)
    with franka_driver(franka_with_tool, tmp_path, probe):
        probe.spin_until(lambda: joints, "the arm")
        start = np.array(joints[-1].position)
        if says:
            probe.spin_until(lambda: probe.says("franka_driver", says), says)
            assert probe.says("franka_driver", "`tool: {xyz: [0.0000, 0.0000, 0.2034], rpy: [")
        commands = probe.node.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMANDS)
        probe.spin_until(commands.get_subscription_count, "the driver")
        u = np.linspace(0, 1, 60)[:, None]
        path = start + np.array([0.1, 0, 0, 0, 0, 0, 0]) * u * u * (3 - 2 * u)
        network = BadNetwork(commands, path, delay_s=0, loss=0)
        probe.spin_until(lambda: network.work() or network.done(), "the end")
        moved = lambda: np.abs(np.array(joints[-1].position) - start).max() > 0.09  # noqa: E731
        if says:
            assert np.abs(np.array([j.position for j in joints]) - start).max() < 1e-3
        else:
            probe.spin_until(moved, "the arm to follow")
        probe.node.destroy_publisher(commands)
