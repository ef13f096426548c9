"""A person at the keyboard steers an FR3 behind ros2_control: teleop, recorder, converter."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from mock_arms import MockTrajectoryController
from pilot import Pilot
from robots import fr3_with_hand
from ros_rig import Probe, Rig
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from waves import WavePlanner

from vilp_ros.contract import Contract
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.commands import Commands as Told
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.observe import from_pose
from vilp_ros.geometry import quat_angle
from vilp_ros.ros import commands, qos
from vilp_ros.ros.commands import Commands
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor

CONTROLLER = Path(__file__).parents[1] / "support/wave_controller.py"


@pytest.fixture
def contract_file(tmp_path):
    text, actions = find_contract("fr3_ros2_control").read_text(), "gripper: franka_actions"
    assert actions in text
    text = text.replace(actions, "gripper: topic")  # franka_msgs is not installed here
    text = text.replace("gripper_topic: franka_gripper\n", "gripper_topic: gripper_target\n")
    path = tmp_path / "contract.yaml"
    path.write_text(text.replace("height: 96", "height: 16").replace("width: 160", "width: 24"))
    return path


@pytest.fixture
def contract(contract_file):
    return Contract.load(contract_file)


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


class Arm(MockTrajectoryController):
    """With fingers that are at once where they are told to be."""

    def __init__(self, node, contract):
        super().__init__(node, contract)
        self.width = 0.08
        node.create_subscription(JointState, "gripper_target", self._on_width, qos.LATEST)

    def _on_width(self, message):
        self.width = 2 * message.position[0]  # told in its own words: of one finger

    def stands(self):
        """Whether it has not moved for 0.5 s: beyond the end of its path it has come to rest."""
        recent = [q for t, q in self.executed if t > self.now_s() - 0.5]
        return len(recent) > 2 and np.ptp(recent, axis=0).max() < 1e-7

    def accelerations(self):
        """What it went through, where its samples lie close enough to say."""
        times, joints = np.array([t for t, _ in self.executed]), [q for _, q in self.executed]
        grid = np.arange(times[0], times[-1], 0.02)
        path = np.array([np.interp(grid, times, column) for column in np.array(joints).T])
        return abs(np.diff(path, 2, axis=1)) / 0.02**2


class ArmRig(Rig):
    def __init__(self, probe, contract, arm):
        self._arm = arm
        super().__init__(probe, contract)

    def state(self, phase):
        return (
            self._arm.pose,
            self._arm.width,
            self._arm.joints,
        )


@pytest.fixture
def arm(probe, contract):
    arm = Arm(probe.node, contract)
    rig = ArmRig(probe, contract, arm)
    yield arm
    rig.close()


@pytest.fixture
def pilot(probe, arm, contract_file):
    pilot = Pilot(probe, contract_file, arm.work)
    try:
        pilot.until_says("nobody has the arm")
        yield pilot
    finally:
        pilot.close()


def test_the_hand_goes_where_the_person_steers_and_rests_when_released(arm, pilot):
    start = arm.pose.copy()
    pilot.until(lambda: arm.pose[1] > start[1] + 0.1, "the hand to the left", hold="a")
    pilot.until(arm.stands, "rest")
    moved = arm.pose[:3] - start[:3]
    assert moved[1] < 0.25
    assert abs(moved[[0, 2]]).max() < 2e-3
    assert quat_angle(arm.pose[3:], start[3:]) < 5e-3
    taken = arm.taken
    pilot.until(lambda: arm.pose[1] < start[1] + 0.02, "the hand back, turning", hold="dq")
    pilot.until(arm.stands, "rest")
    assert quat_angle(arm.pose[3:], start[3:]) > 0.1
    assert arm.taken > taken
    assert arm.refused == []


def test_killed_in_the_middle_it_leaves_the_arm_to_come_to_rest(arm, pilot):
    start = arm.pose.copy()
    pilot.until(lambda: arm.pose[1] > start[1] + 0.05, "motion", hold="a")
    pilot.kill()
    killed_s, there = arm.now_s(), arm.pose.copy()
    pilot.until(lambda: arm.now_s() > killed_s + 0.5 and arm.stands(), "rest")
    assert 1e-3 < np.linalg.norm(arm.pose[:3] - there[:3]) < 0.1
    assert (arm.accelerations() < 1.5 * arm.acceleration[:, None]).all()
    assert arm.refused == []


def test_what_it_cannot_reach_it_says_and_can_be_steered_back_from(arm, pilot):
    pilot.until_says("the hand stays, steer another way", hold="f")
    pilot.until(arm.stands, "rest")
    stuck = arm.pose.copy()
    pilot.until(lambda: arm.pose[2] > stuck[2] + 0.05, "the way back", hold="r")
    pilot.until_says("a person steers")
    assert arm.refused == []


def test_an_arm_with_another_tool_than_the_contracts_is_not_steered(arm, pilot):
    arm.kinematics = fr3_with_hand(0.2034)
    arm.pose = arm.kinematics.forward(arm.joints)
    pilot.until_says("is 100 mm and 0.0 degrees from where the joints put")
    joints, began_s = arm.joints.copy(), arm.now_s()
    pilot.until(lambda: arm.now_s() > began_s + 1.0, "a second", hold="a")
    np.testing.assert_allclose(arm.joints, joints, atol=1e-4)
    arm.kinematics = fr3_with_hand(0.1034)
    arm.pose = arm.kinematics.forward(arm.joints)
    pilot.until_says("a person steers", hold="a")


def test_a_bag_of_it_becomes_an_episode_with_actions(arm, pilot, probe, contract_file, tmp_path):
    given = {"model": "", "contract": str(contract_file), "record": str(tmp_path / "bags")}
    recorder = [p for p in processes(given) if p.name == "recorder"]
    start = arm.pose.copy()
    with Supervisor(recorder, write=print):
        pilot.until(lambda: probe.says("recorder", "ready"), "the recorder")
        pilot.until(lambda: probe.node.count_subscribers("commanded_pose"), "that it listens")
        pilot.press("1")
        pilot.until(lambda: probe.says("recorder", "recording"), "an episode")
        pilot.until(lambda: arm.pose[1] > start[1] + 0.08, "motion", hold="a")
        pilot.press(" ")
        pilot.until(lambda: arm.width < 0.01, "closed fingers")
        pilot.until(lambda: arm.pose[1] < start[1] + 0.03, "motion back", hold="d")
        pilot.press("2")
        pilot.until(lambda: probe.says("recorder", "success"), "its end")
    outcome = convert_bag(
        tmp_path / "bags/episode_0000", tmp_path / "d.hdf5", Choice(task="lift", broken=True)
    )
    assert not outcome.error
    episode = EpisodeFile(tmp_path / "d.hdf5")[0]
    assert episode.info["commanders"] == f'{{"teleop": {len(episode)}}}'
    assert (episode.role, episode.success) == ("expert", True)
    actions = episode.actions
    assert np.ptp(actions[:, 1]) > 0.07
    assert max(quat_angle(action[3:7], start[3:]) for action in actions) < 0.02
    # The arm is where it is told to be, some frames later at most.
    assert abs(actions[:-4, :3] - episode.ee_pose[4:-1, :3]).max() < 0.06
    told = actions[:, 7]
    assert told[0] == pytest.approx(0.08)
    assert told[-1] == 0.0
    # One movement of the fingers, no ramp: these move at once, and so some milliseconds before the
    # contract's latency lets the command act; until then their measured width is followed.
    assert ((told > 0) & (told <= 0.079)).sum() <= 2
    assert arm.refused == []


@pytest.fixture
def controller(contract_file, tmp_path):
    """To be entered: in a process of its own, with a policy whose hand circles."""
    words = ["sim:=false", f"contract:={contract_file}", f"model:={tmp_path}"]
    table = {p.name: p for p in processes(parse(words))}
    entry = table["controller"]
    words = entry.command[entry.command.index("--ros-args") :]
    command = (sys.executable, str(CONTROLLER), *words)
    return Supervisor([replace(entry, command=command)], write=print)


@pytest.fixture
def running(controller):
    with controller:
        yield


def test_a_controller_that_starts_while_a_person_steers_is_disabled_first(
    arm, pilot, probe, contract, controller
):
    start = arm.pose.copy()
    pilot.until(lambda: arm.pose[1] > start[1] + 0.03, "the person's motion", hold="a")
    sources = probe.listen(Header, "controller/command_source", profile=qos.STATE_IN)
    arm.alone = False
    with controller:
        planner = WavePlanner(probe, arm, contract.proprio.joint_names, loss=0.0)
        pilot.until(lambda: probe.says("controller", "disabled"), "that it was asked to rest")
        planner.begin()
        pilot.work = planner.work
        here = arm.pose.copy()
        pilot.until(lambda: arm.pose[1] < here[1] - 0.03, "the way back", hold="d")
        assert probe.says("controller", "disabled")
        assert len(sources) == 0
        pilot.press("t")
        pilot.until(lambda: not probe.says("controller", "disabled"), "the arm given back")
        planner.begin()  # its circle, from about where the hand is
        pilot.until(lambda: len(sources) > 20, "the policy's motion, given the arm")
    assert arm.refused == []


def test_a_person_takes_over_from_a_policy_and_gives_back_without_a_jump(
    arm, probe, contract, contract_file, running
):
    planner = WavePlanner(probe, arm, contract.proprio.joint_names, loss=0.0)
    who = probe.listen(Header, "commander", profile=qos.STATE_IN)
    sources = probe.listen(Header, "controller/command_source", profile=qos.STATE_IN)
    poses = probe.listen(PoseStamped, contract.action.pose_topic, profile=qos.STATE_IN)
    planner.begin()
    planner.until(lambda: arm.taken, "commands")  # of a controller that is late nothing is known
    pilot = Pilot(probe, contract_file, planner.work)
    try:
        pilot.until_says("a policy has the arm")
        pilot.until(lambda: planner.time_s > 4 and arm.taken > 20, "the policy's motion")
        assert not who
        assert len(poses) > 20  # what is recorded of a policy's run
        assert np.linalg.norm(from_pose(poses[-1].pose)[:3] - arm.pose[:3]) < 0.03
        arm.alone = False
        pilot.press("t")
        pilot.until_says("a person steers")
        count, there = len(sources), arm.pose.copy()
        pilot.until(lambda: arm.pose[2] > there[2] + 0.03, "the person's motion", hold="r")
        assert len(sources) == count
        assert {message.frame_id for message in who} == {"teleop"}
        pilot.press("t")
        pilot.until_says("a policy has the arm")
        pilot.until(lambda: len(sources) > count + 20, "the policy again")
        assert arm.refused == []
    finally:
        pilot.close()


def test_where_actions_move_the_gripper_its_width_is_recorded(probe, monkeypatch):
    moves = []

    class Actions:
        def __init__(self, node, contract):
            moves.append(contract.action.gripper_topic)

        def move(self, width):
            moves.append(width)

    monkeypatch.setitem(commands._BY_ACTIONS, "franka_actions", Actions)
    contract = Contract.load(find_contract("fr3_ros2_control"))
    (topic,) = [t for t, what in Told(contract).topics.items() if what == "gripper"]
    assert topic == "franka_gripper/commanded_width"
    widths = probe.listen(JointState, topic)
    sender = Commands(probe.node, contract, 50.0)
    probe.spin_until(lambda: probe.node.count_subscribers(topic), "discovery")
    probe.spin_until(sender._width.get_subscription_count, "discovery")
    sender.width(0.03, probe.node.get_clock().now().to_msg())
    probe.spin_until(lambda: widths, "the width")
    assert moves == ["franka_gripper", 0.03]
    assert list(widths[0].position) == [0.03]
