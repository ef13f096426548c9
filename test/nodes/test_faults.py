"""Faults that leave everything running: old and frozen pictures, a clock set back, a planner that
stalls. Real processes, on the time of a /clock that the test may set."""

import signal
import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from ros_rig import Rig

from vilp_ros.data.observe import from_pose

NODES = ("observation", "planner", "controller")


@pytest.fixture(scope="module")
def rig(probe, contract):
    rig = Rig(probe, contract)
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def nodes(start, rig):
    supervisor, _ = start("sim:=false", "use_sim_time:=true", only=NODES)
    with supervisor:
        yield supervisor


class Hand:
    """Where the arm was told to be, and when it was told so, on a steady clock."""

    def __init__(self, probe):
        self._probe = probe
        self.told: list[tuple[float, np.ndarray]] = []
        probe.listen(PoseStamped, "target_pose", self._on_target)

    def _on_target(self, message):
        self.told.append((time.monotonic(), from_pose(message.pose)))

    def moves(self):
        count = len(self.told)
        fresh = lambda: {tuple(p) for _, p in self.told[count:]}  # noqa: E731
        self._probe.spin_until(lambda: len(fresh()) > 8, "the arm to move")
        says = self._probe.says
        self._probe.spin_until(lambda: not says("controller", "holding"), "the news")

    def stands(self):
        def still():
            recent = {tuple(p) for _, p in self.told[-25:]}
            return len(self.told) > 25 and len(recent) == 1

        self._probe.spin_until(still, "targets that stay the same")

    def largest_step(self, since: int) -> float:
        poses = np.array([p[:3] for _, p in self.told[max(0, since - 1) :]])
        return float(np.linalg.norm(np.diff(poses, axis=0), axis=1).max())


@pytest.fixture(scope="module")
def listening(probe):
    return Hand(probe)


@pytest.fixture
def hand(listening, nodes, contract):
    """Moving before and after, and never by more than the speed limit allows in a long tick."""
    listening.moves()
    since = len(listening.told)
    yield listening
    listening.moves()
    assert listening.largest_step(since) <= contract.limits.ee_speed * 0.1 + 1e-6


def test_a_frozen_camera_makes_the_arm_hold_until_it_lives(hand, probe, rig):
    rig.frozen.add("eye_in_hand")
    says = "eye_in_hand refused: frozen: the same picture while the hand moved by"
    probe.spin_until(lambda: probe.says("observation", says), says)
    probe.spin_until(lambda: probe.says("controller", "holding: no "), "the reason")
    hand.stands()
    rig.frozen.clear()


def test_pictures_of_a_second_ago_make_it_hold(hand, probe, rig):
    rig.image_age_s = 1.0
    probe.spin_until(lambda: probe.says("observation", "stamps are 1.0 s old"), "the cameras")
    probe.spin_until(lambda: probe.says("controller", "holding"), "the reason")
    hand.stands()
    rig.image_age_s = 0.0


def test_a_clock_that_is_set_back_makes_it_hold_and_go_on(hand, probe, rig):
    rig.offset_s -= 10.0
    probe.spin_until(lambda: probe.says("controller", "holding"), "the hold")


def test_a_planner_that_stalls_for_200_ms_is_bridged(hand, probe, nodes, contract):
    holds = int(probe.values("controller")["holds"])
    for _ in range(5):
        nodes.signal("planner", signal.SIGSTOP)
        stopped_s = time.monotonic()
        probe.spin_until(lambda s=stopped_s: time.monotonic() - s > 0.2, "the stall")
        nodes.signal("planner", signal.SIGCONT)
        hand.moves()
    assert int(probe.values("controller")["holds"]) <= holds + 5
