"""Latencies from a recording: each channel late by what was put into the bag."""

import bags
import numpy as np
import pytest
import yaml

from vilp_ros.cli import main as cli
from vilp_ros.evaluation.latency import latencies

ARM_S, GRIPPER_S, CAMERA_S = 0.12, 0.2, 0.06


def wave(time_s):
    return np.sin(2.9 * time_s) + 0.6 * np.sin(6.1 * time_s + 1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Eight seconds of a hand that moves along y, a gripper, and a picture of the hand."""
    robot = bags.contract()
    proprio, action = robot.proprio, robot.action

    def traffic():
        for k in range(400):
            t = 0.02 * k
            stamp_s = bags.START_S + t
            yield action.pose_topic, bags.pose(stamp_s, [0.4, 0.02 * wave(t), 0.3])
            yield action.gripper_topic, bags.joints(stamp_s, ["w"], [0.04 + 0.02 * wave(1.3 * t)])
            hand = 0.02 * wave(t - ARM_S)
            yield proprio.ee_pose_topic, bags.pose(stamp_s, [0.4, hand, 0.3])
            width = 0.04 + 0.02 * wave(1.3 * (t - GRIPPER_S))
            yield proprio.gripper_topic, bags.joints(stamp_s, ["w"], [width])
            if k % 2 == 0:  # its stamp is late by CAMERA_S
                grey = 128 + 60 * wave(t - CAMERA_S - ARM_S)
                for view in robot.views.values():
                    pixels = np.full((view.height, view.width, 3), grey, np.uint8)
                    yield view.topic, bags.image(stamp_s, pixels)

    return bags.write_bag(tmp_path_factory.mktemp("bags") / "moved", traffic())


def test_each_channel_is_as_late_as_it_was(path):
    found = latencies(bags.contract(), path)
    late = {"action": ARM_S, "gripper": GRIPPER_S}
    late |= {f"views.{name}": CAMERA_S for name in bags.contract().views}
    assert {name: lag.seconds for name, lag in found.items()} == pytest.approx(late, abs=0.012)
    assert all(lag.correlation > 0.9 for lag in found.values())


def test_what_was_not_recorded_is_not_usable(tmp_path):
    found = latencies(bags.contract(), bags.write_bag(tmp_path / "short"))
    assert found["gripper"].correlation == 0


def test_the_verb_writes_them_into_the_contract(path, tmp_path):
    robot = tmp_path / "robot.yaml"
    robot.write_text(bags.SMALL)
    assert cli.main(["latency", "--contract", str(robot), "--bag", str(path), "--write"]) == 0
    values = yaml.safe_load(robot.read_text())
    assert values["action"]["latency_s"] == pytest.approx(ARM_S, abs=0.01)
    assert values["views"]["agentview"]["latency_s"] == pytest.approx(CAMERA_S, abs=0.012)
