"""A policy in another process, over a local socket: given, refused, killed, stopped, back again."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from examples import DOCS, install
from geometry_msgs.msg import PoseStamped
from ros_rig import Rig

from vilp_ros.data.observe import from_pose
from vilp_ros.errors import VilpError
from vilp_ros.geometry import ee_proprio
from vilp_ros.policy.bundle import load_policy, save_untrained
from vilp_ros.policy.chunk_policy import Seen
from vilp_ros.ros.files import find_contract

EXAMPLE = DOCS / "example_lerobot"
STAND_IN = Path(__file__).parents[1] / "support/chunk_stand_in.py"
NODES = ("observation", "planner", "controller")
POSE = [0.45, 0.02, 0.3, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        install("example_lerobot", tmp_path_factory.mktemp("site"), patch)
        yield


@pytest.fixture
def place():
    """A socket's path; they must be short."""
    with tempfile.TemporaryDirectory(prefix="chunks") as folder:
        yield Path(folder) / "s"


@pytest.fixture
def served(place):
    """`served(terms...)`: a stand-in, listening; all are killed at the end."""
    with contextlib.ExitStack() as stack:

        def start(*terms: str) -> subprocess.Popen:
            command = [sys.executable, str(STAND_IN), str(place), *terms]
            environment = {**os.environ, "PYTHONPATH": str(EXAMPLE)}
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stderr.readline() == f"serving at {place}\n"
            return process

        yield start


@pytest.fixture
def lift(installed, place, tmp_path):
    folder = tmp_path / "bundle"
    save_untrained(folder, method="lerobot", task="lift")
    text = (folder / "policy.yaml").read_text()
    options = f"options: {{socket: {place}, timeout_s: 0.5}}"
    (folder / "policy.yaml").write_text(text.replace("options: {}", options))
    return folder


@pytest.fixture
def ask(lift):
    """`ask(x)`: the chunk of a hand at x, with 7 and 9 as the pixels that the stand-in reads."""
    policy = load_policy(lift)

    def chunk(x: float = 0.45) -> np.ndarray:
        images = np.zeros((2, 96, 160, 3), np.uint8)
        images[:, 1, 2, 0] = 7, 9
        proprio = ee_proprio([x, *POSE[1:]], 0.04)
        return policy.chunk(Seen(images, proprio, None), np.zeros((16, 7)))

    return chunk


def test_images_and_state_go_there_and_actions_come_back(ask, served):
    served()
    actions = ask()
    wanted = np.tile([*POSE, 0.00079], (16, 1))
    wanted[:, 1] += 0.002 * np.arange(1, 17)
    np.testing.assert_allclose(actions, wanted, atol=1e-6)


def test_a_server_that_dies_is_said_and_one_that_returns_is_asked_again(ask, served):
    with pytest.raises(VilpError, match=r"is not there .*: start serve.py with --socket"):
        ask()
    process = served()
    ask()
    process.kill()
    process.wait()
    with pytest.raises(VilpError, match="hung up"):
        ask()
    with pytest.raises(VilpError, match="is not there"):
        ask()
    served()  # on the socket that the dead one left
    assert ask(0.5)[0, 0] == pytest.approx(0.5)


def test_what_a_slow_server_says_too_late_is_never_taken(ask, served):
    process = served()
    ask()
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)  # it stands, and answers nothing any more
    for _ in range(2):  # in the middle, and as it connects
        with pytest.raises(VilpError, match=r"did not answer within 0.5 s"):
            ask(0.4)
    process.send_signal(signal.SIGCONT)
    assert ask(0.5)[0, 0] == pytest.approx(0.5)


def test_what_the_server_cannot_is_said_and_the_next_is_answered(ask, served):
    served()
    with pytest.raises(VilpError, match="failed: ValueError: behind the robot"):
        ask(-0.3)
    ask()


@pytest.mark.parametrize(
    ("term", "sentence"),
    [
        ("actions=8", "actions: the bundle has 16, the server 8"),
        ("fps=10.0", "fps: the bundle has 20, the server 10"),
        ("protocol=2", "protocol: the bundle has 1, the server 2"),
        ('views={"eye_in_hand": [96, 160], "top": [96, 160]}', "server eye_in_hand 96x160, top"),
        ('views={"eye_in_hand": [96, 160], "agentview": [48, 80]}', "agentview 48x80"),
        (f"state={json.dumps([f's{k}' for k in range(22)])}", "the server 22 numbers .s0, s1"),
        (f"action={json.dumps([f'd{k}' for k in range(7)])}", "the server 7 numbers .d0, d1"),
    ],
)
def test_a_server_of_something_else_is_refused_with_both_sides(ask, served, term, sentence):
    served(term)
    with pytest.raises(VilpError, match=sentence):
        ask()


