"""The recorder as a process: what reaches it lies in the bag, whatever happens on the way."""

import json
import os
import resource
import signal
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_rig import Rig
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.bag_reader import BagReader
from vilp_ros.data.bag_storage import JOURNAL
from vilp_ros.data.observe import seconds
from vilp_ros.data.repair import repair
from vilp_ros.ros import qos
from vilp_ros.ros.graph import processes
from vilp_ros.ros.images import to_array
from vilp_ros.ros.messages import unpack_state
from vilp_ros.ros.supervisor import Supervisor


class Terminal:
    """What `vilp record` does, without the terminal."""

    def __init__(self, probe):
        self._probe = probe
        self.lines: list[str] = []
        self.statuses = probe.listen(DiagnosticStatus, "recorder/status", profile=qos.STATE_IN)

    def value(self, key):
        values = self.statuses[-1].values if self.statuses else []
        return next((v.value for v in values if v.key == key), "")

    def until(self, condition, what):
        return self._probe.spin_until(condition, what)

    def ask(self, name):
        answer = self._probe.call(Trigger, f"recorder/{name}")
        return answer.success, answer.message

    def logged(self, text):
        """How many lines of the recorder's log hold this text."""
        return sum(text in line for line in self.lines)

    def demand(self, name):
        success, message = self.ask(name)
        assert success, message
        return message

    def heard(self, count=40):
        """Wait until the recorder took so many messages of this episode."""
        self.until(lambda: float(self.value("messages") or 0) >= count, f"{count} messages")


@pytest.fixture
def recorder(domain, probe, tmp_path):
    """`recorder(words...)`: the recorder's process and a terminal."""
    running = []

    def begin(*words: str) -> tuple[Supervisor, Terminal]:
        table = processes({"model": "", "record": str(tmp_path / "bags")})
        (entry,) = [p for p in table if p.name == "recorder"]
        entry = replace(entry, command=(*entry.command, *words))
        terminal = Terminal(probe)
        supervisor = Supervisor([entry], write=terminal.lines.append)
        supervisor.__enter__()
        running.append(supervisor)
        terminal.until(lambda: terminal.value("state") == "idle", "the recorder")
        return supervisor, terminal

    yield begin
    for supervisor in running:
        supervisor.stop()


@pytest.fixture
def rig(probe, contract):
    rig = Rig(probe, contract)
    yield rig
    rig.close()


def test_an_episode_from_start_to_bag(recorder, rig, tmp_path, contract, probe):
    _, terminal = recorder()
    assert terminal.ask("stop") == (False, "nothing is being recorded")
    terminal.demand("start")
    assert "is being recorded: stop it first" in terminal.ask("start")[1]
    terminal.heard(200)
    assert terminal.demand("success").startswith("episode_0000: success")
    with Bag(tmp_path / "bags/episode_0000") as bag:
        assert bag.labels["outcome"] == "success"
        assert bag.contract() == contract
        assert len(bag.labels["commit"]) >= 40
        assert bag.kinds["/ee_pose"] == "geometry_msgs/msg/PoseStamped"
        offered = {c.topic: c.ext.offered_qos_profiles for r in bag._files for c in r.connections}
        assert offered["/agentview/image_raw"][0].reliability.name == "BEST_EFFORT"
        assert offered["/ee_pose"][0].reliability.name == "RELIABLE"
        report = json.loads(bag.labels["audit"])["channels"]
        assert report["ee_pose"]["messages"] == bag.counts["/ee_pose"]
        assert len(list(BagReader(bag).observations())) > 10
    # Second thoughts, the trash, and back.
    assert terminal.demand("failure") == "episode_0000: now failure"
    assert "undo brings it back" in terminal.demand("discard")
    assert not (tmp_path / "bags/episode_0000").exists()
    assert terminal.demand("undo") == "episode_0000 is back"
    with Bag(tmp_path / "bags/episode_0000") as bag:
        assert bag.labels["outcome"] == "failure"
    terminal.demand("start")
    seen = len(terminal.statuses)
    terminal.until(lambda: len(terminal.statuses) > seen + 1, "a status of the new episode")
    terminal.heard()
    assert "episode_0001" in terminal.demand("discard")


def test_what_is_wrong_is_said_while_there_is_time(recorder, rig, tmp_path, contract):
    _, terminal = recorder()
    view = next(iter(contract.views))
    terminal.demand("start")
    terminal.heard(50)
    rig.silent.add(view)
    terminal.until(
        lambda: f"{contract.views[view].topic}: " in terminal.statuses[-1].message,
        "a finding on the status",
    )
    assert terminal.statuses[-1].level == DiagnosticStatus.WARN
    assert "marked broken" in terminal.demand("success")
    with Bag(tmp_path / "bags/episode_0000") as bag:
        assert bag.labels["verdict"] == "broken"


