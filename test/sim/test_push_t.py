"""Push-T: its measure, its model of pushing, its ways round the T, its expert."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.push_model import STICK_RADIUS, Ways, escape, free, make_pushes, nearest
from vilp_ros.sim.tasks.push_t import ENOUGH
from vilp_ros.sim.tee import OUTLINE, coverage, seen_from, turned


def test_coverage_is_one_on_the_outline_and_the_overlap_beside_it():
    assert coverage(np.zeros(3)) == 1.0
    assert coverage(np.array([0.2, 0.0, 0.0])) == 0.0
    # Shifted by 6 mm along the bar: the bar keeps 114 of 120 mm, the stem 24 of 30.
    expected = (0.114 * 0.03 + 0.024 * 0.09) / (0.12 * 0.03 + 0.03 * 0.09)
    assert coverage(np.array([0.006, 0.0, 0.0])) == pytest.approx(expected, abs=0.01)


@given(st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(-3, 3)))
def test_a_pose_seen_from_its_own_is_the_origin(pose):
    np.testing.assert_allclose(seen_from(np.array(pose), np.array(pose)), 0, atol=1e-9)


@pytest.fixture(scope="module")
def pushes():
    return make_pushes()


def test_a_push_on_the_axis_does_not_turn_and_goes_as_far_as_the_stick(pushes):
    onto_bar = np.flatnonzero(
        (np.abs(pushes.direction - [0, -1]).max(1) < 1e-9)
        & (np.abs(pushes.contact[pushes.place][:, 0]) < 0.004)
        & (pushes.length == 0.05)
    )
    assert len(onto_bar)
    x, y, turn = pushes.moved[onto_bar[0]]
    assert abs(x) < 0.006
    assert y == pytest.approx(-0.05, abs=0.002)
    assert abs(turn) < 0.15


def test_the_stick_ends_beside_the_t_not_in_it(pushes):
    assert free(pushes.entry).all()
    assert free(pushes.exit).all()
    assert nearest(pushes.contact)[0] == pytest.approx(STICK_RADIUS, abs=1e-6)


def test_the_way_round_is_the_shortest_that_is_free():
    ways = Ways()
    start, end = np.array([0.0, 0.09]), np.array([0.0, -0.12])
    length = ways.lengths(start[None], end[None])[0, 0]
    assert 0.25 < length < 0.30  # straight it were 0.21, through the T
    walked = 0.0
    while not np.array_equal(start, end):
        turn = ways.turn(start, end)
        points = np.linspace(start, turn, 50)
        assert nearest(points)[0].min() > STICK_RADIUS
        walked, start = walked + np.linalg.norm(turn - start), turn
    assert walked == pytest.approx(length, abs=1e-3)


@given(st.floats(-0.09, 0.09), st.floats(-0.1, 0.07))
def test_what_is_too_near_escapes_to_where_it_is_free(x, y):
    point = np.array([[x, y]])
    out = escape(point)
    assert free(out).all()
    if free(point).all():
        np.testing.assert_array_equal(out, point)


def test_starts_are_open_and_equal_for_equal_seeds(sim):
    env = sim("push_t")
    seen = []
    for seed in (0, 1, 2, 0):
        observation = env.reset(seed)
        tee, goal = env.truth()["tee"], env.truth()["goal"]
        assert env.measured() < 0.5
        assert not env.success()
        assert np.abs(tee[:2] - goal[:2]).max() < 0.1
        yaw = 2 * np.arctan2(tee[5], tee[6])
        stick = turned(observation.ee_pose[:2] - tee[:2], -yaw)
        assert nearest(stick[None])[0][0] > STICK_RADIUS
        seen.append(tee)
    np.testing.assert_array_equal(seen[0], seen[3])


@pytest.mark.parametrize(("mode", "noise"), [("best", 0.0), ("other", 0.25)])
def test_the_expert_covers_the_outline_in_the_plane_of_the_table(sim, mode, noise):
    env = sim("push_t")
    demonstrator = Demonstrator(env, Job(1000, mode, "expert", noise))
    observation, heights, tilts = demonstrator.observation, [], []
    while not demonstrator.done:
        action, _ = demonstrator.act(observation)
        heights.append(action[2])
        env.apply(action)
        observation = env.state()
        tilts.append(np.abs(env.truth()["tee"][3:5]).max())
        demonstrator.after(env.success())
    assert env.success()
    assert env.measured() >= ENOUGH
    assert np.ptp(heights) == 0.0  # noise and all
    assert max(tilts) < 0.005


def test_the_two_ways_touch_the_t_at_places_apart(sim):
    env = sim("push_t")
    first = []
    for mode in ("best", "other"):
        demonstrator = Demonstrator(env, Job(1002, mode, "expert", 0.0))
        observation = demonstrator.observation
        while demonstrator.expert.phase != "push":
            env.apply(demonstrator.act(observation)[0])
            observation = env.state()
        tee = env.truth()["tee"]
        yaw = 2 * np.arctan2(tee[5], tee[6])
        first.append(turned(observation.ee_pose[:2] - tee[:2], -yaw))
    assert np.linalg.norm(first[0] - first[1]) > 0.02


def test_a_spoiled_expert_stays_on_the_table_and_fails(sim):
    env = sim("push_t")
    demonstrator = Demonstrator(env, Job(5, "best", "suboptimal", 0.0))
    observation, heights = demonstrator.observation, []
    while not demonstrator.done:
        action, _ = demonstrator.act(observation)
        heights.append(action[2])
        env.apply(action)
        observation = env.state()
    assert np.ptp(heights) == 0.0
    assert not env.success()


def test_the_outline_is_the_sum_of_its_cells():
    x, y = OUTLINE.T
    area = 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    assert area == pytest.approx(7 * 0.03**2)
