"""A person takes over from a policy on an arm behind crisp, which heeds one publisher only."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from mock_arms import MockCrisp
from pilot import Pilot
from ros_rig import Probe, Rig
from std_msgs.msg import Header
from waves import WavePlanner

from vilp_ros.contract import Contract
from vilp_ros.ros import commands, qos
from vilp_ros.ros.commands import SETTLE_S, Commands
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor

CONTROLLER = Path(__file__).parents[1] / "support/wave_controller.py"


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


class CrispRig(Rig):
    def __init__(self, probe, contract, arm):
        self._arm = arm
        super().__init__(probe, contract)

    def state(self, phase):
        return self._arm.pose, 0.04, self._arm.joints


def test_nobody_leads_before_it_was_heard_alone_for_a_while(probe, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=lambda: now[0]))
    contract, node = Contract.load(find_contract("fr3_crisp")), probe.node
    ours = Commands(node, contract, 50.0)
    alone = "waiting to be alone on /target_pose"

    def rival():
        return node.create_publisher(PoseStamped, "target_pose", qos.LATEST)

    first = rival()
    probe.spin_until(ours.rivals, "the rival")
    assert ours.claim() == f"{alone}: 1 other publishers"
    assert node.count_publishers("target_pose") == 1
    node.destroy_publisher(first)
    probe.spin_until(lambda: not ours.rivals(), "alone")
    assert ours.claim() == alone
    assert node.count_publishers("target_pose") == 1
    now[0] += 10 * SETTLE_S
    assert ours.claim() == alone  # nobody listens
    probe.listen(PoseStamped, "target_pose")
    probe.spin_until(lambda: ours.heard, "discovery")
    for passed, says in ((0.6, alone), (0.6, "")):
        now[0] += passed * SETTLE_S
        assert ours.claim() == says
    second = rival()
    probe.spin_until(ours.rivals, "the rival")
    assert ours.claim().startswith(alone)
    now[0] += 10 * SETTLE_S
    assert ours.claim().startswith(alone)
    node.destroy_publisher(second)
    probe.spin_until(lambda: not ours.rivals(), "alone")
    assert ours.claim() == alone
    now[0] += 1.1 * SETTLE_S
    assert ours.claim() == ""
    monkeypatch.setattr(Commands, "heard", False)  # a recorder comes
    assert ours.claim() == ""
    ours.release()
    assert node.count_publishers("target_pose") == 0
    assert ours.claim() == alone


def leaps(executed):
    """From the last target before a pause to the first one after it."""
    pairs = zip(executed, executed[1:])
    return [abs(there - here).max() for (t, here), (u, there) in pairs if u - t > SETTLE_S / 2]


@pytest.mark.parametrize(
    ("transport", "enabled"), [("crisp_pose", True), ("crisp_joint", True), ("crisp_pose", False)]
)
def test_a_person_takes_over_and_gives_back_with_no_command_refused(
    probe, tmp_path, transport, enabled
):
    text = find_contract("fr3_crisp").read_text()
    text = text.replace("height: 96", "height: 16").replace("width: 160", "width: 24")
    if transport == "crisp_joint":
        text = text.replace("transport: crisp_pose", f"transport: {transport}")
        joints = "joint_topic: target_joint\n  pose_topic: commanded_pose"
        text = text.replace("pose_topic: target_pose", joints)
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    contract = Contract.load(path)
    assert contract.action.transport == transport

    arm = MockCrisp(probe.node, contract)
    sources = probe.listen(Header, "controller/command_source", profile=qos.STATE_IN)
    planner = WavePlanner(probe, arm, contract.proprio.joint_names, loss=0.0)
    words = ["sim:=false", f"contract:={path}", f"model:={tmp_path}", f"enabled:={enabled}".lower()]
    entry = {p.name: p for p in processes(parse(words))}["controller"]
    words = entry.command[entry.command.index("--ros-args") :]
    entry = replace(entry, command=(sys.executable, str(CONTROLLER), *words))
    rig = CrispRig(probe, contract, arm)
    try:
        with Supervisor([entry], write=print):
            pilot = Pilot(probe, path, planner.work)
            try:
                planner.begin()
                pilot.until_says("a policy has the arm")
                if enabled:
                    pilot.until(lambda: planner.time_s > 4 and arm.taken > 20, "its motion")
                else:
                    pilot.until(lambda: probe.says("controller", "disabled"), "the controller")
                    assert probe.node.count_publishers(arm.topic) == 0
                pilot.press("t")
                pilot.until_says(f"waiting to be alone on /{arm.topic}")
                pilot.until_says("a person steers")
                count, there = len(sources), arm.pose.copy()
                pilot.until(lambda: arm.pose[2] > there[2] + 0.03, "the hand up", hold="r")
                assert len(sources) == count
                assert abs(arm.pose[:2] - there[:2]).max() < 5e-3
                pilot.press("t")
                waits = f"waiting to be alone on /{arm.topic}"
                pilot.until(lambda: probe.says("controller", waits), waits)
                pilot.until(lambda: len(sources) > count + 20, "the policy again")
                there = arm.pose.copy()
                pilot.until(lambda: np.linalg.norm(arm.pose - there) > 0.02, "its motion")
                assert arm.refused == []
                assert len(leaps(arm.executed)) >= 1 + enabled
                assert max(leaps(arm.executed)) < 0.01  # from where the person left it, 3 cm away
            finally:
                pilot.close()
    finally:
        rig.close()
