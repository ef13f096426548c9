"""`vilp replay --shadow` on live topics: the simulator's expert drives, a bundle looks on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import Trigger

from vilp_ros.cli.main import main
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract

VILP = str(Path(sys.executable).with_name("vilp"))


def test_a_bundle_follows_whoever_drives(start, probe, tmp_path):
    """Its actions are compared, and it sends nothing: all commands bear the expert's name."""
    told, steps = tmp_path / "shadow.json", []
    probe.listen(DiagnosticStatus, "sim/status", steps.append, qos.STATE_OUT)
    supervisor, _ = start("task:=lift", "expert:=expert", only=("sim",))
    command = [VILP, "replay", "--shadow", "--model", "ldp_lift", "--json", str(told)]
    with supervisor:
        probe.spin_until(lambda: steps, "the simulator")
        process = subprocess.Popen(
            command, env=os.environ.copy(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        count = probe.node.count_subscribers
        probe.spin_until(lambda: count("commander") and count("target_pose") > 1, "the shadow")
        assert probe.node.count_publishers("target_pose") == 1
        assert probe.call(Trigger, "sim/demonstrate").success
        done = {"expert": "done"}.items()
        probe.spin_until(
            lambda: done <= {v.key: v.value for v in steps[-1].values}.items(), "the expert"
        )
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=60)
    assert process.returncode == 0, error.decode()
    figures = json.loads(told.read_text())
    assert f"{figures['steps']} inferences; median distance" in said.decode()
    assert figures["steps"] > 10
    # It was trained on this expert; a bundle that aimed anywhere would be decimetres off.
    assert 0 < figures["position_mm"][0] < 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shadow"], "with --model"),
        (["--execute"], "only --shadow works on live topics"),
        (["--shadow", "--model", "ldp_lift", "--seconds", "0.5"], "0 inferences, 0 commands on"),
    ],
)
def test_what_cannot_be_followed_is_said(domain, capsys, words, said):
    assert main(["replay", *words]) == 2
    assert said in capsys.readouterr().err


def test_joints_that_no_pose_goes_with_cannot_be_compared(domain, tmp_path, capsys):
    text, line = find_contract("fr3_direct").read_text(), "  pose_topic: commanded_pose"
    assert line in text
    (tmp_path / "arm.yaml").write_text(text.replace(line, "  #"))
    words = ["--shadow", "--model", "ldp_lift", "--contract", f"{tmp_path}/arm.yaml"]
    assert main(["replay", *words]) == 2
    assert "cannot be compared without action.pose_topic" in capsys.readouterr().err
