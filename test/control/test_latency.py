import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.control.latency import lag


def wiggle(t):
    return np.sin(4.1 * t) + 0.6 * np.sin(9.7 * t + 1)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-0.3, 0.3), st.floats(0.1, 50), st.floats(-5, 5), st.sampled_from([15.0, 20.0, 30.0])
)
def test_a_delay_is_found_whatever_scale_offset_and_rate(delay_s, scale, offset, rate_hz):
    sent = np.arange(0, 8, 0.02)
    seen = np.arange(0.013, 8, 1 / rate_hz)
    found = lag(sent, wiggle(sent), seen, offset + scale * wiggle(seen - delay_s))
    assert found.seconds == pytest.approx(delay_s, abs=0.004)
    assert found.correlation > 0.98


def test_noise_hardly_moves_it():
    rng = np.random.default_rng(0)
    sent, seen = np.arange(0, 8, 0.02), np.arange(0, 8, 0.05)
    effect = wiggle(seen - 0.12) + rng.normal(0, 0.3, len(seen))
    found = lag(sent, wiggle(sent), seen, effect)
    assert found.seconds == pytest.approx(0.12, abs=0.015)
    assert found.correlation > 0.8


def test_a_signal_that_does_not_change_says_nothing():
    times = np.arange(0, 8, 0.05)
    assert lag(times, wiggle(times), times, np.ones(len(times))).correlation == 0
    assert lag(times[:3], times[:3], times[:3], times[:3]).correlation == 0
