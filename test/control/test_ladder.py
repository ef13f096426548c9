import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.control.ladder import Ladder

spans = st.floats(0, 2)


def test_it_runs_slows_and_stands():
    clock = Ladder(0.2, 0.3)
    assert clock.lasts_s == pytest.approx(0.4)
    assert clock.at(-1.0) == (0.0, 1.0)
    assert clock.at(0.1) == (0.1, 1.0)
    assert clock.at(0.3) == (pytest.approx(0.275), pytest.approx(0.5))
    assert clock.at(0.4) == (0.3, 0.0)
    assert clock.at(99.0) == (0.3, 0.0)


@given(spans, spans, st.floats(1e-3, 3))
def test_its_rate_falls_evenly_and_is_the_slope_of_its_time(full_s, slow_s, elapsed_s):
    clock = Ladder(full_s, full_s + slow_s / 2)
    before, now = clock.at(elapsed_s - 1e-4), clock.at(elapsed_s)
    step = now.time_s - before.time_s
    assert 0 <= now.rate <= before.rate <= 1
    assert now.rate * 1e-4 - 1e-9 <= step <= before.rate * 1e-4 + 1e-9
    assert now.time_s <= elapsed_s + 1e-12
    if slow_s > 0.01:
        assert before.rate - now.rate <= 1e-4 / slow_s + 1e-9


@given(spans, spans, spans)
def test_it_never_passes_the_last_action(end_s, slow_s, last_s):
    clock = Ladder.ending(end_s, slow_s, last_s)
    assert 0 <= clock.full_s <= clock.stop_s <= max(end_s, last_s) + 1e-12
    assert clock.stop_s >= end_s - 1e-12


def test_without_slowing_it_stops_dead_where_it_ends():
    clock = Ladder.ending(0.2, 0.0, 0.35)
    assert (clock.full_s, clock.stop_s) == (0.2, 0.2)
    assert np.allclose(clock.at(0.2), (0.2, 1.0))
    assert clock.at(0.2001) == (0.2, 0.0)
