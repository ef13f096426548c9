import builtins
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vilp_ros.errors import VilpError
from vilp_ros.ros import images
from vilp_ros.ros.images import ImageError, to_array, to_message

STAMP = Time(sec=3, nanosec=5000)
ENCODINGS = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "mono8": (np.uint8, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
    "32FC36": (np.float32, 36),
    "32FC700": (np.float32, 700),
}


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(ENCODINGS)), st.integers(1, 9), st.integers(1, 9))
def test_what_goes_in_comes_out_also_through_padded_rows(data, encoding, height, width):
    dtype, channels = ENCODINGS[encoding]
    shape = (height, width) if channels == 1 else (height, width, channels)
    fill = {"allow_nan": False} if dtype is np.float32 else {}
    elements = hnp.from_dtype(np.dtype(dtype), **fill)
    pixels = data.draw(hnp.arrays(dtype, shape, elements=elements, fill=elements))
    message = to_message(pixels, encoding, STAMP, "camera")
    assert (message.height, message.width, message.encoding) == (height, width, encoding)
    assert message.step * height == len(message.data) == pixels.nbytes
    np.testing.assert_array_equal(to_array(message), pixels)

    rows = np.frombuffer(message.data, np.uint8).reshape(height, -1)
    padded = np.pad(rows, ((0, 0), (0, 5)), constant_values=77)
    message.data, message.step = padded.tobytes(), padded.shape[1]
    np.testing.assert_array_equal(to_array(message), pixels)


def test_big_endian_and_colour_orders_are_converted():
    depth = np.array([[1.5, -2.0]], np.float32)
    message = to_message(depth, "32FC1", STAMP)
    message.data, message.is_bigendian = depth.astype(">f4").tobytes(), 1
    np.testing.assert_array_equal(to_array(message), depth)

    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    bgr = to_message(np.ascontiguousarray(rgb[..., ::-1]), "bgr8", STAMP)
    np.testing.assert_array_equal(to_array(bgr, "rgb8"), rgb)
    sliced = to_message(rgb[:, ::2], "rgb8", STAMP)  # not contiguous
    np.testing.assert_array_equal(to_array(sliced), rgb[:, ::2])


def test_broken_images_are_refused_in_words():
    message = to_message(np.zeros((4, 6, 3), np.uint8), "rgb8", STAMP)
    message.data = message.data[:-1]
    with pytest.raises(ImageError, match="4x6 rgb8 needs 72 bytes, found 71"):
        to_array(message)
    message.encoding = "rgb9"
    with pytest.raises(ImageError, match="unknown image encoding 'rgb9'"):
        to_array(message)
    with pytest.raises(ImageError, match="no conversion from '32FC1' to 'rgb8'"):
        to_array(to_message(np.zeros((2, 2), np.float32), "32FC1", STAMP), "rgb8")
    with pytest.raises(ImageError, match="'rgb8' is 3 x uint8, the array 1 x float32"):
        to_message(np.zeros((2, 2), np.float32), "rgb8", STAMP)


def test_filling_a_message_does_not_look_at_every_byte():
    """An ndarray assigned to Image.data costs 50 ms and more at this size."""
    pixels = np.zeros((480, 640, 3), np.uint8)
    durations = []
    for _ in range(10):
        start = time.perf_counter()
        to_message(pixels, "rgb8", STAMP)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.01


def test_missing_cv_bridge_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "cv_bridge":
            raise ImportError("no cv_bridge")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    images._bridge.cache_clear()
    images._layout.cache_clear()
    with pytest.raises(VilpError, match=r"apt install.*cv-bridge.*pip install"):
        to_message(np.zeros((2, 2, 3), np.uint8), "rgb8", STAMP)
