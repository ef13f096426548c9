from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.data.robot_state import RobotState, blend_linear, blend_state
from vilp_ros.data.synchroniser import Synchroniser, Track

PERIOD, SLOP = 0.05, 0.02
VIEWS = ("left", "right")


def make() -> Synchroniser:
    return Synchroniser(VIEWS, {"arm": lambda a, b, u: a + u * (b - a)}, SLOP)


@st.composite
def traffic(draw):
    """Messages of 12 frames: in order per channel, interleaved, jittered, dropped at will."""
    jitter = st.floats(-SLOP / 2.1, SLOP / 2.1)
    queues = {}
    for channel in (*VIEWS, "arm"):
        kept = [k for k in range(12) if draw(st.integers(0, 4)) > 0]
        queues[channel] = [(k, round(100 + k * PERIOD + draw(jitter), 6)) for k in kept]
    order = []
    while any(queues.values()):
        channel = draw(st.sampled_from(sorted(c for c, q in queues.items() if q)))
        order.append((channel, *queues[channel].pop(0)))
    return order


@given(traffic())
def test_sets_are_close_in_time_leave_in_order_and_have_the_state_of_their_very_time(order):
    sync, last = make(), -np.inf
    stamps = defaultdict(set)
    for channel, _, stamp in order:
        stamps[channel].add(stamp)
        for at, values in sync.add(channel, stamp, stamp):
            assert at > last
            last = at
            assert at == min(values[view] for view in VIEWS)
            for view in VIEWS:
                assert values[view] in stamps[view]
                assert abs(values[view] - at) <= SLOP
            assert values["arm"] == pytest.approx(at, abs=1e-6)


@given(st.sets(st.integers(0, 30)), st.permutations([*VIEWS, "arm"]))
def test_every_whole_frame_leaves_once_whatever_the_order_within_it(dropped, order):
    sync = make()
    left = [
        stamp_s
        for k in range(30)
        for channel in order
        if not (channel == "right" and k in dropped)
        for stamp_s, _ in sync.add(channel, k * PERIOD, k)
    ]
    assert left == [k * PERIOD for k in range(30) if k not in dropped]


@given(late_ms=st.integers(0, 900), every_ms=st.sampled_from([1, 2, 7, 10, 50]))
def test_the_state_is_that_of_the_picture_however_late_it_comes(late_ms, every_ms):
    """Of a state at any rate and pictures that come late: none is left out, each is exact."""
    sync, got = make(), []
    for now in range(0, 2000, every_ms if every_ms < 50 else 1):
        if now % every_ms == 0:
            got += sync.add("arm", 1e-3 * now, 1e-3 * now)
        taken = now - late_ms
        if taken >= 0 and taken % 50 < (every_ms if every_ms < 50 else 1):
            for view in VIEWS:  # 3 ms beside the state's stamps
                got += sync.add(view, 1e-3 * (taken - taken % 50) + 0.003, 0.0)
    assert len(got) >= (2000 - late_ms) // 50 - 2
    for stamp_s, values in got:
        assert values["arm"] == pytest.approx(stamp_s, abs=1e-9)


def test_a_fast_camera_does_not_starve_for_a_state_that_lags_behind():
    """Each picture waits for its own state, and not only until the next picture comes."""
    sync, got = make(), []
    for ms in range(1000):
        if ms % 10 == 0:
            for view in VIEWS:
                got += sync.add(view, 1e-3 * ms, ms)
        if ms >= 40:
            got += sync.add("arm", 1e-3 * (ms - 40), ms - 40)
    assert [values["left"] for _, values in got] == list(range(0, 960, 10))


def test_state_is_blended_to_the_time_of_the_views():
    sync = make()
    sync.add("arm", 1.00, 10.0)
    sync.add("left", 1.01, 0.0)
    assert sync.add("right", 1.01, 0.0) == []  # the arm of that time is not known yet
    [(stamp_s, values)] = sync.add("arm", 1.03, 13.0)
    assert (stamp_s, values["arm"]) == (1.01, pytest.approx(11.0))
    assert sync.state(1.02) == {"arm": pytest.approx(12.0)}
    assert sync.state(1.04) is None


def test_what_lies_in_a_gap_of_the_state_is_left_out():
    sync = Synchroniser(VIEWS, {"arm": lambda a, b, u: a + u * (b - a)}, SLOP, widest_s=0.3)
    sync.add("arm", 1.0, 1.0)
    for view in VIEWS:
        sync.add(view, 1.1, 0.0)
    assert sync.add("arm", 1.5, 1.5) == []


def test_late_state_completes_the_set_that_waits_for_it():
    sync = make()
    sync.add("left", 2.0, "l")
    assert sync.add("right", 2.0, "r") == []
    assert sync.add("arm", 2.0, 5.0) == [(2.0, {"left": "l", "right": "r", "arm": 5.0})]


@pytest.mark.parametrize("step", [10.0, -10.0])
def test_a_stepped_clock_costs_no_more_than_the_frames_around_the_step(step):
    sync, left = make(), []
    for k in range(20):
        offset = step if k >= 10 else 0.0
        for channel in (*VIEWS, "arm"):
            complete = sync.add(channel, 100 + offset + k * PERIOD, k)
            left += [values["left"] for _, values in complete]
    assert left == list(range(20))


def test_a_silent_view_stops_everything():
    sync = make()
    for k in range(5):
        assert sync.add("left", k * PERIOD, k) == []
        assert sync.add("arm", k * PERIOD, k) == []


def test_a_channel_keeps_seconds_and_not_samples():
    track = Track(blend_linear, history_s=0.5)
    for k in range(10_000):
        track.add(1e-3 * k, np.array([float(k)]))
    assert track.between(9.5005, 1.0) == pytest.approx(9500.5)
    assert track.between(9.0, 1.0) is None


def test_track_ignores_late_and_repeated_stamps():
    track = Track(blend_linear)
    for stamp, value in ((1.0, 1.0), (1.0, 2.0), (0.9, 3.0), (1.1, 4.0)):
        track.add(stamp, value)
    assert track.at(1.0, 0.0) == (1.0, 1.0)
    assert track.at(0.9, 0.01) is None


def test_blended_robot_state_turns_half_way():
    down = RobotState(np.array([0.4, 0, 0.3, 1, 0, 0, 0]), 0.08, np.zeros(7))
    turned = RobotState(np.array([0.5, 0, 0.3, 0, 1, 0, 0]), 0.04, np.ones(7))
    middle = blend_state(down, turned, 0.5)
    np.testing.assert_allclose(middle.ee_pose[:3], [0.45, 0, 0.3])
    np.testing.assert_allclose(np.abs(middle.ee_pose[3:5]), np.sqrt([0.5, 0.5]))
    assert middle.gripper_width == pytest.approx(0.06)
    assert middle.as_action("ee_pose").shape == middle.as_action("joint_position").shape == (8,)
