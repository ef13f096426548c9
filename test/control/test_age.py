from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.control.age import AgeTracker


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), max_size=60), st.integers(1, 20), st.integers(0, 20))
def test_percentiles_are_over_the_newest_ages_after_the_warm_up(ages, window, warmup):
    tracker = AgeTracker(window, warmup)
    for age in ages:
        tracker.add(age)
    kept = ages[warmup:][-window:]
    found = tracker.ages()
    assert found.count == len(kept)
    if kept:
        assert found.p50_s == pytest.approx(np.percentile(kept, 50))
        assert found.p99_s == pytest.approx(np.percentile(kept, 99))
    else:
        assert math.isnan(found.p50_s)
        assert math.isnan(found.p99_s)


def test_a_slow_start_does_not_stay_in_the_percentile():
    tracker = AgeTracker(warmup=2)
    for age in [5.0, 3.0, *[0.05] * 50]:
        tracker.add(age)
    assert tracker.ages().p99_s == pytest.approx(0.05)


@pytest.mark.parametrize("age", [-0.1, math.nan, math.inf, -math.inf])
def test_ages_that_a_clock_step_made_are_no_ages(age):
    tracker = AgeTracker(warmup=1)
    tracker.add(age)
    tracker.add(9.0)
    tracker.add(age)
    tracker.add(0.04)
    assert tracker.ages().count == 1
    assert tracker.ages().p99_s == 0.04
