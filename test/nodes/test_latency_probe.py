"""Latencies of a simulated arm, its gripper and its cameras, and how they get into a contract."""

import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from robots import FR3, HOME_JOINTS, fr3_with_hand
from ros_rig import Rig
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.contract import Contract
from vilp_ros.control.latency import Lag
from vilp_ros.errors import VilpError
from vilp_ros.nodes.latency_probe import (
    GRIP_M,
    HOLD_S,
    HOLDS,
    measure,
    squeeze,
    usable,
    wiggle,
    write,
)
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.messages import to_joint_state, to_stamp


def test_a_number_is_set_and_the_rest_stays(tmp_path):
    text = find_contract("sim_panda").read_text()
    changed = write(text, "views.eye_in_hand.latency_s", 0.0421)
    changed = write(changed, "action.latency_s", 0.11)
    before, after = text.splitlines(), changed.splitlines()
    assert sum(a != b for a, b in zip(before, after)) == 2
    assert len(before) == len(after)
    values = yaml.safe_load(changed)
    assert values["views"]["eye_in_hand"]["latency_s"] == 0.042
    assert values["views"]["agentview"]["latency_s"] == 0.0
    path = tmp_path / "robot.yaml"
    path.write_text(changed)
    assert Contract.load(path).action.latency_s == 0.11


def test_a_missing_key_is_named():
    with pytest.raises(VilpError, match=r"no views\.wrist\.latency_s"):
        write("views:\n  left:\n    latency_s: 0.0\n", "views.wrist.latency_s", 0.1)


def test_what_is_unclear_is_not_usable():
    assert usable(Lag(0.05, 0.9))
    assert not usable(Lag(0.05, 0.3))
    assert not usable(Lag(-0.02, 0.9))
    assert usable(Lag(-0.0001, 0.9))


def test_the_motion_is_small_and_starts_from_rest():
    assert abs(wiggle(0.02)) < 0.001
    assert max(abs(wiggle(0.01 * k)) for k in range(3000)) <= 1.0


def test_the_gripper_ends_as_it_began():
    told = [squeeze(0.01 * k) for k in range(int(HOLDS * HOLD_S * 100))]
    assert (told[0], told[-1], max(told)) == (0, 0, 1)


class OtherTool(Rig):
    """An FR3 at rest whose tool is 10 cm longer than the contract's."""

    def state(self, phase):
        return fr3_with_hand(0.2034).forward(HOME_JOINTS), 0.04, HOME_JOINTS


def test_an_arm_with_another_tool_is_not_moved(probe):
    rig = OtherTool(probe, FR3)
    told = probe.listen(JointTrajectory, FR3.action.joint_topic, profile=qos.COMMANDS)
    try:
        with pytest.raises(VilpError, match="is 100 mm and"):
            measure(FR3, "", 1.0)
    finally:
        rig.close()
    assert not told


@pytest.mark.slow
def test_the_simulated_arm_its_gripper_and_its_cameras(start, contract, probe):
    supervisor, _ = start(only=("sim",))
    with supervisor:
        proprio = contract.proprio
        poses = probe.listen(PoseStamped, proprio.ee_pose_topic, profile=qos.STATE_IN)
        widths = probe.listen(JointState, proprio.gripper_topic, profile=qos.STATE_IN)
        probe.spin_until(lambda: poses and widths, "the simulator")
        before = widths[-1].position[0]
        found = measure(contract, "", 12.0)
        assert 0 < found["action"].seconds < 0.3
        assert found["action"].correlation > 0.8
        assert 0 < found["gripper"].seconds < 0.3
        assert found["gripper"].correlation > 0.8
        assert abs(found["views.eye_in_hand"].seconds) < 0.06
        assert found["views.eye_in_hand"].correlation > 0.5
        probe.spin_until(
            lambda: abs(widths[-1].position[0] - before) < GRIP_M / 4, "the gripper as it was"
        )
        # What it might hold shall not fall.
        out = probe.node.create_publisher(JointState, contract.action.gripper_topic, qos.LATEST)

        def closed():
            out.publish(to_joint_state(["gripper_width"], [0.0], to_stamp(0)))
            return widths[-1].position[0] < GRIP_M

        probe.spin_until(closed, "closed fingers")
        with pytest.raises(VilpError, match=r"open them to more than 0\.04 m"):
            measure(contract, "", 12.0)
