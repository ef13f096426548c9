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
def test_sets_are_close_in_time_and_leave_in_order(order):
    sync, last = make(), -np.inf
    stamps = defaultdict(set)
    for channel, _, stamp in order:
        stamps[channel].add(stamp)
        complete = sync.add(channel, stamp, stamp)
        if complete is None:
            continue
        at, values = complete
        assert at > last
        last = at
        assert at == min(values[view] for view in VIEWS)
        for view in VIEWS:
            assert values[view] in stamps[view]
            assert abs(values[view] - at) <= SLOP
        assert abs(values["arm"] - at) <= SLOP  # measured there, or blended to that very instant


@given(st.sets(st.integers(0, 30)), st.permutations([*VIEWS, "arm"]))
def test_every_whole_frame_leaves_once_whatever_the_order_within_it(dropped, order):
    sync = make()
    left = [
        complete[0]
        for k in range(30)
        for channel in order
        if not (channel == "right" and k in dropped)
        and (complete := sync.add(channel, k * PERIOD, k)) is not None
    ]
    assert left == [k * PERIOD for k in range(30) if k not in dropped]


def test_state_is_blended_to_the_time_of_the_views():
    sync = make()
    sync.add("arm", 1.00, 10.0)
    sync.add("left", 1.01, 0.0)
    assert sync.add("right", 1.01, 0.0)[1]["arm"] == 10.0  # the nearest there is
    sync.add("arm", 1.03, 13.0)
    sync.add("left", 1.02, 0.0)
    assert sync.add("right", 1.02, 0.0)[1]["arm"] == pytest.approx(12.0)


def test_late_state_completes_the_set_that_waits_for_it():
    sync = make()
    sync.add("left", 2.0, "l")
    assert sync.add("right", 2.0, "r") is None
    assert sync.add("arm", 2.0, 5.0) == (2.0, {"left": "l", "right": "r", "arm": 5.0})


@pytest.mark.parametrize("step", [10.0, -10.0])
def test_a_stepped_clock_costs_no_more_than_the_frames_around_the_step(step):
    sync, left = make(), []
    for k in range(20):
        offset = step if k >= 10 else 0.0
        for channel in (*VIEWS, "arm"):
            if (complete := sync.add(channel, 100 + offset + k * PERIOD, k)) is not None:
                left.append(complete[1]["left"])
    assert left == list(range(20))


def test_a_silent_view_stops_everything():
    sync = make()
    for k in range(5):
        assert sync.add("left", k * PERIOD, k) is None
        assert sync.add("arm", k * PERIOD, k) is None


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
