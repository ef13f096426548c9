"""Pixels of an Image message as policies see them, live and from a bag alike."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import View
from vilp_ros.data.depth import grey_depth
from vilp_ros.errors import VilpError

_ORDER = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
_DEPTH = {"32FC1": ("f4", 1.0), "16UC1": ("u2", 1e-3)}


class PixelError(VilpError):
    """An image that is not what the contract promises."""


def rgb_pixels(view: View, message: Any) -> NDArray[np.uint8]:
    """Pixels of a view, scaled where its camera's are more.

    Args:
        view: of the contract.
        message: sensor_msgs/Image, of rclpy or read from a bag; rows may be padded (`step`).

    Returns:
        (H, W, 3) uint8 rgb, contiguous; of a depth view grey, see `grey_depth`.

    Raises:
        PixelError: another size or encoding than promised, or fewer bytes than the size needs.
    """
    height, width = view.published
    if (message.height, message.width, message.encoding) != (height, width, view.encoding):
        raise PixelError(
            f"found {message.height}x{message.width} {message.encoding}, the contract promises "
            f"{height}x{width} {view.encoding}: set the driver, or the view's camera_size"
        )
    if view.depth_range_m is not None:
        kind, metres = _DEPTH[view.encoding]
        dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
        depth = np.ascontiguousarray(_rows(view, message, dtype.itemsize)).view(dtype)
        depth_m = depth.astype(np.float32) * np.float32(metres)
        # Between an edge and what is behind it lies nothing: depths are chosen, never mixed.
        return grey_depth(_scaled(view, depth_m, cv2.INTER_NEAREST_EXACT), view.depth_range_m)
    channels, order = _ORDER[view.encoding]
    pixels = _rows(view, message, channels).reshape(height, width, channels)
    pixels = _scaled(view, pixels, cv2.INTER_AREA).reshape(view.height, view.width, channels)
    if order == (0, 1, 2) and channels == 3:
        return np.ascontiguousarray(pixels)
    return np.ascontiguousarray(pixels[..., order])


def _rows(view: View, message: Any, pixel_bytes: int) -> NDArray[np.uint8]:
    """Bytes of the picture (H, W * pixel_bytes), without padding."""
    height, width = view.published
    row = width * pixel_bytes
    step = message.step or row
    if step < row or len(message.data) < height * step:
        raise PixelError(
            f"image of {height}x{width} {view.encoding} needs "
            f"{height * max(step, row)} bytes, found {len(message.data)} in rows of {step}"
        )
    rows = np.frombuffer(message.data, np.uint8)[: height * step].reshape(-1, step)
    return rows[:, :row]


def _scaled(view: View, picture: NDArray[Any], interpolation: int) -> NDArray[Any]:
    """The middle of a picture (H, W, ...), in the view's proportions, at the view's size."""
    height, width = picture.shape[:2]
    if (height, width) == (view.height, view.width):
        return picture
    scale = min(height / view.height, width / view.width)
    rows, columns = round(scale * view.height), round(scale * view.width)
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = picture[top : top + rows, left : left + columns]
    return cv2.resize(middle, (view.width, view.height), interpolation=interpolation)
