"""An arm of six joints, whose pose no topic tells and whose gripper is a joint beside its own."""

import dataclasses

import bags
import numpy as np
import pytest
from robots import UR5E, UR5E_HOME

from vilp_ros.data.again import Again
from vilp_ros.data.audit import Audit
from vilp_ros.data.bag import Bag
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.observe import MessageError, Observer
from vilp_ros.geometry import quat_angle
from vilp_ros.kinematics import kinematics_of
from vilp_ros.ros.files import find_contract

TEXT = find_contract("ur5e_ros2_control").read_text()
SMALL = TEXT.replace("height: 96", "height: 16").replace("width: 160", "width: 24")
ARM, NAMES, KNUCKLE = kinematics_of(UR5E), UR5E.proprio.joint_names, UR5E.proprio.gripper_joint


def joints(names, positions, stamp_s=100.0):
    return bags.joints(stamp_s, list(names), positions)


def test_the_pose_is_that_of_the_joints_by_name_in_any_order():
    observer = Observer(UR5E)
    assert observer.told == ("gripper", "joints")
    assert {t: c for t, c in observer.topics.items() if c not in UR5E.views} == {
        "joint_states": "joints"
    }
    names, positions = [*NAMES[::-1], "other", KNUCKLE], [*UR5E_HOME[::-1], 9.0, 0.4]
    stamp_s, parts = observer.read("joints", joints(names, positions))
    assert stamp_s == 100.0
    np.testing.assert_array_equal(parts["joints"], UR5E_HOME)
    np.testing.assert_array_equal(parts["ee_pose"], ARM.forward(UR5E_HOME))
    assert parts["gripper"] == pytest.approx(0.085 - 0.4 * 0.1072)


def test_messages_of_others_on_the_topic_are_let_pass_and_half_of_an_arm_is_refused():
    observer = Observer(UR5E)
    with pytest.raises(MessageError, match="joint 'shoulder_pan_joint' is missing; the message"):
        observer.read("joints", joints(["a"], [0.0]))
    assert observer.read("joints", joints([KNUCKLE], [0.0]))[1].keys() == {"gripper"}
    assert observer.read("joints", joints(NAMES, UR5E_HOME))[1].keys() == {"joints", "ee_pose"}
    assert observer.read("joints", joints(["a"], [0.0]))[1] == {}
    with pytest.raises(MessageError, match="joint 'wrist_3_joint' is missing"):
        observer.read("joints", joints(NAMES[:5], UR5E_HOME[:5]))
    with pytest.raises(MessageError, match="gripper is not finite"):
        observer.read("joints", joints([KNUCKLE], [np.nan]))
    with pytest.raises(MessageError, match=r"^not finite"):
        observer.read("joints", joints(NAMES, [np.nan, *UR5E_HOME[1:]]))


def test_a_bag_of_it_becomes_an_episode_with_poses(tmp_path):
    robot = bags.contract(SMALL)
    bag = bags.write_bag(tmp_path / "bag", bags.traffic(robot), text=SMALL)
    outcome = convert_bag(bag, tmp_path / "d.hdf5", Choice())
    assert not outcome.error
    episode = EpisodeFile(tmp_path / "d.hdf5")[0]
    assert episode.joint_position.shape[1] == 6
    for pose, angles in zip(episode.ee_pose, episode.joint_position, strict=True):
        there = ARM.forward(angles)
        np.testing.assert_allclose(pose[:3], there[:3], atol=1e-6)
        assert quat_angle(pose[3:], there[3:]) < 1e-3
    moved = episode.joint_position[:, 0]  # by 0.01 rad while the fingers open by 1 mm
    np.testing.assert_allclose(episode.gripper_width, 0.04 + 0.1 * moved, atol=1e-6)
    np.testing.assert_allclose(episode.actions[1:, 7], 0.05)  # recorded in metres
    with Bag(bag) as opened:
        again = Again(opened)
        for topic, received_ns, message in opened.messages([]):
            again.add(topic, received_ns, bags.serialized(message), message)
        assert again.words() == []


def test_a_bag_whose_urdf_is_on_another_host_says_what_to_give(tmp_path):
    lost = SMALL.replace("package://vilp_ros/config/urdf/ur5e.urdf", "/their/ur5e.urdf")
    bag = bags.write_bag(tmp_path / "bag", bags.traffic(bags.contract(SMALL)), text=lost)
    outcome = convert_bag(bag, tmp_path / "d.hdf5", Choice())
    assert "no URDF at /their/ur5e.urdf" in outcome.error
    assert "name a contract whose arm is found on this host with --contract" in outcome.error
    here = Choice(contract=bags.contract(SMALL))
    assert not convert_bag(bag, tmp_path / "d.hdf5", here).error


