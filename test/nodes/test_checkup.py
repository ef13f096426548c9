"""`vilp doctor` on a healthy set-up and on broken ones: each red row names the fault and a cure."""

import os
import socket
import subprocess
import sys
import threading

import pytest
from ros_rig import Probe, Rig

from vilp_ros.cli import main as cli
from vilp_ros.contract import Contract
from vilp_ros.nodes import checkup
from vilp_ros.nodes.checkup import GREEN, RED, Heard, examine, judge_clock, judge_graph, judge_view
from vilp_ros.nodes.files import find_contract


@pytest.fixture
def rig(domain, contract):
    probe = Probe(domain)
    rig = Rig(probe, contract)
    yield rig
    rig.close()
    probe.close()


def red(findings):
    return {f.check: f for f in findings if f.state == RED}


def look(bundle, contract="sim_panda", **options):
    findings = examine(contract, bundle, **options)
    for finding in findings:
        assert bool(finding.cure) == (finding.state != GREEN), finding
    return red(findings)


def test_a_healthy_graph_is_green(rig, bundle, monkeypatch):
    monkeypatch.setattr(checkup, "LISTEN_S", 5.0)  # discovery may take seconds
    findings = examine("sim_panda", bundle)
    # On a busy machine a camera may be slow; nothing else may be wrong.
    assert {
        name for name, f in red(findings).items() if " Hz; the contract" not in f.found
    } == set()
    assert {"camera agentview", "camera eye_in_hand", "arm ee_pose", "clock"} <= {
        f.check for f in findings
    }


def test_a_camera_of_another_size_and_one_that_is_silent(rig, bundle, monkeypatch):
    rig.size["agentview"], rig.silent = (48, 80), {"eye_in_hand"}
    monkeypatch.setattr(checkup, "LISTEN_S", 5.0)
    found = look(bundle)
    assert "48x80 rgb8; the contract says 96x160 rgb8" in found["camera agentview"].found
    assert found["camera eye_in_hand"].found == "nothing on eye_in_hand/image_raw, though 1 publish"


def test_nothing_runs(domain, bundle):
    findings = examine("sim_panda", bundle)
    found = red(findings)
    assert {"camera agentview", "camera eye_in_hand", "arm joints", "arm gripper"} <= set(found)
    assert "vilp up" in found["camera agentview"].cure
    assert "no stamps to judge" in [f.found for f in findings if f.check == "clock"]


def test_a_contract_that_is_wrong(tmp_path, bundle):
    path = tmp_path / "robot.yaml"
    text = find_contract("sim_panda").read_text()
    path.write_text(text.replace("ee_speed: 1.0", "ee_speed: 10.0"))
    found = look(bundle, str(path), graph=False)
    assert "limits.ee_speed: found 10.0" in found["contract"].found


def test_a_bundle_for_another_robot(tmp_path, bundle):
    path = tmp_path / "robot.yaml"
    text = find_contract("sim_panda").read_text()
    path.write_text(text.replace("  eye_in_hand:\n", "  wrist:\n", 1))
    found = look(bundle, str(path), graph=False)
    assert "bundle expects views" in found["bundle"].found
    assert "no-such" in look("no-such", graph=False)["bundle"].found


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("ROS_DOMAIN_ID", "300", "domain"),
        ("ROS_DOMAIN_ID", "lab", "domain"),
        ("FASTRTPS_DEFAULT_PROFILES_FILE", "/no/such.xml", "shared memory"),
    ],
)
def test_a_wrong_environment(monkeypatch, bundle, variable, value, check):
    monkeypatch.setenv(variable, value)
    found = look(bundle, graph=False)[check]
    assert value in found.found
    assert variable in found.cure


def test_large_images_want_a_larger_segment(tmp_path, bundle):
    path = tmp_path / "robot.yaml"
    text = find_contract("sim_panda").read_text()
    path.write_text(text.replace("height: 96", "height: 480").replace("width: 160", "width: 640"))
    found = look("", str(path), graph=False)["shared memory"]
    assert "agentview, eye_in_hand larger than the default segment" in found.found
    profile = found.cure.split("=")[1].split()[0]
    assert largest_segment({}) < 1e6
    assert largest_segment({"FASTRTPS_DEFAULT_PROFILES_FILE": profile}) > 32e6


