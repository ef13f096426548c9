"""Bags to episodes: what is aligned with what, roles, and every bag that cannot be used."""

import json
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from bags import SMALL, START_S, TEXT, contract, cut_off, header, image, traffic, write_bag

from vilp_ros.cli import convert as verb
from vilp_ros.cli import main as cli
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.table import Source, load_table

ROBOT = contract()
AGENT = "agentview/image_raw"


def converted(tmp_path, messages=None, choice=None, **bag):
    path = write_bag(tmp_path / "bag", messages, **bag)
    outcome = convert_bag(path, tmp_path / "d.hdf5", choice or Choice())
    assert not outcome.error, outcome.error
    return EpisodeFile(tmp_path / "d.hdf5")[0], outcome


def test_observations_and_the_commands_in_force(tmp_path):
    episode, outcome = converted(tmp_path)
    # Command k bears the stamp of frame k and acts after it: frame 0 was told nothing.
    assert outcome.steps == len(episode) == 19
    np.testing.assert_allclose(episode.ee_pose[:, 0], 0.4 + 0.005 * np.arange(1, 21), atol=1e-12)
    np.testing.assert_allclose(episode.actions[:, 0], 0.41 + 0.005 * np.arange(19), atol=1e-6)
    np.testing.assert_allclose(episode.actions[:, 7], 0.05, atol=1e-6)
    np.testing.assert_allclose(episode.joint_velocity, 0.01 / 0.05)
    frames = [m.data.reshape(16, 24, 3) for name, m in traffic(ROBOT) if name == AGENT]
    np.testing.assert_array_equal(episode.images["agentview"], frames[1:])
    assert (episode.role, episode.success, episode.seed) == ("expert", True, 3)
    assert episode.info["mode"] == "nearest"
    assert not episode.disturbed.any()


def test_latencies_of_the_contract_are_taken_off(tmp_path):
    late = SMALL.replace("latency_s: 0.0             # the sim", "latency_s: 0.05  # the sim")
    assert late != SMALL
    late = late.replace(
        "gripper_topic: gripper_target\n  latency_s: 0.0",
        "gripper_topic: gripper_target\n  latency_s: 0.1",
    )
    text = late.replace("    latency_s: 0.0\n", "    latency_s: 0.05\n")
    episode, _ = converted(tmp_path, labels={"contract": text})
    # A picture shows the arm of one period before its stamp; a command acts two periods later.
    frames = [m.data.reshape(16, 24, 3) for name, m in traffic(ROBOT) if name == AGENT]
    x = episode.ee_pose[:, 0]
    np.testing.assert_allclose(np.diff(x), 0.005, atol=1e-9)
    first = round((x[0] - 0.4) / 0.005)
    np.testing.assert_array_equal(episode.images["agentview"][0], frames[first + 1])
    np.testing.assert_allclose(
        episode.actions[:, 0], 0.41 + 0.005 * (first - 3 + np.arange(len(episode))), atol=1e-6
    )


@pytest.mark.parametrize(
    ("labels", "outcome", "who", "commands", "role"),
    [
        ({}, "success", "expert", True, "expert"),
        ({}, "unlabelled", "expert", True, "expert"),
        ({}, "failure", "expert", True, "suboptimal"),
        ({"role": "suboptimal"}, "failure", "expert", True, "suboptimal"),
        ({}, "success", "expert", False, "action_free"),
        ({"role": "action_free"}, "success", "expert", True, "action_free"),
        ({"role": "play"}, "unlabelled", "human", True, "play"),
    ],
)
def test_roles(tmp_path, labels, outcome, who, commands, role):
    messages = traffic(ROBOT, who=who, commands=commands)
    episode, _ = converted(tmp_path, messages, labels=labels, outcome=outcome)
    assert episode.role == role
    assert (episode.actions is None) == (role == "action_free")
    assert len(episode) == (20 if role == "action_free" else 19)


