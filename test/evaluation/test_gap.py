"""The imagination gap of a world whose future is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.evaluation.imagination.gap import LATENT_FLOOR, GapTracker, Imagination

PERIOD = 0.05
ROWS = 6


def world(step):
    """Latents `(2, 3)` of two views that drift, the second twice as fast."""
    return np.array([1.0, 2.0])[:, None] * step * np.ones(3)


def imagination(step, foresees, stamp_s=None, interval=2, frames=True):
    """The plan made at `step` by somebody to whom `foresees(step)` is the world."""
    rows = np.stack([world(step), *(foresees(step + interval * k) for k in range(1, ROWS))])
    pictures = np.rint(rows + 50).astype(np.uint8).reshape(ROWS, 2, 1, 1, 3)
    return Imagination(
        step * PERIOD if stamp_s is None else stamp_s,
        rows,
        pictures[0],
        pictures if frames else None,
    )


def tracker():
    return GapTracker(ROWS, 2 * PERIOD, PERIOD / 2)


def last_gap(foresees, steps=30, every=1, **kwargs):
    watched, gap = tracker(), None
    for step in range(0, steps, every):
        gap = watched.observe(imagination(step, foresees, **kwargs))
    return gap


def test_who_foresees_the_world_has_no_gap():
    gap = last_gap(world)
    np.testing.assert_allclose(gap.latent, 0.0)
    np.testing.assert_allclose(gap.pixels, 0.0)
    assert gap.ahead_s == pytest.approx((ROWS - 1) * 2 * PERIOD)  # the furthest that is due
    assert gap.stamp_s == pytest.approx(29 * PERIOD)


def test_who_expects_no_change_has_a_gap_of_one():
    watched = tracker()
    for step in range(20):
        gap = watched.observe(imagination(step, lambda _, now=step: world(now)))
    np.testing.assert_allclose(gap.latent, 1.0)
    np.testing.assert_allclose(gap.pixels, 1.0)
    np.testing.assert_allclose(gap.moved, [10.0, 20.0])


def test_each_view_has_a_gap_of_its_own():
    def half(step):  # the second view is foreseen at half its speed
        return world(step) * np.array([1.0, 0.5])[:, None]

    gap = last_gap(half)
    assert gap.latent[0] == 0.0
    assert gap.latent[1] == pytest.approx(29 / 20, rel=0.01)


def test_a_world_that_stands_still_divides_by_the_floor():
    watched = tracker()
    for stamp in range(12):
        still = imagination(0, lambda _: world(0) + 0.05, stamp_s=stamp * PERIOD)
        gap = watched.observe(still)
    np.testing.assert_allclose(gap.latent, 0.05 / LATENT_FLOOR)


def test_nothing_is_due_before_the_first_row_and_after_a_pause():
    watched = tracker()
    assert watched.observe(imagination(0, world)) is None
    assert watched.observe(imagination(1, world)) is None  # rows are two periods apart
    assert watched.observe(imagination(2, world)) is not None
    assert watched.observe(imagination(40, world)) is None
    assert watched.observe(imagination(3, world)) is None  # the clock was set back
    assert watched.observe(imagination(5, world)) is not None


def test_without_decoded_frames_the_latents_still_tell():
    gap = last_gap(world, frames=False)
    assert gap.pixels is None
    np.testing.assert_allclose(gap.latent, 0.0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_only_frames_imagined_for_this_time_are_compared(strides):
    """Whatever is dropped: a planner that knows the world has no gap, never one of a wrong row."""
    watched, step = tracker(), 0
    for stride in strides:
        gap = watched.observe(imagination(step, world))
        if gap is not None:
            np.testing.assert_allclose(gap.latent, 0.0)
            assert gap.ahead_s / (2 * PERIOD) == pytest.approx(round(gap.ahead_s / (2 * PERIOD)))
        step += stride
