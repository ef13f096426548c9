"""`vilp doctor` on a healthy set-up and on broken ones: each red row names the fault and a cure."""

import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from robots import FR3, HOME_JOINTS, fr3_with_hand
from ros_rig import Probe, Rig
from rosgraph_msgs.msg import Clock

from vilp_ros.cli import main as cli
from vilp_ros.contract import Contract
from vilp_ros.nodes.checkup import host
from vilp_ros.nodes.checkup.examine import examine
from vilp_ros.nodes.checkup.finding import GREEN, RED, YELLOW
from vilp_ros.nodes.checkup.judge import (
    Heard,
    heard_enough,
    judge_clock,
    judge_graph,
    judge_state,
    judge_tool,
    judge_view,
)
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.messages import to_joint_state, to_pose, to_stamp


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


def test_what_a_lossy_network_leaves_in_the_kernel(tmp_path):
    for seconds, room, cure in ((30, 4194304, "ipfrag_time=3"), (3, 4194304, ""), (30, 2**27, "")):
        (tmp_path / "ipfrag_time").write_text(f"{seconds}\n")
        (tmp_path / "ipfrag_high_thresh").write_text(f"{room}\n")
        found = host.fragments(tmp_path)
        assert bool(cure) == bool(found.cure)
        assert cure in found.cure


def test_a_healthy_graph_is_green(rig, bundle, monkeypatch):
    # Discovery may take seconds.
    monkeypatch.setattr("vilp_ros.nodes.checkup.examine.LISTEN_S", 5.0)
    monkeypatch.setattr("vilp_ros.nodes.checkup.examine.PATIENT_S", 10.0)
    findings = examine("sim_panda", bundle)
    # On a busy machine a camera may be slow; nothing else may be wrong.
    assert {
        name for name, f in red(findings).items() if " Hz; the contract" not in f.found
    } == set()
    assert {"camera agentview", "camera eye_in_hand", "arm ee_pose", "clock"} <= {
        f.check for f in findings
    }


def test_a_slowed_world_is_judged_by_its_own_time(start, probe, bundle, monkeypatch):
    monkeypatch.setattr("vilp_ros.nodes.checkup.examine.PATIENT_S", 20.0)
    supervisor, _ = start("speed:=0.25", only=("sim",))
    with supervisor:
        status = probe.listen(Clock, "/clock", profile=qos.SENSOR)
        probe.spin_until(lambda: len(status) > 20, "the simulator")
        findings = examine("sim_panda", bundle)
    assert red(findings) == {}
    (clock,) = (f for f in findings if f.check == "clock")
    assert clock.found == "stamps are recent"


def test_a_camera_of_another_size_and_one_that_is_silent(rig, bundle, monkeypatch):
    rig.size["agentview"], rig.silent = (48, 80), {"eye_in_hand"}
    monkeypatch.setattr("vilp_ros.nodes.checkup.examine.LISTEN_S", 5.0)
    found = look(bundle)
    assert "48x80 rgb8; the contract says 96x160 rgb8" in found["camera agentview"].found
    assert found["camera eye_in_hand"].found == "nothing on eye_in_hand/image_raw, though 1 publish"


def test_nothing_runs(domain, bundle):
    findings = examine("sim_panda", bundle)
    found = red(findings)
    assert {"camera agentview", "camera eye_in_hand", "arm joints", "arm gripper"} <= set(found)
    assert "vilp up" in found["camera agentview"].cure
    assert "no stamps to judge" in [f.found for f in findings if f.check == "clock"]


def six_joints(tmp_path, *edits):
    """File of a UR5e whose hand is told by topic: control_msgs is not installed here."""
    text = find_contract("ur5e_ros2_control").read_text()
    for old, new in (("gripper: gripper_action", "gripper: topic"), *edits):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "ur5e.yaml"
    path.write_text(text)
    return str(path)