@pytest.mark.parametrize(
    ("labels", "outcome", "named"),
    [
        ({}, "failure", "failure"),
        ({"role": "suboptimal"}, "unlabelled", "suboptimal"),
        ({"role": "play"}, "success", "play"),
    ],
)
def test_what_teaches_neither_actions_nor_a_task_is_refused(tmp_path, labels, outcome, named):
    messages = traffic(ROBOT, commands=False)
    path = write_bag(tmp_path / "bag", messages, labels=labels, outcome=outcome)
    found = convert_bag(path, tmp_path / "d.hdf5", Choice()).error
    assert f"no commands and is noted as {named}" in found
    assert not convert_bag(path, tmp_path / "d.hdf5", Choice(role="action_free")).error


def test_noise_is_known_and_a_takeover_is_a_correction(tmp_path):
    def taken_over():
        """The policy commands, from period 10 on a human."""
        for name, body in traffic(ROBOT):
            if name == "commander":
                period = round((body.stamp.sec + body.stamp.nanosec * 1e-9 - START_S) / 0.05)
                if period < 10:
                    yield "controller/command_source", header(START_S + period * 0.05, "")
                    continue
                body.frame_id = "teleop"
            yield name, body

    episode, _ = converted(tmp_path, taken_over())
    assert episode.role == "correction"
    # Frame 1 on is kept; command 10, the first of the human, is in force from frame 11.
    np.testing.assert_array_equal(episode.disturbed, np.arange(1, 20) <= 10)
    assert json.loads(episode.info["commanders"]) == {"policy": 10, "teleop": 9}
    slow = SMALL.replace(
        "gripper_topic: gripper_target\n  latency_s: 0.0",
        "gripper_topic: gripper_target\n  latency_s: 0.02",
    )
    assert slow != SMALL
    late, _ = converted(tmp_path / "slow", traffic(ROBOT, who="teleop"), labels={"contract": slow})
    assert set(json.loads(late.info["commanders"])) == {"teleop"}  # of an arm that acts late
    noisy, _ = converted(tmp_path / "noisy", traffic(ROBOT, who="expert+noise"))
    assert noisy.role == "expert"
    assert noisy.disturbed.all()


def test_training_selects_by_role(tmp_path):
    out = tmp_path / "d.hdf5"
    for number, (outcome, commands) in enumerate(
        [("success", True), ("failure", True), ("success", False), ("success", True)]
    ):
        path = write_bag(
            tmp_path / str(number), traffic(ROBOT, 8, commands=commands), outcome=outcome
        )
        assert not convert_bag(path, out, Choice()).error
    roles = ("expert", "action_free", "suboptimal")
    table = load_table([Source(str(out), role) for role in roles], ("agentview",))
    assert list(table.role) == ["expert"] * 2 + ["action_free", "suboptimal"]


def test_a_camera_of_another_rate_gives_a_frame_a_period(tmp_path):
    text = SMALL.replace("rate_hz: 20.0", "rate_hz: 30.0")

    def thirty():
        for name, body in traffic(ROBOT, 60):  # the same messages, 1/30 s apart
            stamp = getattr(body, "header", body).stamp
            k = round((stamp.sec + stamp.nanosec * 1e-9 - START_S) / 0.05)
            micro = round((START_S + k / 30) * 1e6)
            stamp.sec, stamp.nanosec = micro // 10**6, micro % 10**6 * 1000
            yield name, body

    episode, _ = converted(tmp_path, thirty(), text=text)
    assert len(episode) == pytest.approx(60 / 30 / 0.05, abs=2)
    assert np.abs(np.diff(episode.ee_pose[:, 0]) - 0.0075).max() <= 0.0026


def test_a_lost_frame_is_bridged_and_not_imitated(tmp_path):
    def lossy():
        for name, body in traffic(ROBOT):
            at = getattr(body, "header", body).stamp
            if name != AGENT or round((at.sec + at.nanosec * 1e-9 - START_S) / 0.05) != 10:
                yield name, body

    episode, outcome = converted(tmp_path, lossy(), choice=Choice(broken=True))
    assert outcome.notes == ["1 frames stand in for lost ones"]
    assert len(episode) == 19
    np.testing.assert_allclose(np.diff(episode.ee_pose[:, 0]), 0.005, atol=1e-9)
    np.testing.assert_array_equal(np.flatnonzero(episode.disturbed), [8, 9])
    np.testing.assert_array_equal(episode.images["agentview"][8], episode.images["agentview"][9])


