"""What the encodings of sensor_msgs/Image hold, decoded by OpenCV."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vilp_ros.errors import VilpError


class PixelError(VilpError):
    """A picture that is not what the contract promises."""


class _Encoding(NamedTuple):
    """Bytes of a pixel, and the conversion of OpenCV to rgb; None where it is rgb already."""

    bytes: int
    code: int | None
    rows: float = 1.0  # of bytes, a row of pixels


# OpenCV names a Bayer pattern by the second row from its second pixel on, ROS by the first rows.
_COLOURS = {
    "rgb8": _Encoding(3, None),
    "bgr8": _Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2RGB),
    "8UC1": _Encoding(1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Encoding(3, cv2.COLOR_BGR2RGB),  # says nothing of its order: OpenCV's
    "mono16": _Encoding(2, cv2.COLOR_GRAY2RGB),
    "yuv422": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    "nv12": _Encoding(1, cv2.COLOR_YUV2RGB_NV12, 1.5),
    "nv21": _Encoding(1, cv2.COLOR_YUV2RGB_NV21, 1.5),
    "bayer_rggb8": _Encoding(1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _Encoding(1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _Encoding(1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _Encoding(1, cv2.COLOR_BayerGB2RGB),
}
_DEPTHS = {"32FC1": ("f4", 1.0), "16UC1": ("u2", 1e-3)}


def decode_colour(message: Any) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) rgb of a sensor_msgs/Image in one of the colour encodings of the contract.

    Raises:
        PixelError: fewer bytes than its size needs, or a size that its encoding cannot have.
    """
    bytes_, code, rows = _COLOURS[message.encoding]
    if (rows != 1.0 or code in _PAIRED) and (message.width % 2 or (rows * message.height) % 1):
        raise PixelError(
            f"{message.encoding} holds pixels in pairs, found {message.height}x{message.width}"
        )
    height = round(rows * message.height)
    pixels = _rows(message, height, bytes_)
    if message.encoding == "mono16":
        wide = pixels.view(_order(message, "u2"))
        pixels = (wide >> 8).astype(np.uint8)
    pixels = pixels.reshape(height, message.width, -1)
    if code is None:
        return pixels
    return cv2.cvtColor(np.ascontiguousarray(pixels), code)


_PAIRED = (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2)


def decode_depth(message: Any) -> NDArray[np.float32]:
    """Metres (H, W) of a sensor_msgs/Image, 32FC1 or 16UC1.

    Raises:
        PixelError: fewer bytes than its size needs.
    """
    kind, metres = _DEPTHS[message.encoding]
    dtype = _order(message, kind)
    depth = _rows(message, message.height, dtype.itemsize).view(dtype)
    return in_metres(depth, metres)


def in_metres(depth: NDArray[Any], metres: float) -> NDArray[np.float32]:
    """Depth in units of `metres` as metres."""
    return depth.astype(np.float32) * np.float32(metres)


def _order(message: Any, kind: str) -> np.dtype[Any]:
    return np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")


def _rows(message: Any, height: int, pixel_bytes: int) -> NDArray[np.uint8]:
    """Bytes of the picture (height, W * pixel_bytes), contiguous, without padding."""
    row = message.width * pixel_bytes
    step = message.step or row
    if step < row or len(message.data) < height * step:
        raise PixelError(
            f"image of {message.height}x{message.width} {message.encoding} needs "
            f"{height * max(step, row)} bytes, found {len(message.data)} in rows of {step}"
        )
    rows = np.frombuffer(message.data, np.uint8)[: height * step].reshape(-1, step)
    return np.ascontiguousarray(rows[:, :row])