def test_an_arm_of_six_joints_with_its_hand_beside_them(domain, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("vilp_ros.nodes.checkup.examine.LISTEN_S", 5.0)
    path, probe = six_joints(tmp_path), Probe(domain)
    rig = Rig(probe, Contract.load(path))
    try:
        findings = examine(path, bundle)
        wrong = six_joints(tmp_path, ("gripper_offset: 0.085", "gripper_offset: 0.5"))
        found = look(bundle, wrong)
    finally:
        rig.close()
        probe.close()
    assert {n for n, f in red(findings).items() if " Hz; the contract" not in f.found} == set()
    said = {f.check: f.found for f in findings}
    assert said["arm"] == "package://vilp_ros/config/urdf/ur5e.urdf, 6 joints"
    assert said["gripper"] == "0.0400 m between the fingers"
    assert "arm ee_pose" not in said
    assert "0.4550 m between the fingers, limits.gripper_width 0 to 0.085" in found["gripper"].found
    assert "gripper_offset (now -0.1072 and 0.5 m)" in found["gripper"].cure


def test_a_urdf_without_the_contracts_link(bundle, tmp_path):
    found = look(bundle, six_joints(tmp_path, ("tip: tool0", "tip: flange")), graph=True)
    assert "has no link 'flange'; it has base_link" in found["arm"].found
    wide = six_joints(tmp_path, ("    - [-2.9, 2.9]\n", "    - [-3.2, 2.9]\n"))
    (told,) = [f for f in examine(wide, bundle, graph=False) if f.check == "arm"]
    assert told.state == YELLOW
    assert told.found.startswith("limits.joint_position of elbow_joint is [-3.2, 2.9], the URDF's")
    assert "control_msgs" in look(bundle, "ur5e_ros2_control", graph=False)["libraries"].found


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
        monkeypatch.setattr(host, "FCI_PORT", server.getsockname()[1])
        refused = host.robot("127.0.0.1")
        assert refused.state == RED
        assert "activate FCI" in refused.cure
        server.listen()
        accept = threading.Thread(target=server.accept)
        accept.start()
        assert host.robot("127.0.0.1").state == GREEN
        accept.join()


def test_the_driver_wants_a_real_time_host(tmp_path):
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/realtime").write_text("1\n")
    cpu = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    (cpu / "scaling_governor").write_text("powersave\n")
    rows = {f.check: f for f in host.real_time(True, tmp_path)}
    assert rows["real-time kernel"].state == GREEN
    assert "performance" in rows["cpu governor"].cure
    (tmp_path / "kernel/realtime").unlink()
    assert red(host.real_time(True, tmp_path))["real-time kernel"].cure


@pytest.mark.parametrize(("length_m", "state"), [(0.1034, GREEN), (0.2034, RED)])
def test_a_tool_that_is_not_the_contracts_is_said(length_m, state):
    stamp, pose = to_stamp(1.0), fr3_with_hand(length_m).forward(HOME_JOINTS)
    joints = to_joint_state(FR3.proprio.joint_names, HOME_JOINTS, stamp)
    (finding,) = judge_tool(FR3, joints, PoseStamped(pose=to_pose(pose)))
    assert (finding.check, finding.state) == ("tool", state)
    assert ("xyz: [0.0000, 0.0000, 0.2034]" in finding.cure) == (state == RED)


def test_what_the_way_to_the_arm_needs():
    ros2_control = Contract.load(find_contract("fr3_ros2_control"))
    assert "franka_msgs" in host.libraries(ros2_control, driver=False).found
    crisp = Contract.load(find_contract("fr3_crisp"))
    assert host.libraries(crisp, driver=False).state == GREEN


def test_it_listens_until_each_rate_is_known(contract):
    heard = {name: Heard([0.0] * 10, [], set()) for name in contract.views}
    heard |= {name: Heard([0.0] * 10, [], set()) for name in ("ee_pose", "joints", "gripper")}
    assert heard_enough(heard)
    for note in heard.values():
        last = note.arrivals.pop()
        assert not heard_enough(heard)
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


@pytest.mark.parametrize(
    ("hz", "state"),
    [(10, RED), (18.2, YELLOW), (19.6, GREEN), (20.4, GREEN), (21.9, YELLOW), (30, RED)],
)
def test_a_camera_is_named_that_is_slower_or_faster_than_the_contract_says(contract, hz, state):
    times = [k / hz for k in range(20)]
    heard = Heard(times, [0.01] * 20, {"96x160 rgb8"}, 1)
    finding = judge_view(contract.views["agentview"], heard)
    assert finding.state == state
    assert bool(finding.cure) == (state != GREEN)
    assert f"{hz:.1f} Hz" in finding.found


def heard_for(seconds, drift, jitter_s=0.002):
    """Of 20 messages a second, each late by 5 ms and some more."""
    rng = np.random.default_rng(0)
    times = np.arange(0, seconds, 0.05)
    late = 0.005 + jitter_s * rng.exponential(1.0, len(times))
    return Heard(list(times + late), list(late + drift * times), set())


@pytest.mark.parametrize("drift", [5e-3, -5e-3])
def test_a_clock_that_drifts_is_looked_at_for_longer_and_named(drift):
    assert heard_for(1.0, drift, jitter_s=0.0).seems_to_drift
    finding = judge_clock("agentview", heard_for(6.0, drift), 0.3)
    assert finding is not None
    way = "fell" if drift > 0 else "ran"
    assert finding.found.startswith(f"agentview: its stamps {way} ")
    assert float(finding.found.split()[4]) == pytest.approx(30, abs=4)
    assert "chrony" in finding.cure
    assert not heard_for(1.0, 0.0, jitter_s=0.0).seems_to_drift
    assert judge_clock("agentview", heard_for(6.0, drift / 100), 0.3) is None


def test_the_verb_prints_a_table_and_says_so_by_its_exit_code(capsys, bundle, tmp_path):
    words = ["doctor", "--no-graph", "--model", bundle, "--json", str(tmp_path / "found.json")]
    assert cli.main(words) == 0
    assert "bundle" in capsys.readouterr().out
    assert cli.main([*words, "--contract", str(tmp_path / "none.yaml")]) == 1
    assert os.path.getsize(tmp_path / "found.json") > 10


def test_joints_of_other_names_are_named():
    heard = Heard([], [], set(), others={"left_finger", "arm_1"})
    finding = judge_state("arm gripper", heard, 0.05)
    assert finding.found == "its joints were not named, only arm_1, left_finger"
    assert "proprio.gripper_joint" in finding.cure
