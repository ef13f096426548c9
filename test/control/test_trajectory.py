"""Where the arm is to be, whatever the network does to the targets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.control.trajectory import JointPath

LIMIT = np.full(7, 1.0)
BRIDGE_S = 0.2


def line(speed, start=0.0):
    return lambda t: np.full(7, start + speed * t)


def make(path=None, stamp_s=100.0):
    joined, points = JointPath(LIMIT, BRIDGE_S), np.arange(0.0, 0.5, 0.05)
    path = path or line(0.2)
    positions = np.array([path(t) for t in points])
    assert joined.submit(stamp_s, points, positions, None, stamp_s) is None
    return joined


def test_points_are_in_force_at_their_time():
    path = make(lambda t: np.full(7, np.sin(t)))
    for t in (0.0, 0.05, 0.2, 0.45):
        np.testing.assert_allclose(path.at(100 + t).position, np.sin(t), atol=1e-12)
    assert path.at(100.13).position[0] == pytest.approx(np.sin(0.13), abs=1e-4)
    assert path.at(100.2).velocity[0] == pytest.approx(np.cos(0.2), abs=1e-2)


def test_after_the_last_point_it_comes_to_a_stop():
    path = make()
    end = path.at(100.45)
    assert end.velocity[0] == pytest.approx(0.2)
    stopped = path.at(100.45 + BRIDGE_S)
    assert stopped.rate == 0
    np.testing.assert_allclose(stopped.velocity, 0)
    np.testing.assert_allclose(stopped.position - end.position, 0.2 * BRIDGE_S / 2)
    np.testing.assert_allclose(path.at(200).position, stopped.position)


def test_nothing_is_invented_before_the_first():
    path = JointPath(LIMIT, BRIDGE_S)
    assert path.at(100.0) is None
    assert path.submit(0.0, np.array([0.1]), np.ones((1, 7)), None, 100.0) is None
    assert path.at(100.0).rate == 1.0
    np.testing.assert_allclose(path.at(100.0).velocity, 0)


@pytest.mark.parametrize(
    ("stamp_s", "times", "now_s", "says"),
    [
        (99.9, [0.0, 0.1], 100.2, "0.100 s older than the one in force"),
        (100.1, [], 100.2, "no points"),
        (100.1, [0.1, 0.1], 100.2, "do not rise"),
        (100.1, [0.0], 101.0, "ended 0.900 s ago; compare the clocks"),
        (103.0, [0.0], 100.2, "2.800 s in the future; compare the clocks"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(stamp_s, times, now_s, says):
    path = make()
    before = path.at(100.3)
    times = np.array(times, dtype=float)
    assert says in path.submit(stamp_s, times, np.zeros((len(times), 7)), None, now_s)
    np.testing.assert_array_equal(path.at(100.3).position, before.position)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_stream_of_single_targets_is_dead_reckoned_by_its_stamps(seed):
    """20 Hz on a line, delayed by up to 150 ms, one in five lost: never far from the line."""
    rng = np.random.default_rng(seed)
    path, truth = JointPath(LIMIT, BRIDGE_S), line(0.3)
    arrivals = sorted(
        (stamp + rng.uniform(0, 0.15), stamp)
        for stamp in np.arange(100, 103, 0.05)
        if rng.uniform() > 0.2
    )
    errors = []
    for now_s in np.arange(100.5, 103, 0.01):
        while arrivals and arrivals[0][0] <= now_s:
            arrived_s, stamp_s = arrivals.pop(0)
            path.submit(stamp_s, np.zeros(1), truth(stamp_s)[None], None, arrived_s)
        reference = path.at(now_s)
        errors.append(abs(reference.position[0] - truth(now_s)[0]))
    assert np.mean(errors) < 0.03  # 0.1 s of travel, where the mean delay is 75 ms
    assert max(errors) < 0.15


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_slopes_never_exceed_the_limit(seed):
    rng = np.random.default_rng(seed)
    path = JointPath(LIMIT, BRIDGE_S)
    path.submit(100.0, np.arange(5) * 0.05, rng.uniform(-2, 2, (5, 7)), None, 100.0)
    for now_s in np.arange(100, 100.6, 0.007):
        assert (abs(path.at(now_s).velocity) <= LIMIT + 1e-9).all()


@settings(max_examples=60, deadline=None)
@given(st.floats(0.06, 100.0), st.floats(0.0, 0.5))
def test_a_clock_set_back_forgets_what_was_meant_for_another_time(back_s, after_s):
    path = make()
    path.heed_clock(100 + after_s)
    path.heed_clock(100 + after_s - 0.04)  # read by two threads
    assert path.at(100 + after_s) is not None
    now_s = 100 + after_s - back_s
    path.heed_clock(now_s)
    assert path.at(now_s) is None
    assert path.submit(now_s, np.array([0.1]), np.ones((1, 7)), None, now_s) is None
    np.testing.assert_allclose(path.at(now_s + 0.1).position, 1)
