"""Alterations: a function of the draws alone, alike for a window, nothing at strength 0."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from vilp_ros.training.alterations import AlterationConfig, alter

NONE = AlterationConfig(**{field.name: 0.0 for field in fields(AlterationConfig)})
DEPTH = ("holes", "edges", "quantisation")
PLACES = ("shift", "rotation", "scale", "perspective")


def scene(rows=3, length=2):
    """A reddish square on a grey gradient; every frame of a window is the same."""
    frame = np.repeat(np.linspace(60, 180, 64)[None, :, None], 48, 0) * np.ones(3)
    frame[20:30, 24:40] = [200, 50, 40]
    return np.tile(frame.astype(np.uint8), (rows, length, 1, 1, 1))


@pytest.mark.parametrize("depth", [False, True])
def test_it_follows_from_the_draws_alone(depth):
    frames = scene()
    once, again, other = (
        alter(frames, np.random.default_rng(seed), AlterationConfig(), depth=depth)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    assert (once.shape, once.dtype) == (frames.shape, np.uint8)
    np.testing.assert_array_equal(frames, scene())  # the given frames are left alone


@pytest.mark.parametrize("depth", [False, True])
def test_strength_0_changes_nothing_and_each_strength_something(depth):
    frames = scene(rows=16, length=1)
    if depth:
        frames[:] = frames[..., :1]
    kept = alter(frames, np.random.default_rng(0), NONE, depth=depth)
    assert np.abs(kept.astype(int) - frames).max() <= 1  # by sampling in the same place
    for field in fields(AlterationConfig):
        if (field.name in DEPTH) == depth or field.name in PLACES:
            config = replace(NONE, **{field.name: 1.0})
            altered = alter(frames, np.random.default_rng(0), config, depth=depth)
            assert np.abs(altered.astype(int) - frames).max() > 1, field.name


def test_a_window_is_altered_alike_and_windows_apart():
    config = replace(AlterationConfig(), noise=0.0)
    altered = alter(scene(rows=4, length=5), np.random.default_rng(3), config).astype(int)
    for window in altered:
        for frame in window[1:]:
            np.testing.assert_array_equal(frame, window[0])
    assert all(np.abs(altered[0, 0] - other[0]).max() > 5 for other in altered[1:])


def test_without_recolouring_and_warping_colours_and_places_stay():
    config = replace(AlterationConfig(), noise=0.0, blur=0.0, cutout=0.0, jpeg=0.0)
    frames = scene()
    kept = alter(frames, np.random.default_rng(0), config, recolour=0.0, warp=0.0)
    np.testing.assert_array_equal(kept, frames)
    warped = alter(frames, np.random.default_rng(0), config, recolour=0.0, warp=1.0)
    assert np.abs(warped.astype(int) - frames).max() > 20


def test_a_shift_moves_by_no_more_than_it_says():
    frames = np.zeros((64, 1, 48, 160, 3), np.uint8)
    frames[..., 60:100, :] = 255
    config = replace(NONE, shift=1.0)
    moved = alter(frames, np.random.default_rng(0), config)[:, 0, 24, :, 0].astype(float)
    middle = (moved * np.arange(160)).sum(1) / moved.sum(1)
    shift = middle - 79.5
    assert 7 < np.abs(shift).max() <= 0.056 * 160 + 0.1
    assert shift.min() < -5
    assert shift.max() > 5


def test_depth_stays_grey_and_loses_returns_as_white():
    depth = np.full((8, 1, 96, 160, 3), 90, np.uint8)
    depth[..., 40:60, 60:90, :] = 30
    altered = alter(depth, np.random.default_rng(0), AlterationConfig(), depth=True)
    np.testing.assert_array_equal(altered[..., 0], altered[..., 1])
    lost = (altered == 255).mean()
    assert 0.001 < lost < 0.3
    assert np.abs(np.median(altered[altered < 255]) - 90) < 5
