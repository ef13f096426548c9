"""A camera's picture becomes a view: its middle, scaled, whatever the encoding."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from bags import contract, image
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.contract import ContractError
from vilp_ros.data.depth import grey_depth
from vilp_ros.data.pixels import PixelError, rgb_pixels

VIEW = contract().views["agentview"]  # 16x24


def enlarged(picture, times, beside, above):
    """What a camera sees whose middle is the picture, `times` as large."""
    large = picture.repeat(times, axis=0).repeat(times, axis=1)
    margins = ((above, above), (beside, beside)) + ((0, 0),) * (picture.ndim - 2)
    return np.pad(large, margins, constant_values=99)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(0, 9),
    st.booleans(),
    st.sampled_from(["rgb8", "bgr8", "rgba8", "mono8", "16UC1"]),
)
def test_the_middle_of_a_larger_picture_is_the_view(seed, times, margin, beside, encoding):
    rng = np.random.default_rng(seed)
    channels = {"rgb8": 3, "bgr8": 3, "rgba8": 4}.get(encoding, 1)
    shape = (16, 24, channels)[: 2 if channels == 1 else 3]
    kind = np.uint16 if encoding == "16UC1" else np.uint8
    picture = rng.integers(0, 250, shape).astype(kind)
    camera = enlarged(picture, times, margin * beside, margin * (not beside))
    range_m = (0.05, 0.2) if encoding == "16UC1" else None
    view = replace(VIEW, encoding=encoding, depth_range_m=range_m, camera_size=camera.shape[:2])
    message = image(1.0, camera, encoding)
    message.data = message.data.view(np.uint8)
    if range_m:
        want = grey_depth(picture.astype(np.float32) * np.float32(1e-3), range_m)
    else:
        rgb = picture[..., None].repeat(3, axis=2) if channels == 1 else picture[..., :3]
        want = rgb[..., ::-1] if encoding == "bgr8" else rgb
    found = rgb_pixels(view, message)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, want)


def test_what_is_finer_than_a_pixel_is_averaged_but_never_depths():
    board = np.indices((32, 48)).sum(axis=0) % 2
    view = replace(VIEW, encoding="mono8", camera_size=(32, 48))
    grey = rgb_pixels(view, image(1.0, (board * 200).astype(np.uint8), "mono8"))
    np.testing.assert_array_equal(grey, 100)
    view = replace(view, encoding="32FC1", depth_range_m=(0.5, 1.5))
    depth_m = np.where(board, 1.5, 0.5).astype(np.float32)
    message = SimpleNamespace(
        height=32, width=48, encoding="32FC1", is_bigendian=0, step=192, data=depth_m.tobytes()
    )
    assert set(np.unique(rgb_pixels(view, message))) <= {0, 255}


def test_another_size_is_refused_with_the_cure():
    pixels = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(PixelError, match=r"found 48x64 rgb8.*16x24 rgb8.*camera_size"):
        rgb_pixels(VIEW, image(1.0, pixels))
    with pytest.raises(PixelError, match="promises 32x48"):
        rgb_pixels(replace(VIEW, camera_size=(32, 48)), image(1.0, pixels[:16, :24]))


@pytest.mark.parametrize("size", ["[8, 640]", "[480]", "480", "[96, 640.5]", "[96, 159]"])
def test_a_contract_names_a_size_that_can_be_scaled_down(size):
    from bags import TEXT

    with pytest.raises(ContractError, match="camera_size"):
        contract(TEXT.replace("    height: 96", f"    camera_size: {size}\n    height: 96", 1))
