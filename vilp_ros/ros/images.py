"""The border between Image messages and arrays: the only module that uses cv_bridge."""

from __future__ import annotations

import re
from array import array
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from vilp_ros.contract import View
from vilp_ros.errors import VilpError

JPEG_QUALITY = 80


class ImageError(VilpError):
    """An image that cannot be read or does not have the promised size or encoding."""


@lru_cache(maxsize=1)
def _bridge() -> Any:
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise VilpError(
            f"cv_bridge cannot be imported ({error}); get it with `apt install "
            "ros-$ROS_DISTRO-cv-bridge` beside a ROS 2 installation, or `pip install "
            "cv-bridge==1.13.0.post0 'numpy<2' 'opencv-python<5'` beside ROS 2 wheels"
        ) from error
    return CvBridge()


_PLAIN = re.compile(r"(8|16|32|64)(U|S|F)C(\d+)")
_KINDS = {"U": "uint", "S": "int", "F": "float"}


@lru_cache(maxsize=32)
def _layout(encoding: str) -> tuple[np.dtype[Any], int]:
    """Type and channels of an encoding; cv_bridge from PyPI counts channels only to four."""
    if plain := _PLAIN.fullmatch(encoding):
        bits, kind, channels = plain.groups()
        return np.dtype(_KINDS[kind] + bits), int(channels)
    try:
        dtype, channels = _bridge().encoding_to_dtype_with_channels(encoding)
    except (TypeError, KeyError) as error:  # CvBridgeError is a TypeError
        raise ImageError(f"unknown image encoding '{encoding}'") from error
    return np.dtype(dtype), int(channels)


def camera_type(view: View) -> type[Image] | type[CompressedImage]:
    """Type of the messages of a camera."""
    return {"sensor_msgs/Image": Image, "sensor_msgs/CompressedImage": CompressedImage}[view.type]


def to_jpeg(pixels: NDArray[np.uint8], stamp: Time, frame_id: str = "") -> CompressedImage:
    """JPEG of a picture (H, W, 3) rgb, as a camera's driver would publish it."""
    _, packed = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    message = CompressedImage(format="rgb8; jpeg compressed bgr8")
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.data = array("B", packed.tobytes())
    return message


def to_message(pixels: NDArray[Any], encoding: str, stamp: Time, frame_id: str = "") -> Image:
    """Message of an array.

    cv_bridge is asked what the encoding means but does not fill the message: assigning anything but
    an `array.array` to `Image.data` makes rclpy look at every byte.

    Args:
        pixels: (H, W) or (H, W, C).
        encoding: As in sensor_msgs/image_encodings.h.
        stamp: Header stamp.
        frame_id: Header frame.

    Raises:
        ImageError: The array is not what the encoding says.
    """
    dtype, channels = _layout(encoding)
    found = 1 if pixels.ndim == 2 else pixels.shape[2]
    if (pixels.dtype, found) != (dtype, channels):
        raise ImageError(
            f"encoding '{encoding}' is {channels} x {dtype}, the array {found} x {pixels.dtype}"
        )
    message = Image()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.step = message.width * channels * dtype.itemsize
    data = array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    message.data = data
    return message


def to_array(message: Image, encoding: str | None = None) -> NDArray[Any]:
    """Array of a message.

    Args:
        message: Any raw image; rows may be padded (`step`).
        encoding: Convert colours to this one; None keeps what came.

    Returns:
        (H, W) or (H, W, C), in the machine's byte order.

    Raises:
        ImageError: Unknown encoding, no conversion, or fewer bytes than the size needs.
    """
    dtype, channels = _layout(message.encoding)
    row = message.width * channels * dtype.itemsize
    step = message.step or row
    if step < row or len(message.data) < message.height * step:
        raise ImageError(
            f"image of {message.height}x{message.width} {message.encoding} needs "
            f"{message.height * max(step, row)} bytes, found {len(message.data)} in rows of {step}"
        )
    rows = np.frombuffer(message.data, np.uint8)[: message.height * step].reshape(-1, step)
    order = dtype.newbyteorder(">" if message.is_bigendian else "<")
    pixels = np.ascontiguousarray(rows[:, :row]).view(order).astype(dtype, copy=False)
    pixels = pixels.reshape(message.height, message.width, channels)
    pixels = pixels[..., 0] if channels == 1 else pixels
    if encoding in (None, message.encoding):
        return pixels
    try:
        plain = to_message(pixels, message.encoding, message.header.stamp)
        return _bridge().imgmsg_to_cv2(plain, encoding)
    except (TypeError, KeyError) as error:
        raise ImageError(f"no conversion from '{message.encoding}' to '{encoding}'") from error
