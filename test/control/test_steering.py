"""Whatever the stick does, what leaves is one motion within the limits that ends at rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import HOME_JOINTS

from vilp_ros.contract import Contract
from vilp_ros.control.horizon import PERIOD_S
from vilp_ros.control.jog import Jog
from vilp_ros.control.resampler import Resampler
from vilp_ros.control.steering import Steering
from vilp_ros.geometry import quat_angle
from vilp_ros.ros.files import find_contract

LEAD_S, WIDTH = 0.06, 0.04
START = np.append(HOME_JOINTS, WIDTH)
CONTRACTS = {name: Contract.load(find_contract(name)) for name in ("fr3_direct", "fr3_crisp")}
twists = st.lists(st.floats(-1, 1), min_size=6, max_size=6).map(np.array)


class Person:
    """Steers an arm that does at once what it is told, and keeps what it went through."""

    def __init__(self, name="fr3_direct", speed=0.2, start=START):
        contract = CONTRACTS[name]
        self.resampler = Resampler(contract.limits, contract.action.sends)
        self.jog = Jog(contract.limits, speed, 4 * speed, fingers=10.0)
        self.steering = Steering(contract, self.jog, LEAD_S)
        if name == "fr3_crisp":
            start = Person(start=start).hand()
        self.now_s, self.way, self.origin_s = 100.0, [], None
        self.steering.begin(start, self.now_s)

    def hand(self):
        return self.steering.hand(self.steering.command(self.now_s))

    def push(self, twist, seconds, tick_s=0.02):
        for _ in range(max(1, round(seconds / tick_s))):
            self.now_s += tick_s
            measured = self.steering.command(self.now_s)
            if self.steering.step(np.array(twist, float), measured, self.now_s):
                self._note()

    def stop(self):
        self.steering.stop(self.now_s)
        self._note()
        self.now_s += 2.0

    def _note(self):
        horizon = self.steering.horizon
        if self.origin_s is None or horizon.start_s > self.origin_s + len(self.way) * PERIOD_S:
            self.origin_s, self.way = horizon.start_s, []  # it stood meanwhile
        begun = round((horizon.start_s - self.origin_s) / PERIOD_S)
        assert begun * PERIOD_S == pytest.approx(horizon.start_s - self.origin_s, abs=1e-5)
        if self.way:
            known = self.way[begun : begun + horizon.begun + 1]
            for before, now in zip(known, horizon.motions):  # what was promised is kept
                np.testing.assert_allclose(now.action[:7], before.action[:7], atol=1e-9)
        self.way = self.way[:begun] + horizon.motions
        assert horizon.motions[-1].still

    def check(self):
        limits = self.resampler
        velocity = np.array([m.velocity for m in self.way])
        acceleration = np.array([m.acceleration for m in self.way])
        jerk = np.diff(acceleration, axis=0) / PERIOD_S
        assert (abs(velocity) <= limits.velocity * (1 + 1e-6)).all()
        assert (abs(acceleration) <= limits.acceleration * (1 + 1e-6)).all()
        assert (abs(jerk) <= limits.jerk * (1 + 1e-6)).all()
        faster = abs(np.diff(velocity, axis=0)) / PERIOD_S  # no leap of what the others derive from
        assert (faster <= limits.acceleration * (1 + 1e-6)).all()
        return np.array([m.action[:7] for m in self.way])


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(CONTRACTS)),
    st.lists(st.tuples(twists, st.floats(0.02, 0.8)), min_size=1, max_size=6),
    st.floats(0.05, 0.6),
    st.floats(0.004, 0.09),
)
def test_random_twists_keep_the_limits(name, pushes, speed, tick_s):
    person = Person(name, speed)
    for twist, seconds in pushes:
        person.push(twist, seconds, tick_s)
        path = person.check()
    person.stop()
    path = person.check()
    if name == "fr3_direct":
        low, high = np.array(CONTRACTS[name].limits.joint_position).T
        assert (path >= low - 1e-9).all()
        assert (path <= high + 1e-9).all()


def test_the_hand_goes_as_far_as_the_stick_says_and_straight():
    person = Person()
    start = person.hand()
    person.push([0, 1, 0, 0, 0, 0], 1.0)
    person.push(np.zeros(6), 1.0)
    np.testing.assert_allclose(person.hand()[:3], start[:3] + [0, 0.2, 0], atol=1e-5)
    assert quat_angle(person.hand()[3:7], start[3:7]) < 1e-5
    path = person.check()
    hands = np.array([person.steering.hand(np.append(q, 0)) for q in path])
    assert abs(hands[:, [0, 2]] - start[[0, 2]]).max() < 2e-3


def test_steering_evenly_it_moves_evenly():
    person = Person()
    person.push([0, 1, 0, 0, 0, 0], 1.2)
    acceleration = np.array([m.acceleration for m in person.way[35:55]])
    assert abs(acceleration).max() < 0.05  # of 2.5 allowed: it does not brake at each step


@pytest.mark.parametrize("tick_s", [0.004, 0.013, 0.02, 0.031])
def test_the_rate_of_the_caller_does_not_show(tick_s):
    person, other = Person(), Person()
    for one, tick in ((person, tick_s), (other, 0.02)):
        one.push([0, 1, 0, 0, 0, 0], 1.2, tick)
        one.push(np.zeros(6), 1.0, tick)
    path = person.check()
    speeds = np.diff(path, axis=0)[20:50, 0] / PERIOD_S
    assert np.ptp(speeds) < 0.05
    np.testing.assert_allclose(person.hand()[:3], other.hand()[:3], atol=0.01)


def test_it_answers_within_a_tenth_of_a_second_and_never_passes_the_target():
    person = Person()
    start = person.hand()[:3]
    person.push([0, 1, 0, 0, 0, 0], 0.1)
    person.now_s += LEAD_S
    assert np.linalg.norm(person.hand()[:3] - start) > 1e-4
    person.now_s -= LEAD_S
    person.push([0, 1, 0, 0, 0, 0], 1.0)
    reached = person.jog.target[1]
    person.push(np.zeros(6), 1.0)
    path = person.check()
    furthest = max(person.steering.hand(np.append(q, 0))[1] for q in path)
    assert furthest <= reached + 1e-5


def test_what_is_out_of_reach_is_said_and_the_way_back_is_open():
    person = Person()
    person.push([0, 0, -1, 0, 0, 0], 2.0)  # down, so close to the base: the elbow is bent fully
    assert person.steering.refused
    assert "steer another way" in person.steering.finding
    stuck = person.hand()
    assert stuck[2] > CONTRACTS["fr3_direct"].limits.workspace["z"][0] + 0.1
    person.push([0, 0, -1, 0, 0, 0], 1.0)
    np.testing.assert_allclose(person.hand()[:7], stuck[:7], atol=1e-6)
    person.push([0, 0, 1, 0, 0, 0], 1.0)
    assert not person.steering.refused
    assert person.hand()[2] > stuck[2] + 0.1
    person.check()


def test_a_joint_that_is_too_slow_slows_the_hand():
    person = Person()
    start = person.hand()
    person.push([1, 0, 0, 0, 0, 0], 1.0)
    assert person.steering.finding.startswith("slowed: joint")
    assert not person.steering.refused
    person.push(np.zeros(6), 1.0)
    moved = person.hand()[:3] - start[:3]
    assert 0.1 < moved[0] < 0.18  # of 0.2
    assert abs(moved[1:]).max() < 1e-4
    person.check()


def test_nothing_moves_until_somebody_steers():
    person = Person()
    person.push(np.zeros(6), 0.5)
    assert person.steering.horizon.stands
    np.testing.assert_allclose(person.steering.command(person.now_s), START, atol=1e-9)


def test_the_gripper_moves_on_a_word_only_and_also_where_the_hand_is_stuck():
    person = Person()
    person.push([0, 0, -1, 0, 0, 0], 2.0)
    assert person.steering.command(person.now_s)[7] == WIDTH
    person.jog.grip()
    person.push([0, 0, -1, 0, 0, 0], 0.1)
    assert person.steering.refused
    assert person.steering.command(person.now_s)[7] == 0.08


def test_a_clock_that_is_set_moves_nothing():
    person = Person()
    person.push([0, 1, 0, 0, 0, 0], 1.0)
    for jump_s in (-10.0, 30.0):
        before = person.steering.command(person.now_s)
        person.now_s += jump_s
        person.steering.step(np.zeros(6), before, person.now_s)
        there = person.steering.command(person.now_s + 0.02)
        assert abs(there[:7] - before[:7]).max() < 0.06
        person.now_s += 1.0
