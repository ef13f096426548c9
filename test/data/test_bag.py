"""Bags as other readers see them, cut off bags, and the library they lie in."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest
import yaml
from bags import contract, serialized, traffic, write_bag
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from vilp_ros.data.bag import Bag, BagError, find_bags, relabel
from vilp_ros.data.bag_writer import BagWriter
from vilp_ros.data.recording import Library, Offer, Recording
from vilp_ros.data.repair import repair

ROBOT = contract()
COUNT = 21 * 8  # messages in 20 periods of traffic


def test_a_bag_comes_back_with_labels_types_and_messages(tmp_path):
    path = write_bag(tmp_path / "a", outcome="success")
    with Bag(path) as bag:
        assert bag.labels["outcome"] == "success"
        assert bag.labels["verdict"] == "ok"
        assert json.loads(bag.labels["audit"])["findings"] == []
        assert bag.contract() == ROBOT
        assert bag.kinds["/ee_pose"] == "geometry_msgs/msg/PoseStamped"
        assert sum(bag.counts.values()) == COUNT
        sent = [serialized(body) for _, body in traffic(ROBOT)]
        assert [data for _, _, data in bag.raw()] == sent
    info = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (info["version"], info["storage_identifier"]) == (9, "mcap")
    hashes = {
        t["topic_metadata"]["type_description_hash"] for t in info["topics_with_message_count"]
    }
    assert all(h.startswith("RIHS01_") for h in hashes)


def test_a_reader_that_is_not_ours_sees_the_same(tmp_path):
    path = write_bag(tmp_path / "a")
    expected = [body for name, body in traffic(ROBOT) if name == "agentview/image_raw"]
    with (path / "a.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        found = [m for *_, m in reader.iter_decoded_messages(topics=["/agentview/image_raw"])]
        assert reader.get_summary().statistics.message_count == COUNT
    assert [bytes(m.data) for m in found] == [bytes(m.data) for m in expected]
    assert [m.header.stamp.nanosec for m in found] == [m.header.stamp.nanosec for m in expected]


def test_labels_can_be_changed_afterwards(tmp_path):
    path = write_bag(tmp_path / "a")
    relabel(path, {"outcome": "failure"})
    with Bag(path) as bag:
        assert (bag.labels["outcome"], bag.labels["task"]) == ("failure", "lift")
        assert sum(1 for _ in bag.raw()) == COUNT


KILLED = """
import os, signal, sys
from pathlib import Path
from bags import contract, serialized, traffic, SMALL
from vilp_ros.data.recording import Offer, Recording
recording = Recording(Path(sys.argv[1]), contract(), {"contract": SMALL, "task": "lift"}, {})
count = 0
for round in range(int(sys.argv[2])):
    for name, body in traffic(contract()):
        recording.announce("/" + name, Offer(body.__msgtype__))
        count += 1
        recording.take("/" + name, 10**18 + count, serialized(body))
    if round == 1:
        recording.writer._flushed_s -= 10
        recording.beat(10**18 + count)
