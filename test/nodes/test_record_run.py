"""`vilp record` end to end: simulator, expert, recorder, converter; and the keys."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vilp_ros.data.bag import Bag, find_bags
from vilp_ros.data.convert import Choice, convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.evaluation.replay import execute

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


def test_keys_command_the_recorder(tmp_path, domain):
    """A terminal of its own; no robot, so that an episode is refused in words."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [VILP, "record", "--out", str(tmp_path / "bags")],
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
