"""`vilp record` end to end: simulator, expert, recorder, converter; and the keys."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bags import cut_off, write_bag

from vilp_ros.data.bag import Bag, find_bags
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.recording import Library
from vilp_ros.evaluation.replay import execute
from vilp_ros.nodes.record.expert import drop_unfinished

VILP = str(Path(sys.executable).with_name("vilp"))


@pytest.mark.slow
def test_the_expert_records_converts_and_comes_out_the_same(tmp_path):
    bags, told = tmp_path / "bags", tmp_path / "told.json"
    command = [VILP, "record", "--out", str(bags), "--task", "lift", "--expert"]
    command += ["--episodes", "2", "--json", str(told)]
    subprocess.run(command, check=True, timeout=900)
    found = find_bags([bags])
    assert len(found) == 2
    assert len(json.loads(told.read_text())["kept"]) == 2
    for path in found:
        with Bag(path) as bag:
            assert (bag.labels["verdict"], bag.labels["outcome"]) == ("ok", "success")
            assert bag.labels["task"] == "lift"
        assert not convert_bag(path, tmp_path / "d.hdf5", Choice()).error
        done, far_m = execute(path)
        assert done
        assert far_m < 0.01
    file = EpisodeFile(tmp_path / "d.hdf5")
    assert file.roles == ["expert"] * 2
    assert len(set(file[0].info)) > 3
    # The same command goes on, and has nothing to do.
    subprocess.run(command, check=True, timeout=900)
    assert find_bags([bags]) == found


def test_what_was_cut_off_counts_as_no_demonstration(tmp_path):
    library = Library(tmp_path)
    for number, (outcome, seed) in enumerate(
        [("success", "3"), ("unlabelled", "4"), ("failure", "5"), ("unlabelled", "-1")]
    ):
        write_bag(tmp_path / f"episode_{number:04}", labels={"seed": seed}, outcome=outcome)
    cut_off(write_bag(tmp_path / "episode_0004"))
    drop_unfinished(library)
    # A bag without a seed was recorded by a person, who may not have wanted to label it.
    assert [path.name[-1] for path in library.episodes] == ["0", "2", "3"]
    assert library.next.name == "episode_0005"


def test_keys_command_the_recorder(tmp_path, domain):
    """A terminal of its own; no robot, so that an episode is refused in words."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        # The task is the robot's own, of which the simulator knows nothing.
        [VILP, "record", "--out", str(tmp_path / "bags"), "--task", "fold"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        close_fds=True,
    )
    os.close(slave)
    shown = b""

    def until(text: bytes) -> None:
        nonlocal shown
        deadline = time.monotonic() + 120
        while text not in shown:
            assert time.monotonic() < deadline, shown[-2000:]
            shown += os.read(master, 4096)

    until(b"space start")
    until(b"ready")
    os.write(master, b"z")
    until(b"nothing in")
    os.write(master, b" ")
    until(b"recording episode_0000")
    os.write(master, b"s")
    until(b"no message came")
    os.write(master, b"q")
    try:
        while os.read(master, 4096):
            pass
    except OSError:
        pass  # the terminal closed
    assert process.wait(60) == 0
    os.close(master)