def largest_segment(variables):
    """Bytes of shared memory that a node maps at once."""
    code = (
        "import rclpy\n"
        "rclpy.init()\n"
        "node = rclpy.create_node('segment')\n"
        "sizes = [0]\n"
        "for line in open('/proc/self/maps'):\n"
        "    if '/dev/shm/' in line:\n"
        "        low, high = line.split()[0].split('-')\n"
        "        sizes.append(int(high, 16) - int(low, 16))\n"
        "print(max(sizes))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_a_robot_that_does_not_answer(monkeypatch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(checkup, "FCI_PORT", server.getsockname()[1])
        refused = checkup.robot("127.0.0.1")
        assert refused.state == RED
        assert "activate FCI" in refused.cure
        server.listen()
        accept = threading.Thread(target=server.accept)
        accept.start()
        assert checkup.robot("127.0.0.1").state == GREEN
        accept.join()


def test_the_driver_wants_a_real_time_host(tmp_path):
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/realtime").write_text("1\n")
    cpu = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    (cpu / "scaling_governor").write_text("powersave\n")
    rows = {f.check: f for f in checkup.real_time(True, tmp_path)}
    assert rows["real-time kernel"].state == GREEN
    assert "performance" in rows["cpu governor"].cure
    (tmp_path / "kernel/realtime").unlink()
    assert red(checkup.real_time(True, tmp_path))["real-time kernel"].cure


def test_what_the_way_to_the_arm_needs():
    ros2_control = Contract.load(find_contract("fr3_ros2_control"))
    assert "franka_msgs" in checkup.libraries(ros2_control, driver=False).found
    crisp = Contract.load(find_contract("fr3_crisp"))
    assert checkup.libraries(crisp, driver=False).state == GREEN


def test_it_listens_until_each_rate_is_known(contract):
    heard = {name: Heard([0.0] * 10, [], set()) for name in contract.views}
    heard |= {name: Heard([0.0] * 10, [], set()) for name in ("ee_pose", "joints", "gripper")}
    assert checkup.heard_enough(heard)
    for note in heard.values():
        last = note.arrivals.pop()
        assert not checkup.heard_enough(heard)
        note.arrivals.append(last)


def test_rates_clocks_and_rivals_are_judged(contract):
    view = contract.views["agentview"]
    times = [0.1 * k for k in range(10)]
    slow = Heard(times, [0.01] * 10, {"96x160 rgb8"}, 1)
    assert judge_view(view, slow).found == "10.0 Hz; the contract says 20 Hz"
    assert judge_clock("x", Heard([0.0], [-2.0], set()), 0.3).found.startswith("x is stamped 2.00")
    assert "chrony" in judge_clock("x", Heard([0.0], [5.0], set()), 0.3).cure
    good = [0.05 * k for k in range(20)]
    heard = {name: Heard(good, [0.01], {"96x160 rgb8"}, 1) for name in contract.views}
    heard |= {name: Heard(good, [0.01], set()) for name in ("ee_pose", "joints", "gripper")}
    assert not red(judge_graph(contract, heard, 1))
    assert "2 publish commands" in red(judge_graph(contract, heard, 2))["commanders"].found
    said = {f.check: f.found for f in judge_graph(contract, heard, 1)}
    assert said["arm joints"] == "20 Hz, at least 20 Hz, once a control period, are needed"
    assert said["camera agentview"].endswith("at 20.0 Hz, 20 Hz promised")
    heard["joints"] = Heard(times, [0.01], set())
    found = red(judge_graph(contract, heard, 1))["arm joints"].found
    assert found == "10.0 Hz; needed are 20 Hz, once a control period"


def test_the_verb_prints_a_table_and_says_so_by_its_exit_code(capsys, bundle, tmp_path):
    words = ["doctor", "--no-graph", "--model", bundle, "--json", str(tmp_path / "found.json")]
    assert cli.main(words) == 0
    assert "bundle" in capsys.readouterr().out
    assert cli.main([*words, "--contract", str(tmp_path / "none.yaml")]) == 1
    assert os.path.getsize(tmp_path / "found.json") > 10
