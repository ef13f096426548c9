"""Devices by the bytes that the kernel gives, and the node that steers with them."""

import os
import pty
import struct
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from ros_rig import Rig
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from vilp_ros.errors import VilpError
from vilp_ros.ros import qos, teleop_devices
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import Process
from vilp_ros.ros.supervisor import Supervisor
from vilp_ros.ros.teleop_devices import Gamepad, Keyboard, SpaceMouse, open_device


@pytest.fixture
def pipe(tmp_path):
    """A device file and a way to write to it."""
    path = tmp_path / "device"
    os.mkfifo(path)
    number = os.open(path, os.O_RDWR)
    yield str(path), partial(os.write, number)
    os.close(number)


def js(value, kind, number):
    return struct.pack("<IhBB", 0, value, kind, number)


def test_gamepad(pipe):
    path, write = pipe
    pad = Gamepad(path)
    assert not pad.read().twist.any()
    write(js(-32767, 2, 1) + js(16384, 0x82, 0) + js(1000, 2, 3))
    np.testing.assert_allclose(pad.read().twist, [1, -0.5, 0, 0, 0, 0], atol=1e-3)
    write(js(1, 1, 0) + js(0, 1, 0) + js(1, 1, 1) + js(1, 1, 5) + js(1, 1, 11))
    assert pad.read().words == ["gripper", "takeover", "discard"]
    write(js(0, 2, 1))
    np.testing.assert_allclose(pad.read().twist, [0, -0.5, 0, 0, 0, 0], atol=1e-3)
    pad.close()


def test_spacemouse(tmp_path, pipe):
    path, write = pipe
    mouse = SpaceMouse(path)
    write(bytes([1]) + struct.pack("<6h", 0, -350, 0, 0, 0, 0) + bytes(3))
    np.testing.assert_allclose(mouse.read().twist, [1, 0, 0, 0, 0, 0])
    write(bytes([1]) + struct.pack("<6h", 0, 0, 175, 0, 0, 700) + bytes(3))
    np.testing.assert_allclose(mouse.read().twist, [0, 0, -0.5, 0, 0, -1])
    write(bytes([3, 1]) + bytes(14))
    assert mouse.read().words == ["gripper"]
    write(bytes([3, 3]) + bytes(14))  # the first is still held
    assert mouse.read().words == ["takeover"]
    hid = tmp_path / "hidraw/hidraw4/device"
    hid.mkdir(parents=True)
    (hid / "uevent").write_text("HID_NAME=3Dconnexion SpaceMouse Compact\n")
    assert teleop_devices._find_spacemouse(tmp_path / "hidraw") == "/dev/hidraw4"


def test_keyboard(monkeypatch):
    master, slave = pty.openpty()
    monkeypatch.setattr(sys, "stdin", os.fdopen(slave, "r"))
    now = [0.0]
    keyboard = Keyboard(clock=lambda: now[0])
    os.write(master, b"wA t")
    hand = keyboard.read()
    np.testing.assert_array_equal(hand.twist, [1, 1, 0, 0, 0, 0])
    assert hand.words == ["gripper", "takeover"]
    now[0] = 1.0
    assert not keyboard.read().twist.any()
    keyboard.close()
    os.close(master)


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(VilpError, match=r"no gamepad at .*: plug it in, or name its file"):
        open_device("gamepad", str(tmp_path / "absent"))
    with pytest.raises(VilpError, match="no spacemouse at"):
        open_device("spacemouse", str(tmp_path / "absent"))
    with pytest.raises(VilpError, match="choose from keyboard, gamepad, spacemouse"):
        open_device("wheel", "")
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    with pytest.raises(VilpError, match="needs a terminal"):
        open_device("keyboard", "")


def test_a_person_takes_over_from_a_controller_and_gives_back(probe, contract, pipe):
    path, write = pipe
    enabled = [True]

    def on_enable(request, response):
        enabled.append(request.data)
        response.success = True
        return response

    service = probe.node.create_service(SetBool, "controller/enable", on_enable)
    targets = probe.listen(PoseStamped, contract.action.pose_topic, profile=qos.STATE_OUT)
    who = probe.listen(Header, "commander", profile=qos.STATE_OUT)
    rig = Rig(probe, contract)
    words = ("-p", "device:=gamepad", "-p", f"device_path:={path}")
    command = (sys.executable, "-m", "vilp_ros.nodes.teleop", "--ros-args", *words)
    try:
        with Supervisor([Process("teleop", command)], write=lambda line: None):
            # The node that is there, and the controller it found.
            probe.spin_until(lambda: probe.says("teleop", "a policy has the arm"), "teleop")
            write(js(-32767, 2, 1))
            write(js(1, 1, 1))  # take over
            probe.spin_until(lambda: len(targets) > 20, "targets")
            assert enabled[-1] is False
            assert {message.frame_id for message in who} == {"teleop"}
            probe.spin_until(lambda: len(who) > 20, "who commands")
            said = {(m.stamp.sec, m.stamp.nanosec) for m in who}
            sent = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in targets}
            assert len(said & sent) > 10
            assert {m.header.frame_id for m in targets} == {contract.base_frame}
            write(js(1, 1, 1))  # give back
            probe.spin_until(lambda: enabled[-1] is True, "the controller enabled")
    finally:
        rig.close()
        probe.node.destroy_service(service)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("  pose_topic: ", "add action.pose_topic, such as commanded_pose"),
        ("arm: ", "needs `arm: "),
    ],
)
def test_an_arm_that_cannot_be_steered_is_refused(domain, tmp_path, line, says):
    text = find_contract("fr3_direct").read_text()
    text = text.replace("kind: ee_pose ", "kind: joint_position ")  # else the contract is refused
    kept = [other for other in text.splitlines() if not other.startswith(line)]
    assert len(kept) == len(text.splitlines()) - 1
    (tmp_path / "arm.yaml").write_text("\n".join(kept))
    words = ["-m", "vilp_ros.nodes.teleop", "--ros-args", "-p", f"contract:={tmp_path}/arm.yaml"]
    told = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert told.returncode == 2
    assert says in told.stderr
