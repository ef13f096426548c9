"""What a bag was told, held against what its arm and fingers then did."""

import dataclasses

import numpy as np
import pytest
from bags import SMALL, START_S, contract, header, message, traffic, typestore, write_bag

from vilp_ros.data.aim import aim
from vilp_ros.data.bag import Bag, relabel
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.grip import follow
from vilp_ros.data.hdf5 import DatasetError

ROBOT = contract()
PERIOD_S = ROBOT.control_period_s
ARM, GRIPPER = ROBOT.action.pose_topic, ROBOT.action.width_topic


def taken_s(body):
    stamp = getattr(body, "header", body).stamp
    return stamp.sec + 1e-9 * stamp.nanosec - START_S


def told(edit, topic=ARM):
    for name, body in traffic(ROBOT):
        if name == topic:
            edit(body)
        yield name, body


def outcomes(tmp_path, messages, **bag):
    """Of one bag that no audit has marked: as it is, and by --broken."""
    path = write_bag(tmp_path / "bag", messages, **bag)
    with Bag(path) as opened:
        marked = opened.audit["findings"]
    relabel(path, {"verdict": "ok"})
    strict = convert_bag(path, tmp_path / "d.hdf5", Choice())
    return strict, convert_bag(path, tmp_path / "b.hdf5", Choice(broken=True)), marked


def wxyz(body):
    q = body.pose.orientation
    q.x, q.y, q.z, q.w = q.w, q.x, q.y, q.z


def elsewhere(body):
    body.pose.position.y -= 0.5


@pytest.mark.parametrize(
    ("edit", "words"),
    [(wxyz, "targets lie 0 mm and 180 degrees"), (elsewhere, "targets lie 500 mm and 0 degrees")],
)
def test_targets_that_are_not_where_the_hand_goes_are_refused(tmp_path, edit, words):
    strict, broken, _ = outcomes(tmp_path, told(edit))
    assert words in strict.error
    assert "(xyzw), the order of the joints' names, their frame and their clock" in strict.error
    assert broken.steps == 19
    assert words in " ".join(broken.notes)


def test_targets_of_swapped_joints_are_refused(tmp_path):
    types, text = typestore().types, SMALL.replace("kind: ee_pose ", "kind: joint_position ")
    names, none = list(ROBOT.proprio.joint_names), np.zeros(0)
    angles = np.array([0.0, 0.4, 0.0, -2.0, 0.0, 1.5, 0.8])
    at_once = types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)

    def commanded(order):
        for name, body in traffic(contract(text)):
            if name == "joint_states":
                body.position[:] = angles + 0.01 * body.position[0]
            if name != ARM:
                yield name, body
                continue
            point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
                positions=angles[order],
                velocities=none,
                accelerations=none,
                effort=none,
                time_from_start=at_once,
            )
            kind, stamp_s = "trajectory_msgs/msg/JointTrajectory", START_S + taken_s(body)
            yield "joint_trajectory", message(kind, stamp_s, joint_names=names, points=[point])

    right = outcomes(tmp_path / "right", commanded([0, 1, 2, 3, 4, 5, 6]), text=text)[0]
    assert not right.error
    swapped = outcomes(tmp_path / "swapped", commanded([0, 1, 2, 5, 4, 3, 6]), text=text)[0]
    assert "targets of joint 6 lie 201 degrees from the positions" in swapped.error


def test_commands_in_another_frame_or_without_a_stamp_are_refused(tmp_path):
    def world(body):
        body.header.frame_id = "world"

    def unnamed(body):
        body.header.frame_id = ""

    def unstamped(body):
        body.header.stamp = header(0.0, "").stamp

    strict, broken, _ = outcomes(tmp_path / "world", told(world))
    for outcome in (strict, broken):
        assert "target_pose: 21 of 21 messages refused, first: frame 'world'" in outcome.error
    assert not outcomes(tmp_path / "unnamed", told(unnamed))[0].error
    strict = outcomes(tmp_path / "unstamped", told(unstamped))[0]
    assert (
        "target_pose: 21 of 21 messages refused, first: the header bears no stamp" in strict.error
    )
    free = convert_bag(tmp_path / "world/bag", tmp_path / "f.hdf5", Choice(role="action_free"))
    assert (free.role, free.error) == ("action_free", "")


@pytest.mark.parametrize("topic", [ARM, GRIPPER])
@pytest.mark.parametrize("off_s", [1.0, -1.0, 3600.0])
def test_the_clock_of_commands_is_audited_and_named(tmp_path, topic, off_s):
    def shift(body):
        body.header.stamp = header(START_S + taken_s(body) + off_s, "").stamp

    strict, _, marked = outcomes(tmp_path, told(shift, topic), ahead_s={topic: off_s})
    way = "ahead of" if off_s > 0 else "behind"
    words = f"{topic}: its stamps lie {abs(off_s):.2f} s {way} "
    assert words in strict.error
    assert words in " ".join(marked)


def test_widths_beside_the_limits_are_refused_with_what_to_set(tmp_path):
    def wide(body):
        body.position[0] = 0.15

    strict, broken, _ = outcomes(tmp_path / "told", told(wide, GRIPPER))
    assert (
        "commanded gripper widths go from 0.15 to 0.15 m, limits.gripper_width from 0 to 0.08"
        in (strict.error)
    )
    assert "correct action.gripper_scale and action.gripper_offset (now 1 and 0 m)" in strict.error
    assert broken.steps == 19
    strict = outcomes(tmp_path / "said", told(wide, ROBOT.proprio.gripper_topic))[0]
    assert "measured gripper widths go from 0.15 to 0.15 m" in strict.error
    assert "correct proprio.gripper_scale and proprio.gripper_offset (now 1 and 0" in strict.error

    def once(body):
        body.position[0] = 0.15 if round(taken_s(body) / PERIOD_S) == 7 else 0.05

    strict = outcomes(tmp_path / "once", told(once, ROBOT.proprio.gripper_topic))[0]
    assert strict.steps == 19
    assert "(1 of 20 lie beside it)" in strict.notes[0]


def grips(sign=1.0):
    """Told at 1 s to close; the fingers follow for a second and a half."""
    for name, body in traffic(ROBOT, 60):
        late_s = taken_s(body) - 1.0
        if name == GRIPPER:
            body.position[0] = 0.08 if late_s < 0 else 0.0
        if name == ROBOT.proprio.gripper_topic:
            body.position[0] = 0.04 + sign * (0.04 - np.clip(0.05 * late_s, 0, 0.08))
        yield name, body


def test_fingers_that_go_against_what_they_are_told_are_refused(tmp_path):
    assert not outcomes(tmp_path / "right", grips())[0].error
    strict, broken, _ = outcomes(tmp_path / "wrong", grips(-1.0))
    assert "measured gripper widths go against the commanded ones (correlation -0." in strict.error
    assert "proprio.gripper_scale (1)" in strict.error
    assert broken.steps > 40


def test_fingers_may_follow_late_and_need_not_move(tmp_path):
    assert outcomes(tmp_path, grips())[0].steps
    episode = EpisodeFile(tmp_path / "d.hdf5")[0]
    step = np.arange(len(episode) + 1) // 20 % 2 * 0.08  # a second open, a second closed
    for late in range(10):
        episode.actions[:, -1], episode.gripper_width = step[:-1], np.roll(step, late)
        follow(episode, PERIOD_S, "")
    follow(dataclasses.replace(episode, gripper_width=0 * step), PERIOD_S, "")
    with pytest.raises(DatasetError, match="the joints"):
        aim(dataclasses.replace(episode, actions=episode.actions + 2.0), look_at="the joints")
