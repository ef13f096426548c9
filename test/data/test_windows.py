import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.data.windows import Timeline, fresh, future, undisturbed

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def owner(line: Timeline) -> np.ndarray:
    return np.repeat(np.arange(len(line.length)), line.length + 1)


@given(LENGTHS, st.integers(1, 8))
def test_windows_stay_in_their_episode(lengths, horizon):
    line = Timeline.of(lengths)
    steps = line.steps(np.arange(len(lengths)))
    assert len(steps) == sum(lengths)
    ahead = future(steps, line.last_frame(), horizon)
    whose = owner(line)
    assert (whose[ahead] == whose[steps][:, None]).all()
    assert (ahead[:, 0] == steps + 1).all()  # an action's pair is never padded
    assert (np.diff(ahead, axis=1) >= 0).all()


@given(LENGTHS, st.integers(1, 8), st.data())
def test_no_window_holds_noise_and_none_without_is_lost(lengths, horizon, data):
    line = Timeline.of(lengths)
    frames = int((line.length + 1).sum())
    disturbed = np.array(data.draw(st.lists(st.booleans(), min_size=frames, max_size=frames)))
    steps, last = line.steps(np.arange(len(lengths))), line.last_frame()
    kept = set(undisturbed(steps, disturbed, last, horizon))
    for step in steps:
        ahead = disturbed[step : min(step + horizon, last[step] + 1)]
        assert (step in kept) == (not ahead.any())


@given(LENGTHS, st.integers(0, 5), st.integers(1, 3), st.data())
def test_a_plan_is_fresh_where_every_picture_that_it_needs_is_new(lengths, horizon, every, data):
    line = Timeline.of(lengths)
    frames = int((line.length + 1).sum())
    repeated = np.array(data.draw(st.lists(st.booleans(), min_size=frames, max_size=frames)))
    steps, last = line.steps(np.arange(len(lengths))), line.last_frame()
    kept = set(fresh(steps, repeated, last, horizon, every))
    for step in steps:
        needed = [min(step + every * k, last[step]) for k in range(horizon + 1)]
        assert (step in kept) == (not repeated[needed].any())