def target(stamp_s, angles):
    types = bags.typestore().types
    none = np.zeros(0)
    moment = types["builtin_interfaces/msg/Duration"](sec=0, nanosec=20_000_000)
    point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
        positions=angles, velocities=none, accelerations=none, effort=none, time_from_start=moment
    )
    kind = "trajectory_msgs/msg/JointTrajectory"
    return bags.message(kind, stamp_s, joint_names=list(NAMES), points=[point])


def test_targets_of_six_joints_become_actions_of_seven_numbers(tmp_path):
    text = SMALL.replace("kind: ee_pose ", "kind: joint_position ")
    robot = bags.contract(text)

    def traffic():
        for topic, message in bags.traffic(robot):
            if topic == robot.action.pose_topic:
                stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
                yield robot.action.joint_topic, target(stamp_s, 0.1 * np.arange(6.0))
            else:
                yield topic, message

    names = [robot.action.joint_topic]
    bag = bags.write_bag(tmp_path / "bag", traffic(), text=text, more=names)
    outcome = convert_bag(bag, tmp_path / "d.hdf5", Choice(rest=True))
    assert not outcome.error
    actions = EpisodeFile(tmp_path / "d.hdf5")[0].actions
    assert actions.shape[1] == 7
    np.testing.assert_allclose(actions[1:], [[*(0.1 * np.arange(6)), 0.05]] * (len(actions) - 1))


def test_a_gripper_that_falls_silent_beside_an_arm_that_does_not_is_named():
    audit, seen = Audit(UR5E), 0
    for topic, message in bags.traffic(bags.contract(SMALL), 60, commands=False):
        gripper = topic == "joint_states" and list(message.name) == [KNUCKLE]
        seen += gripper
        if not gripper or seen < 10:
            stamp = message.header.stamp
            stamp_ns = stamp.sec * 10**9 + stamp.nanosec
            audit.add(topic, stamp_ns, stamp_ns, bags.serialized(message))
    assert [f.channel for f in audit.findings()] == [f"joint_states:{KNUCKLE}"]


def test_a_frozen_camera_is_found_by_the_hand_that_the_joints_move():
    robot = bags.contract(SMALL)
    audit = Audit(robot)
    for topic, message in bags.traffic(robot, 60, commands=False):
        if topic == "agentview/image_raw":
            message.data[:] = 7
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        audit.add(topic, stamp_ns, stamp_ns, bags.serialized(message))
    found = " ".join(map(str, audit.findings()))
    assert "agentview/image_raw: the same picture for" in found
    assert "while the hand moved by" in found


def test_without_its_urdf_an_arm_is_recorded_and_that_is_said():
    lost = dataclasses.replace(UR5E, arm=dataclasses.replace(UR5E.arm, urdf="/nowhere.urdf"))
    (finding,) = [f for f in Audit(lost).findings() if f.what == "arm"]
    assert "frozen pictures are not looked for: no URDF at /nowhere.urdf" in str(finding)
    assert not finding.breaks


def test_a_joint_that_no_message_names_is_named(tmp_path):
    robot = bags.contract(SMALL)
    bag = bags.write_bag(tmp_path / "bag", bags.traffic(robot), text=SMALL)
    theirs = bags.contract(SMALL.replace(KNUCKLE, "knuckel"))
    audit = Audit(theirs)
    for topic, message in bags.traffic(robot, 30, commands=False):
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        audit.add(topic, stamp_ns, stamp_ns, bags.serialized(message))
    (finding,) = audit.findings()
    said = "joint_states:knuckel: nothing came; joints named on joint_states are elbow_joint, "
    assert str(finding).startswith(f"{said}{KNUCKLE}, ")
    error = convert_bag(bag, tmp_path / "d.hdf5", Choice(contract=theirs)).error
    assert "no message of joint_states names joint 'knuckel' (proprio.gripper_joint)" in error
    assert f"they name elbow_joint, {KNUCKLE}, " in error

    def prefixed():
        for topic, message in bags.traffic(robot):
            if topic == "joint_states":
                arm = [f"left_{name}" for name in NAMES]
                message.name, message.position = [*arm, KNUCKLE], np.append(UR5E_HOME, 0.4)
            yield topic, message

    bag = bags.write_bag(tmp_path / "prefixed", prefixed(), text=SMALL)
    error = convert_bag(bag, tmp_path / "p.hdf5", Choice(broken=True)).error
    assert f"names joint '{NAMES[0]}' (proprio.joint_names); they name left_elbow" in error