print(count, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("rounds", [3, 60])
def test_a_kill_loses_at_most_the_last_chunk(tmp_path, rounds):
    path = tmp_path / "episode_0000"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(path), str(rounds)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    taken = int(result.stdout)
    with pytest.raises(BagError, match="was cut off while it was recorded: run `vilp repair"):
        Bag(path)
    found = repair(path)
    assert found.needed
    per_chunk = 2**20 / (2**20 * rounds / 60 / taken) if rounds == 60 else COUNT
    assert taken - 2.2 * per_chunk <= found.messages <= taken
    assert " bytes at its end were no whole message" in str(found)
    with Bag(path) as bag:
        assert sum(1 for _ in bag.raw()) == found.messages
        assert bag.labels["task"] == "lift"
        assert bag.labels["outcome"] == "unlabelled"
    again = repair(path)
    assert not again.needed
    assert "nothing to repair" in str(again)


def test_a_file_cut_anywhere_gives_back_every_message_before_the_cut(tmp_path):
    whole = (write_bag(tmp_path / "whole") / "whole.mcap").read_bytes()
    with Bag(tmp_path / "whole") as bag:
        sent = [data for _, _, data in bag.raw()]
    for share in (0.3, 0.5, 0.77, 0.95):
        path = write_bag(tmp_path / f"cut_{share}")
        file = path / f"cut_{share}.mcap"
        cut = int(share * len(whole))
        file.write_bytes(file.read_bytes()[:cut])
        with pytest.raises(BagError, match="vilp repair"), Bag(path) as bag:
            list(bag.raw())
        found = repair(path)
        with Bag(path) as bag:
            back = [data for _, _, data in bag.raw()]
            assert bag.contract() == ROBOT
        assert back == sent[: len(back)]
        overhead = len(whole) - sum(map(len, sent))  # definitions, index
        assert sum(map(len, back)) > min(cut, sum(map(len, sent))) - overhead
        assert found.messages == len(back)


def test_a_bag_that_is_being_recorded_is_left_alone(tmp_path):
    recording = Recording(tmp_path / "a", ROBOT, {}, {})
    for name, body in traffic(ROBOT, 5):
        recording.announce(f"/{name}", Offer(body.__msgtype__))
        recording.take(f"/{name}", 10**18, serialized(body))
    for reads in (Bag, repair):
        with pytest.raises(BagError, match="is being recorded: end that first"):
            reads(tmp_path / "a")
    recording.stop("success")
    assert not repair(tmp_path / "a").needed


def test_what_cannot_be_saved_is_said(tmp_path):
    with pytest.raises(BagError, match="holds 0 "):
        repair(tmp_path)
    path = write_bag(tmp_path / "a")
    (path / "a.mcap").write_bytes((path / "a.mcap").read_bytes()[:40])
    with pytest.raises(BagError, match="no whole message"):
        repair(path)
    (path / "a.mcap").write_bytes(b"not a bag at all" * 10)
    with pytest.raises(BagError, match="begins with no whole message: nothing is changed"):
        repair(path)


def test_no_bag_is_said(tmp_path):
    with pytest.raises(BagError, match="is no bag: a bag is a folder"):
        Bag(tmp_path / "absent")
    with pytest.raises(BagError, match="holds neither"):
        Bag(tmp_path)
    with pytest.raises(BagError, match="holds no bag"):
        find_bags([tmp_path])


def test_a_full_disk_fails_the_episode(tmp_path):
    """A limit on the size of files is what a process can have of a full disk."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from bags import contract, serialized, traffic\n"
        "from vilp_ros.data.recording import Offer, Recording\n"
        "recording = Recording(Path(sys.argv[1]), contract(), {}, {})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "for _ in range(60):\n"
        "    for name, body in traffic(contract()):\n"
        "        recording.announce('/' + name, Offer(body.__msgtype__))\n"
        "        recording.take('/' + name, 10**18, serialized(body))\n"
        "ended = recording.stop('success')\n"
        "print(ended.failed, ended.message)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("True a failed: cannot write: File too large")
    assert "vilp repair" in result.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000


def test_an_unknown_type_or_another_definition_is_refused_by_name(tmp_path):
    writer = BagWriter(tmp_path / "a", {})
    with pytest.raises(BagError, match="my_msgs/msg/Odd, which is no standard message"):
        writer.add("/odd", "my_msgs/msg/Odd")
    with pytest.raises(BagError, match="the definitions differ"):
        writer.add("/x", "sensor_msgs/msg/Image", "RIHS01_00")
    writer.abort()


def test_a_topic_that_changes_or_goes_marks_the_episode(tmp_path):
    recording = Recording(tmp_path / "a", ROBOT, {}, {"/ee_pose": "ee_pose"})
    for name, body in traffic(ROBOT, 5):
        recording.announce(f"/{name}", Offer(body.__msgtype__))
        recording.take(f"/{name}", 10**18, serialized(body))
    recording.announce("/ee_pose", Offer("geometry_msgs/msg/Pose"))
    recording.vanished("/joint_states")
    ended = recording.stop("success")
    assert any("its type became geometry_msgs/msg/Pose, was" in text for text in ended.findings)
    assert any("/joint_states: its publisher went after" in text for text in ended.findings)
    with Bag(tmp_path / "a") as bag:
        assert bag.labels["verdict"] == "broken"


@pytest.mark.parametrize("reports", [False, True])
def test_an_empty_episode_is_not_kept(tmp_path, reports):
    """Nor one of which nodes alone report, as they do while the robot is switched off."""
    recording = Recording(tmp_path / "a", ROBOT, {}, {})
    if reports:
        recording.announce("/lab/diagnostics", Offer("diagnostic_msgs/msg/DiagnosticArray"))
        recording.take("/lab/diagnostics", 10**18, bytes([0, 1] + [0] * 26))
        assert recording.writer.messages == 1
    ended = recording.stop("success")
    assert ended.failed
    assert "no message came" in ended.message
    assert not (tmp_path / "a").exists()


def test_discard_can_be_undone_and_no_number_comes_twice(tmp_path):
    library = Library(tmp_path)
    for _ in range(3):
        write_bag(library.next)
    one, two = library.episodes[1:]
    library.discard(one)
    library.discard(two)
    assert library.next.name == "episode_0003"
    assert [p.name for p in library.episodes] == ["episode_0000"]
    assert find_bags([tmp_path]) == library.episodes
    assert library.undo() == two
    assert library.undo() == one
    with pytest.raises(BagError, match="nothing in"):
        library.undo()