def test_a_topic_that_vanishes_and_one_that_changes_its_type(recorder, rig, probe, tmp_path):
    _, terminal = recorder("-p", "further_topics:=odd gone")
    odd = probe.node.create_publisher(Header, "odd", qos.STATE_OUT)
    gone = probe.node.create_publisher(Header, "gone", qos.STATE_OUT)
    terminal.until(lambda: gone.get_subscription_count() and odd.get_subscription_count(), "both")
    terminal.demand("start")
    gone.publish(Header())
    terminal.heard(50)
    probe.node.destroy_publisher(gone)
    probe.node.destroy_publisher(odd)
    terminal.until(lambda: "/gone: its publisher went" in terminal.statuses[-1].message, "the loss")
    other = probe.node.create_publisher(JointState, "odd", qos.STATE_OUT)
    changed = "/odd: its type became sensor_msgs/msg/JointState, was std_msgs/msg/Header"
    terminal.until(lambda: changed in terminal.statuses[-1].message, "the change")
    assert changed in terminal.demand("stop")
    probe.node.destroy_publisher(other)


def test_a_kill_leaves_a_bag_that_can_be_repaired(recorder, rig, tmp_path):
    supervisor, terminal = recorder()
    terminal.demand("start")
    terminal.heard(150)
    supervisor.signal("recorder", signal.SIGKILL)
    supervisor._children["recorder"].wait(30)
    path = tmp_path / "bags/episode_0000"
    with pytest.raises(BagError, match="vilp repair"):
        Bag(path)
    found = repair(path)
    # What was taken in the last chunk (1 s or 1 MiB) may be lost, no more.
    assert found.messages > 60
    with Bag(path) as bag:
        assert bag.contract() is not None
        assert len(list(BagReader(bag).observations())) > 3


def test_a_full_disk_fails_the_episode_and_the_next_one_works(recorder, rig, tmp_path):
    supervisor, terminal = recorder()
    pid = supervisor._children["recorder"].pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    terminal.demand("start")
    terminal.until(lambda: terminal.value("state") == "failed", "the failure")
    assert terminal.statuses[-1].level == DiagnosticStatus.ERROR
    assert "cannot write: File too large" in terminal.statuses[-1].message
    terminal.until(lambda: terminal.logged("episode_0000 failed"), "its line in the log")
    assert terminal.ask("success")[0] is False
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert repair(tmp_path / "bags/episode_0000").needed
    terminal.demand("start")
    terminal.heard(60)
    assert terminal.demand("success").startswith("episode_0001: success")
    assert terminal.logged("episode_0000 failed") == 1


@contextmanager
def standing_disk(path):
    """Blocks the recorder's next write of its journal in the kernel, as a disk that stands still
    would: a pipe lies where the file goes, and to open a pipe waits for its reader."""
    pipe = path / f"{JOURNAL}.new"
    while True:
        try:
            os.mkfifo(pipe)
            break
        except FileExistsError:  # just being written
            continue
    reader = []
    try:
        yield lambda: reader.append(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
    finally:
        (descriptor,) = reader or [os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)]
        if (path / JOURNAL).is_fifo():  # renamed by the recorder, which wrote nothing after it
            (path / JOURNAL).unlink()
            (path / JOURNAL).write_bytes(os.read(descriptor, 65536))
        os.close(descriptor)


def test_what_comes_while_the_disk_stands_still_is_written(recorder, rig, probe, tmp_path):
    _, terminal = recorder("-p", "further_topics:=numbered")
    numbered = probe.node.create_publisher(Header, "numbered", qos.STATE_OUT)
    terminal.until(numbered.get_subscription_count, "its subscription")
    terminal.demand("start")
    terminal.heard()
    count, batch = 1500, 50  # more than the middleware would hold
    with standing_disk(tmp_path / "bags/episode_0000") as release:
        waits = lambda: float(terminal.value("waiting") or 0)  # noqa: E731
        terminal.until(lambda: waits() > 50, "messages that wait")
        for first in range(0, count, batch):
            before = waits()
            for number in range(first, first + batch):
                numbered.publish(Header(frame_id=str(number)))
            terminal.until(lambda before=before: waits() >= before + batch, "their reception")
        assert "is being recorded: stop it first" in terminal.ask("start")[1]  # at once
        client = probe.node.create_client(Trigger, "recorder/success")
        terminal.until(client.service_is_ready, "recorder/success")
        answer = client.call_async(Trigger.Request())
        release()
        terminal.until(answer.done, "the end of the episode")
    assert answer.result().success, answer.result().message
    with Bag(tmp_path / "bags/episode_0000") as bag:
        numbers = [int(m.frame_id) for _, _, m in bag.messages(["/numbered"])]
        assert numbers == list(range(count))
        assert "nothing for the last" not in bag.labels["audit"]
    terminal.until(lambda: terminal.value("state") == "idle", "the idle recorder")
    assert float(terminal.value("waiting_peak_mb")) > 0.1
    assert waits() == 0