def edited(edit, periods=20):
    for name, body in traffic(ROBOT, periods):
        stamp = getattr(body, "header", body).stamp
        k = round((stamp.sec + stamp.nanosec * 1e-9 - START_S) / 0.05)
        if (changed := edit(k, name, body)) is not None:
            yield changed


def other_size(k, name, body):
    if name == AGENT and k % 2:
        return name, image(START_S + k * 0.05, np.zeros((32, 24, 3), np.uint8))
    return name, body


def nan_joint(k, name, body):
    if name == "joint_states":
        body.position[3] = np.nan
    return name, body


def no_stamp(k, name, body):
    if name == "ee_pose":
        body.header.stamp.sec = body.header.stamp.nanosec = 0
    return name, body


def clock_set_back(k, name, body):
    if k > 10:
        stamp = getattr(body, "header", body).stamp
        stamp.sec -= 100
    return name, body


BAD = {
    "mixed sizes": (
        lambda k, n, b: (
            other_size(k, n, b) if k < 15 else other_size(1, n, b) if n == AGENT else (n, b)
        ),
        "no observation|found 32x24 rgb8, the contract promises 16x24 rgb8",
    ),
    "nan joint": (nan_joint, r"joints: 21 of 21 messages refused, first: not finite"),
    "no stamp": (no_stamp, "ee_pose: 21 of 21 messages refused, first: the header bears no stamp"),
    "clock set back": (clock_set_back, r"the stamps go back by 100\.0 s at 0\.5 s: a clock"),
    "gap": (
        lambda k, n, b: None if 5 < k < 15 and n == AGENT else (n, b),
        r"no observation for 0\.50 s at 0\.2 s, the contract allows 0\.3 s: record it again",
    ),
    "renamed": (
        lambda k, n, b: ("cam0/image_raw" if n == AGENT else n, b),
        r"has nothing on /agentview/image_raw.*/cam0/image_raw.*--topic agentview/image_raw:=NAME",
    ),
    "zero length": (
        lambda k, n, b: (n, b) if k < 1 else None,
        "gives no control period: no frame came after the first command; it stays as it is, none",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bag_that_cannot_be_used_says_why_and_harms_nothing(tmp_path, case):
    edit, words = BAD[case]
    out = tmp_path / "d.hdf5"
    assert not convert_bag(write_bag(tmp_path / "good"), out, Choice()).error
    bad = write_bag(tmp_path / "bad", edited(edit))
    outcome = convert_bag(bad, out, Choice(broken=True))
    assert outcome.steps == 0
    assert re.search(words, outcome.error), outcome.error
    assert len(EpisodeFile(out)) == 1
    assert not convert_bag(write_bag(tmp_path / "next"), out, Choice()).error
    assert len(EpisodeFile(out)) == 2


def test_a_renamed_topic_can_be_named(tmp_path):
    renamed = edited(BAD["renamed"][0])
    choice = Choice(topics={AGENT: "/cam0/image_raw"}, broken=True)
    episode, _ = converted(tmp_path, renamed, choice)
    assert len(episode) == 19


def test_a_name_that_the_contract_lacks_is_no_renaming(tmp_path):
    path = write_bag(tmp_path / "bag")
    choice = Choice(topics={"agentveiw/image_raw": "/cam0/image_raw"})
    outcome = convert_bag(path, tmp_path / "d.hdf5", choice)
    assert "no topic agentveiw/image_raw; its topics are agentview/image_raw, " in outcome.error


def test_a_first_bag_that_cannot_be_used_leaves_no_dataset(tmp_path):
    path = write_bag(tmp_path / "bag", edited(BAD["zero length"][0]))
    assert convert_bag(path, tmp_path / "d.hdf5", Choice()).error
    assert not (tmp_path / "d.hdf5").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bag", "--out", "folder"], "folder is a folder: name a file, such as folder/mine.hdf5"),
        (["bag", "--out", "notes.txt"], "notes.txt exists and is no HDF5 file"),
        (["bag", "--out", "d", "--to", "lerobot"], "`vilp convert bags.hdf5 --out d --to lerobot`"),
        (
            ["notes.txt", "--out", "d.hdf5"],
            "notes.txt is no bag: say the format of a dataset",
        ),
        (["bga", "--out", "d.hdf5"], "bga does not exist: name a bag, or a folder of bags"),
        (["bag", "--out", "d.hdf5", "--from", "hdf5"], "bag is a folder, no dataset"),
        (["x.hdf5", "--out", "d.hdf5", "--from", "robomimic"], "x.hdf5 is missing"),
    ],
)
def test_bags_datasets_and_places_are_told_apart_once(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        write_bag(tmp_path / "bag" / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    assert cli.main(["convert", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.count(said) == 1
    assert said not in printed.out


def test_a_repaired_bag_is_told_as_one(tmp_path, capsys):
    """In a narrow terminal too, where a column would cut the command that mends a bag."""
    whole, cut = write_bag(tmp_path / "bags/whole"), cut_off(write_bag(tmp_path / "bags/cut"))
    assert cli.main(["data", str(tmp_path / "bags")]) == 1
    assert f"`vilp repair {cut}`\n" in capsys.readouterr().out
    assert cli.main(["repair", str(cut)]) == 0
    choice = Choice(task="lift", contract=ROBOT)
    assert "is the demonstration whole?" in convert_bag(cut, tmp_path / "c.hdf5", choice).notes[-1]
    assert not convert_bag(whole, tmp_path / "w.hdf5", choice).notes
    capsys.readouterr()
    assert cli.main(["data", str(tmp_path / "bags")]) == 0
    assert capsys.readouterr().out.count("repaired") == 1


def test_a_dataset_without_episodes_is_listed(tmp_path, capsys):
    EpisodeWriter(tmp_path / "empty.hdf5", task="lift").close()
    listed = tmp_path / "new/figures.json"
    assert cli.main(["data", str(tmp_path / "empty.hdf5"), "--json", str(listed)]) == 0
    assert json.loads(listed.read_text())["datasets"]


def test_a_bag_of_another_robot_and_one_without_notes(tmp_path):
    path = write_bag(tmp_path / "bag")
    other = contract(SMALL.replace("robot: sim_panda", "robot: fr3"))
    outcome = convert_bag(path, tmp_path / "d.hdf5", Choice(contract=other))
    assert "was recorded from sim_panda, not from fr3: convert it with its own" in outcome.error
    bare = write_bag(tmp_path / "bare", labels={"contract": "", "task": ""})
    assert "name it with --task" in convert_bag(bare, tmp_path / "d.hdf5", Choice()).error
    outcome = convert_bag(bare, tmp_path / "d.hdf5", Choice(task="lift"))
    assert "name its robot with --contract" in outcome.error
    outcome = convert_bag(bare, tmp_path / "d.hdf5", Choice(task="lift", contract=ROBOT))
    assert outcome.steps == 19


def test_marked_bags_and_cut_off_bags_are_left_out(tmp_path):
    path = write_bag(
        tmp_path / "bag", edited(lambda k, n, b: None if n == AGENT and k % 2 else (n, b), 40)
    )
    outcome = convert_bag(path, tmp_path / "d.hdf5", Choice())
    assert "was marked broken (agentview/image_raw: 10.0 Hz" in outcome.error
    assert "--broken" in outcome.error
    cut = cut_off(write_bag(tmp_path / "cut"))
    assert "run `vilp repair" in convert_bag(cut, tmp_path / "d.hdf5", Choice()).error


def test_joint_targets(tmp_path):
    text = SMALL.replace("kind: ee_pose ", "kind: joint_position ")

    def told():
        from bags import message

        from vilp_ros.data.bag import typestore

        types = typestore().types
        for name, body in traffic(contract(text)):
            if name == "target_pose":
                stamp_s = body.header.stamp.sec + body.header.stamp.nanosec * 1e-9
                empty = np.zeros(0)
                point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
                    positions=0.1 * np.arange(7.0)[::-1],
                    velocities=empty,
                    accelerations=empty,
                    effort=empty,
                    time_from_start=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0),
                )
                names = list(ROBOT.proprio.joint_names)[::-1]
                kind = "trajectory_msgs/msg/JointTrajectory"
                yield "joint_trajectory", message(kind, stamp_s, joint_names=names, points=[point])
            else:
                yield name, body

    episode, _ = converted(tmp_path, told(), text=text)
    np.testing.assert_allclose(episode.actions[0], [*(0.1 * np.arange(7)), 0.05], atol=1e-6)


def test_a_camera_that_publishes_more_gives_the_same_episode(tmp_path):
    def larger(k, name, body):
        if name == AGENT:
            pixels = np.asarray(body.data).reshape(16, 24, 3).repeat(2, axis=0).repeat(2, axis=1)
            stamp_s = body.header.stamp.sec + body.header.stamp.nanosec * 1e-9
            body = image(stamp_s, np.pad(pixels, ((4, 4), (0, 0), (0, 0)), constant_values=9))
        return name, body

    text = SMALL.replace("    height: 16", "    camera_size: [40, 48]\n    height: 16", 1)
    plain, _ = converted(tmp_path / "plain", traffic(contract()))
    scaled, _ = converted(tmp_path / "scaled", edited(larger), text=text)
    for view, pictures in plain.images.items():
        np.testing.assert_array_equal(scaled.images[view], pictures)
    np.testing.assert_array_equal(scaled.actions, plain.actions)


def test_a_whole_trajectory_acts_point_by_point_until_the_next():
    from vilp_ros.data.commands import Commands

    robot = contract(SMALL.replace("kind: ee_pose ", "kind: joint_position "))
    commands, names = Commands(robot), robot.proprio.joint_names

    def trajectory(start_ms, values):
        points = [
            SimpleNamespace(
                positions=[value] * 7,
                time_from_start=SimpleNamespace(sec=0, nanosec=50_000_000 * index),
            )
            for index, value in enumerate(values, start=1)
        ]
        stamp = SimpleNamespace(sec=10, nanosec=1_000_000 * start_ms)
        header = SimpleNamespace(stamp=stamp)
        return SimpleNamespace(header=header, joint_names=names, points=points)

    commands.add("arm", trajectory(0, [1, 2, 3, 4]))
    commands.add("arm", trajectory(100, [5, 6]))
    in_force = [commands.action(10 + after, 0.0)[0] for after in (0.06, 0.11, 0.16, 0.21, 0.9)]
    assert in_force == [1, 2, 5, 6, 6]


def test_the_verb_goes_on_after_a_kill_and_writes_what_lies_beside(tmp_path, capsys):
    for number in range(4):
        write_bag(tmp_path / "bags" / f"episode_{number:04}")
    write_bag(tmp_path / "bags" / "short", edited(BAD["zero length"][0]))
    out = tmp_path / "d.hdf5"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from vilp_ros.data.bag_reader import Choice\n"
        "from vilp_ros.data.convert import convert_bag\n"
        "bags = sorted(Path(sys.argv[1]).iterdir())\n"
        "convert_bag(bags[0], Path(sys.argv[2]), Choice())\n"
        "seen = 0\n"
        "def tick():\n"
        "    global seen\n"
        "    seen += 1\n"
        "    if seen == 100: os.kill(os.getpid(), signal.SIGKILL)\n"
        "convert_bag(bags[1], Path(sys.argv[2]), Choice(), tick)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "bags"), str(out)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert len(EpisodeFile(out)) == 1
    assert cli.main(["convert", str(tmp_path / "bags"), "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "3 bags converted (3 expert; 57 steps), 1 were there, 1 could not be" in printed
    assert "not converted: " in printed
    assert len(EpisodeFile(out)) == 4
    assert len(list((tmp_path / "d_sheets").glob("*.png"))) == 4
    stats = json.loads((tmp_path / "d.stats.json").read_text())
    assert (stats["episodes"], stats["steps"], stats["roles"]) == (4, 76, {"expert": 4})
    assert cli.main(["convert", str(tmp_path / "bags/episode_0000"), "--out", str(out)]) == 0
    assert "0 bags converted (none; 0 steps), 1 were there" in capsys.readouterr().out
    assert verb.FORMATS[0] == "hdf5"


def test_a_conversion_holds_no_images(tmp_path):
    """What is alive at most does not grow with the bag: 120 frames of 92 kB would."""
    peaks = []
    for periods in (40, 160):
        path = write_bag(tmp_path / str(periods), traffic(contract(TEXT), periods), text=TEXT)
        tracemalloc.start()
        outcome = convert_bag(path, tmp_path / f"{periods}.hdf5", Choice())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert outcome.steps == periods - 1
    assert peaks[1] < peaks[0] + 2**21
