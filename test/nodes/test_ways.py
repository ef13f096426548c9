"""The controller over each way to an FR3: the same stream of plans, late, lost and with steps."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from mock_arms import MockCrisp, MockTrajectoryController
from robots import fr3_with_hand, home_pose
from ros_rig import Probe
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory
from waves import WavePlanner, WavePolicy

from vilp_ros.contract import Contract
from vilp_ros.geometry import quat_angle
from vilp_ros.nodes.controller import ControllerNode
from vilp_ros.ros import bundle, qos
from vilp_ros.ros.files import find_contract

WAYS = {
    "ros2_control": ("fr3_ros2_control", {"gripper: franka_actions": "gripper: topic"}),
    "crisp_pose": ("fr3_crisp", {}),
    "crisp_joint": (
        "fr3_crisp",
        {
            "transport: crisp_pose": "transport: crisp_joint\n  joint_topic: target_joint",
            "pose_topic: target_pose": "pose_topic: commanded_pose",
        },
    ),
    # control_msgs is not installed here: test_gripper_actions.py.
    "ur5e": ("ur5e_ros2_control", {"gripper: gripper_action": "gripper: topic"}),
}
HANDS = {"crisp_robotiq": ("fr3_crisp_robotiq", {})}
"""Arms as above, of which only the hand is another."""


@pytest.fixture(params=sorted(WAYS))
def way(request):
    return request.param


@pytest.fixture
def contract_file(way, tmp_path):
    name, edits = (WAYS | HANDS)[way]
    text = find_contract(name).read_text()
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def arm(contract_file, probe):
    contract = Contract.load(contract_file)
    whole = contract.action.transport == "joint_trajectory"
    return (MockTrajectoryController if whole else MockCrisp)(probe.node, contract)


@pytest.fixture
def controller(probe, monkeypatch, contract_file):
    monkeypatch.setattr(bundle, "load", lambda _, contract: WavePolicy(home_pose(contract)))
    words = ["--ros-args", "-p", f"contract:={contract_file}", "-p", "fade_in_s:=0.5"]
    node = ControllerNode(context=probe.context, cli_args=words)
    probe.add(node)
    yield node
    node.close()
    node.destroy_node()


@pytest.fixture
def planner(probe, arm, contract_file, controller):
    names = Contract.load(contract_file).proprio.joint_names
    planner = WavePlanner(probe, arm, names)
    probe.spin_until(lambda: controller._phase == "active", "autostart")
    sender = controller._commands
    probe.spin_until(lambda: sender.arm is not None and not controller._waits, "to be alone")
    probe.spin_until(sender.arm.get_subscription_count, "discovery")
    planner.begin()
    return planner


@pytest.mark.parametrize("way", sorted(WAYS | HANDS), indirect=True)
def test_no_command_is_refused_and_the_arm_moves(planner, arm, probe):
    start, action = arm.pose.copy(), arm.contract.action
    kind = Float64MultiArray if action.gripper == "float64_array" else JointState
    told = probe.listen(kind, action.gripper_topic)
    planner.until(lambda: planner.time_s > 8, "eight seconds")
    assert arm.refused == []
    assert arm.taken > 40
    assert np.linalg.norm(arm.pose[:3] - start[:3]) > 0.05
    number = (told[-1].data if kind is Float64MultiArray else told[-1].position)[0]
    assert arm.contract.commanded_width.metres(number) == pytest.approx(0.04)
    if kind is Float64MultiArray:  # crisp's adapters: 0 is closed, 1 open
        assert number == pytest.approx(0.04 / arm.contract.limits.gripper_width[1])


def test_plans_that_stop_bring_it_to_rest_and_it_goes_on(planner, arm, probe):
    planner.until(lambda: planner.time_s > 3 and arm.taken > 5, "motion")
    planner.loss = 1.0
    planner.until(lambda: probe.says("controller", "holding"), "the hold")

    def rests():
        poses = np.array([p for _, p in arm.executed[-20:]])
        return len(poses) == 20 and np.ptp(poses, axis=0).max() < 1e-6

    def idle():
        if not arm.executed or arm.now_s() - arm.executed[-1][0] > 1:
            return True
        return rests()

    planner.until(idle, "rest")
    planner.loss = 0.0
    planner.until(lambda: not probe.says("controller", "holding"), "the news")
    taken = arm.taken
    planner.until(lambda: arm.taken > taken + 10, "commands")
    assert arm.refused == []


def test_a_plan_far_from_the_arm_is_refused_by_name(planner, arm, probe):
    planner.until(lambda: planner.time_s > 1 and arm.taken, "commands")
    planner.start_s -= 100.0  # another phase, and a step of half a metre
    planner.step, planner.wanders = np.array([0, 0.5, 0]), False
    says = "starts too far from the arm: hand by"
    planner.until(lambda: probe.says("controller", says), says)
    assert arm.refused == []


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"ur5e"}), indirect=True)
def test_a_second_publisher_is_reported_and_an_exclusive_topic_left_to_it(planner, arm, probe):
    planner.until(lambda: arm.taken > 3, "commands")
    kinds = {"target_pose": PoseStamped, "target_joint": JointState}
    rival = probe.node.create_publisher(
        kinds.get(arm.topic, JointTrajectory), arm.topic, qos.COMMANDS
    )
    says = f"1 other publishers on /{arm.topic}"
    planner.until(lambda: probe.says("controller", says), says)
    if isinstance(arm, MockCrisp):
        refused, report = len(arm.refused), probe.reports["controller"]
        planner.until(lambda: probe.reports["controller"] is not report, "one more report")
        assert len(arm.refused) == refused
    else:
        planner.until(lambda: "2 publishers" in arm.refused, "the refusal")
    taken, there = arm.taken, arm.pose.copy()
    probe.node.destroy_publisher(rival)
    planner.until(lambda: not probe.says("controller", "other publishers"), "the news")
    planner.until(lambda: arm.taken > taken, "commands again")
    if isinstance(arm, MockCrisp):
        assert abs(arm.pose[:3] - there[:3]).max() < 0.02  # the policy has gone on by more
        assert quat_angle(arm.pose[3:], there[3:]) < 0.01  # either sign of the quaternion


def test_disabled_it_comes_to_rest(planner, arm, probe):
    planner.until(lambda: planner.time_s > 3 and arm.taken > 5, "motion")
    client = probe.node.create_client(SetBool, "controller/enable")
    planner.until(client.service_is_ready, "the service")
    future = client.call_async(SetBool.Request(data=False))
    planner.until(future.done, "the answer")
    planner.until(lambda: probe.says("controller", "disabled"), "the report")
    taken = arm.taken
    report = probe.reports["controller"]
    planner.until(lambda: probe.reports["controller"] is not report, "one more report")
    planner.until(lambda: arm.taken <= taken + 100, "silence")
    assert arm.refused == []


@pytest.mark.parametrize("way", ["ros2_control", "crisp_joint"], indirect=True)
def test_a_longer_tool_than_the_contract_says_moves_nothing(planner, arm, probe):
    """The hand is where its pose says; the joints would put another tool there, 10 cm lower."""
    start = arm.joints.copy()
    arm.kinematics = fr3_with_hand(0.2034)
    arm.pose = arm.kinematics.forward(arm.joints)
    says = "is 100 mm and 0.0 degrees from where the joints put fr3_hand_tcp"
    planner.until(lambda: probe.says("controller", says), says)
    count = planner.time_s
    planner.until(lambda: planner.time_s > count + 2, "two seconds")
    assert probe.says("controller", says)
    np.testing.assert_allclose(arm.joints, start, atol=0.02)