def test_a_disk_that_stands_still_too_long_fails_the_episode(recorder, rig, tmp_path):
    _, terminal = recorder("-p", "queue_mb:=1")
    terminal.demand("start")
    terminal.heard()
    path = tmp_path / "bags/episode_0000"
    with standing_disk(path) as release:
        # Said at once, not when the disk is back.
        terminal.until(
            lambda: "messages are lost" in terminal.statuses[-1].message, "what is happening"
        )
        assert terminal.statuses[-1].level == DiagnosticStatus.ERROR
        # A disk that is back before the diagnostics looked has the failure logged by them too.
        terminal.until(lambda: terminal.logged("messages are lost"), "it in the log")
        release()
        terminal.until(lambda: terminal.value("state") == "failed", "the failure")
        said = terminal.statuses[-1].message
        assert "the disk did not keep up: 1 MB waited for it (queue_mb)" in said
        assert "vilp repair" in said
    terminal.until(lambda: terminal.logged("episode_0000 failed"), "its line in the log")
    assert terminal.ask("success")[0] is False
    repair(path)
    terminal.demand("start")
    terminal.heard(60)
    assert terminal.demand("success").startswith("episode_0001: success")
    assert terminal.logged("episode_0000 failed") == 1


def test_the_last_seconds_after_the_fact(recorder, rig, tmp_path, contract, probe):
    _, terminal = recorder("-p", "ring_s:=30.0")
    pose = contract.proprio.ee_pose_topic
    probe.spin_until(lambda: probe.node.count_subscribers(pose), "its subscription")
    rig_seen = len(terminal.statuses)
    terminal.until(lambda: len(terminal.statuses) > rig_seen + 16, "four seconds")
    assert terminal.demand("save").startswith("episode_0000: unlabelled")
    with Bag(tmp_path / "bags/episode_0000") as bag:
        assert bag.counts["/ee_pose"] >= 5  # from before anybody asked


def test_too_little_room_is_said_before_an_episode_begins(recorder, rig):
    _, terminal = recorder("-p", "min_free_mb:=2000000000")
    success, message = terminal.ask("start")
    assert not success
    assert "2000000000 are kept free: make room or lower min_free_mb" in message


def test_a_bag_gives_the_same_tensors_offline_as_it_gave_live(
    recorder, rig, start, probe, tmp_path, contract
):
    """The observation node, live, against the converter, from the bag: to the bit."""
    views = probe.listen(Image, "observation/views", profile=qos.STATE_OUT)
    states = probe.listen(JointState, "observation/state", profile=qos.STATE_OUT)
    _, terminal = recorder()
    supervisor, _ = start(only=("observation",))
    with supervisor:
        probe.spin_until(lambda: len(views) > 5, "observations")
        terminal.demand("start")
        terminal.heard(300)
        terminal.demand("success")
    joints = contract.proprio.joint_names
    live = {seconds(m.header.stamp): unpack_state(m, joints) for m in states}
    images = {seconds(m.header.stamp): to_array(m) for m in views}
    with Bag(tmp_path / "bags/episode_0000") as bag:
        offline = list(BagReader(bag).observations())
    shared = [o for o in offline if o.stamp_s in live and o.stamp_s in images]
    assert len(shared) > 0.5 * len(offline) > 10
    for observation in shared:
        seen, stacked = live[observation.stamp_s], images[observation.stamp_s]
        np.testing.assert_array_equal(np.concatenate(list(observation.images.values())), stacked)
        assert np.array_equal(seen.ee_pose, observation.state.ee_pose)
        assert seen.gripper_width == observation.state.gripper_width
        assert np.array_equal(seen.joint_position, observation.state.joint_position)
        assert np.array_equal(seen.proprio, observation.state.proprio)
