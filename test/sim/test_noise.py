from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.geometry import quat_angle
from vilp_ros.sim.motion import downward
from vilp_ros.sim.noise import BURST_STEPS, NoiseBursts

ACTION = downward(np.array([0.5, 0.0, 0.0]), 0.3, 0.08)


def bursts(seed, share, steps):
    noise = NoiseBursts(np.random.default_rng(seed), share)
    return [noise.apply(ACTION, 1.0, fingers=True) for _ in range(steps)]


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.8))
@settings(max_examples=25, deadline=None)
def test_what_is_called_undisturbed_is_untouched_and_the_rest_is_bounded(seed, share):
    for action, disturbed in bursts(seed, share, 80):
        if disturbed:
            assert np.abs(action[:3] - ACTION[:3]).max() <= 0.03 + 1e-9
            assert quat_angle(action[3:7], ACTION[3:7]) <= 0.22 + 1e-6
            assert 0 <= action[7] <= 0.08
            assert (action != ACTION).any()
        else:
            np.testing.assert_array_equal(action, ACTION)


def test_the_share_of_disturbed_steps_is_as_asked():
    for share in (0.1, 0.3, 0.5):
        disturbed = np.mean([d for _, d in bursts(1, share, 20_000)])
        assert abs(disturbed - share) < 0.03


def test_disturbances_come_in_bursts():
    flags = np.array([d for _, d in bursts(2, 0.1, 20_000)])
    edges = np.flatnonzero(np.diff(flags.astype(int)))
    lengths = np.diff(edges)[0::2] if not flags[0] else np.diff(edges)[1::2]
    assert lengths.min() >= BURST_STEPS[0]
    assert np.median(lengths) <= BURST_STEPS[1]


def test_no_noise_is_none():
    assert not any(d for _, d in bursts(3, 0.0, 500))
