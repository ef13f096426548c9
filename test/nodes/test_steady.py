"""Clocks of a slowed world."""

import subprocess
import sys
import time

import pytest

from vilp_ros.errors import VilpError
from vilp_ros.nodes.demo.world_clock import WorldClock
from vilp_ros.ros.freshness import Freshness
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.steady import steady


def test_a_slowed_clock_is_slow_and_steady():
    clock = steady(0.25)
    before, began = clock(), time.monotonic()
    spent, passed = clock() - before, time.monotonic() - began
    assert 0 <= spent <= 0.25 * passed + 1e-6


def test_silence_counts_in_seconds_of_the_world(monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    freshness = Freshness(["view"], 0.3, steady(0.25))
    freshness.good("view")
    now_s[0] = 1.0
    assert not freshness.complaints()
    now_s[0] = 1.3
    assert freshness.complaints() == ["view: nothing for 0.3 s"]


def test_world_time_goes_on_between_what_the_clock_tells():
    clock = WorldClock(0.5)
    clock.set(100.0, 7.0)
    assert clock.at(102.0) == pytest.approx(8.0)
    assert clock.at(99.0) == pytest.approx(6.5)
    assert WorldClock(1.0).at(123.0) == 123.0


def test_a_slowed_graph_takes_its_time_from_the_simulator():
    by_name = {p.name: p for p in processes(parse(["speed:=0.5"]))}
    assert all(p.parameters["use_sim_time"] for p in by_name.values())
    assert all(p.parameters["speed"] == 0.5 for p in by_name.values())
    assert not any(p.parameters["use_sim_time"] for p in processes(parse([])))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("speed:=0",), "expected 0.01 to 1"),
        (("speed:=nan",), "expected 0.01 to 1"),
        (("speed:=2",), "expected 0.01 to 1"),
        (("speed:=fast",), "expected a number"),
        (("speed:=0.5", "sim:=false"), "only a simulation can be slowed"),
    ],
)
def test_speeds_that_cannot_be_are_refused(words, says):
    with pytest.raises(VilpError, match=says):
        processes(parse(words))


def test_no_node_slows_the_time_of_the_system(domain):
    node = [sys.executable, "-m", "vilp_ros.nodes", "observation"]
    words = [*node, "--ros-args", "-p", "speed:=0.5"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "speed is 0.5, but time is the system's" in ended.stderr
    assert "Traceback" not in ended.stderr
