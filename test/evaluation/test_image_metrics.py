"""Figures of likeness against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from vilp_ros.evaluation.imagination.image_metrics import (
    Likeness,
    moving_mask,
    object_mask,
    psnr,
    ssim_map,
)


def picture(seed, size=(32, 48)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_psnr_of_a_known_error():
    assert psnr(25.0) == pytest.approx(34.15, abs=0.01)


def test_ssim_is_that_of_the_paper():
    """Inside, where no border is invented, it equals the formula on SciPy's Gaussian."""
    a = gaussian_filter(picture(0).astype(float), (2, 2, 0))
    b = gaussian_filter(picture(1).astype(float), (2, 2, 0)) * 0.3 + 0.7 * a

    def mean(x):
        return gaussian_filter(x, (1.5, 1.5, 0), radius=(5, 5, 0))

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    want = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    inside = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(ssim_map(a, b)[inside], want.mean(-1)[inside], atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_ssim_is_symmetric_bounded_and_one_only_for_the_same(one, other):
    a, b = picture(one), picture(other)
    found = ssim_map(a, b)
    np.testing.assert_allclose(found, ssim_map(b, a), atol=1e-5)
    assert found.max() <= 1 + 1e-5
    assert (found.mean() > 0.9999) == (one == other)


def test_each_region_counts_its_own_pixels():
    """Background 10 grey levels wrong, the red object 20, what moves 40."""
    reference = np.full((40, 60, 3), 90, np.uint8)
    real = reference.copy()
    real[5:15, 5:15] = 190  # moved here, grey
    object_at = (slice(24, 34), slice(40, 50))
    reference[object_at] = real[object_at] = [200, 30, 30]  # did not move
    moving, near = moving_mask(real, reference), object_mask(real)
    assert moving.sum() == 100
    assert near[object_at].all()
    assert not (moving & near).any()
    drawn = real.astype(int) + 10
    drawn[near] = real[near].astype(int) + 20
    drawn[moving] = real[moving].astype(int) + 40
    likeness = Likeness()
    likeness.add(drawn.astype(np.uint8), real, reference)
    figures = likeness.figures()
    assert figures["psnr_moving_db"] == pytest.approx(psnr(1600.0))
    assert figures["psnr_object_db"] == pytest.approx(psnr(400.0))
    assert psnr(400.0) < figures["psnr_db"] < psnr(100.0)
    assert figures["ssim_moving"] < figures["ssim"]


def test_parts_pooled_are_the_whole():
    whole, parts = Likeness(), [Likeness(), Likeness()]
    for seed in range(4):
        trio = picture(seed), picture(seed + 10), picture(seed + 20)
        whole.add(*trio)
        parts[seed % 2].add(*trio)
    assert Likeness.pooled(parts).figures() == pytest.approx(whole.figures())


def test_what_was_never_seen_has_no_figure():
    still = Likeness()
    grey = np.full((32, 32, 3), 90, np.uint8)
    still.add(grey, grey, grey)
    assert still.figures()["psnr_moving_db"] is None
    assert still.figures()["ssim_object"] is None
    assert still.figures()["ssim"] == pytest.approx(1.0)
