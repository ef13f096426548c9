"""Depth at the border: metres and millimetres become greys in which near is dark."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.contract import Contract
from vilp_ros.data.depth import grey_depth
from vilp_ros.data.pixels import PixelError, rgb_pixels
from vilp_ros.share import share_dir

VIEW = Contract.load(share_dir() / "config/robots/sim_panda_rgbd.yaml").views["agentview_depth"]
NEAR, FAR = VIEW.depth_range_m
RANGES = st.tuples(st.floats(0, 5), st.floats(0.1, 10)).map(lambda x: (x[0], x[0] + x[1]))
METRES = st.floats(0, 100, exclude_min=True, width=32)


def grey(metres, range_m):
    picture = grey_depth(np.array([[metres]], np.float32), range_m)
    assert picture.shape == (1, 1, 3)
    assert picture.dtype == np.uint8
    assert len(set(picture[0, 0].tolist())) == 1
    return int(picture[0, 0, 0])


@given(METRES, METRES, RANGES)
def test_farther_is_never_darker(a, b, range_m):
    nearer, farther = sorted((a, b))
    assert grey(nearer, range_m) <= grey(farther, range_m)


@given(METRES, RANGES)
def test_a_grey_level_is_a_255th_of_the_range_and_the_rest_is_clipped(metres, range_m):
    near, far = range_m
    step = (far - near) / 255
    clipped = min(max(metres, near), far)
    assert abs(near + grey(metres, range_m) * step - clipped) <= step / 2 + 1e-5


@given(RANGES)
def test_no_return_is_far(range_m):
    assert [grey(x, range_m) for x in (0.0, -0.0, np.nan, np.inf)] == [255] * 4
    assert grey(-np.inf, range_m) == 0  # too close (REP 117)


def message(pixels, encoding, pad=0, big=False):
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=77)
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=rows.tobytes(),
    )


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("pad", [0, 5])
def test_metres_and_millimetres_are_the_same_picture(pad, big):
    millimetres = np.random.default_rng(0).integers(0, 2500, (96, 160)).astype(np.uint16)
    millimetres[::7, ::5] = 0
    metres = millimetres.astype(np.float32) / 1000
    want = grey_depth(metres, (NEAR, FAR))
    assert want.min() == 0
    assert want.max() == 255
    metres[metres == 0] = np.nan
    found = rgb_pixels(VIEW, message(metres, "32FC1", pad, big))
    np.testing.assert_array_equal(found, want)
    found = rgb_pixels(replace(VIEW, encoding="16UC1"), message(millimetres, "16UC1", pad, big))
    assert np.abs(found.astype(int) - want).max() <= 1  # 0.001 has no exact float32
    assert found.flags.c_contiguous


def test_another_encoding_or_too_few_bytes_are_refused():
    depth = np.ones((96, 160), np.float32)
    with pytest.raises(PixelError, match="found 96x160 16UC1, the contract promises 96x160 32FC1"):
        rgb_pixels(VIEW, message(depth.astype(np.uint16), "16UC1"))
    short = message(depth, "32FC1")
    short.data = short.data[:-1]
    with pytest.raises(PixelError, match="96x160 32FC1 needs 61440 bytes, found 61439"):
        rgb_pixels(VIEW, short)