def message(header, body=b"") -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack(">I", len(raw)) + raw + body


ARRAYS = {"actions": ["<f8", [2, 8]]}
WRONG = [
    (b"\xff\xff\xff\xff", "announced a header of 4294967295 bytes"),
    (b"\0\0\0\1[", "sent a header that is none"),
    (message([1, 2]), "sent a header that is none"),
    (message({"kind": "chunk", "arrays": 3}), "are not names with dtype and shape"),
    (message({"kind": "chunk", "arrays": {"actions": 3}}), "are not names with dtype and shape"),
    (message({"kind": "hello", "arrays": {}}), "said 'hello', expected chunk"),
    (message({"kind": "chunk", "arrays": {}}), "sent no array, expected actions <f8 .2, 8."),
    (message({"kind": "chunk", "arrays": {"actions": ["<f8", [10**9, 8]]}}), "1000000000, 8"),
    (message({"kind": "chunk", "arrays": {"actions": ["|O", [2, 8]]}}), r"sent actions \|O"),
    (message({"kind": "chunk", "arrays": ARRAYS}, bytes(100)), "did not answer within 0.2 s"),
]


@pytest.mark.parametrize(("raw", "sentence"), WRONG)
def test_what_was_not_agreed_on_is_refused_before_it_is_read(installed, raw, sentence):
    from chunk_wire import Connection, WireError

    here, there = socket.socketpair()
    with here, there:
        there.sendall(raw)
        with pytest.raises(WireError, match=sentence):
            Connection(here).receive({"chunk": {"actions": ("<f8", (2, 8))}}, 0.2)


def test_actions_that_are_none_are_refused(installed):
    from chunk_wire import WireError
    from lerobot_chunks import _checked

    sound = np.tile([*POSE, 0.04], (16, 1))
    assert _checked(sound) is sound
    for value, sentence in ((np.nan, "not finite, first in row 3"), (2.0, "of length 2 in row 3")):
        wrong = sound.copy()
        wrong[3, 3] = value
        with pytest.raises(WireError, match=sentence):
            _checked(wrong)


def test_a_rude_client_disturbs_nobody_and_a_second_server_is_refused(ask, served, place):
    process = served()
    ask()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as rude:
        rude.connect(str(place))
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
        ask()
        assert "announced a header of" in process.stderr.readline()
    assert place.stat().st_mode & 0o077 == 0
    command = [sys.executable, str(STAND_IN), str(place)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE)}
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "somebody serves at" in second.stderr
    ask()


def test_the_arm_holds_while_the_server_is_dead_and_goes_on_when_it_is_back(
    lift, served, start, probe, contract, tmp_path
):
    # A machine that also does other things plans late: two seconds of actions, and patience.
    text = (lift / "policy.yaml").read_text()
    (lift / "policy.yaml").write_text(text.replace("horizon: 16", "horizon: 40"))
    patient, text = tmp_path / "patient.yaml", find_contract("sim_panda").read_text()
    patient.write_text(text.replace("staleness_s: 0.3", "staleness_s: 1.9"))
    process = served("actions=40")
    words = f"model:={lift}", f"contract:={patient}", "sim:=false"
    targets = probe.listen(PoseStamped, "target_pose")

    def places(count):
        return {tuple(from_pose(m.pose)) for m in targets[-count:]}

    def moves(since=0):
        return len(targets) > since + 10 and len(places(10)) > 5

    with contextlib.closing(Rig(probe, contract)):
        supervisor, lines = start(*words, only=NODES)
        with supervisor:
            probe.spin_until(moves, "the arm to move")
            process.kill()
            probe.spin_until(lambda: probe.says("planner", "policy server at"), "what is wrong")
            probe.spin_until(lambda: probe.says("controller", "holding: no plan for"), "the hold")
            probe.spin_until(lambda: len(places(25)) == 1, "targets that stay the same")
            served("actions=40")
            since = len(targets)
            probe.spin_until(lambda: moves(since), "the arm to go on")
            probe.spin_until(lambda: probe.says("planner", "planning"), "the news")
            assert not [line for line in lines if "Traceback" in line], lines
