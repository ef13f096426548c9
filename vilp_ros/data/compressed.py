"""Pictures of sensor_msgs/CompressedImage, as image_transport and camera drivers write them.

Its `format` is "jpeg" or "png" alone, or what image_transport says: "rgb8; jpeg compressed bgr8",
"16UC1; compressedDepth png".
"""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vilp_ros.data.encodings import PixelError, in_metres

_AS_IT_IS = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
_DEPTH_HEADER = struct.Struct("<i2f")
"""Of compressed_depth_image_transport: what it is, and the two numbers of its inverse depth."""


def picture_size(message: Any) -> tuple[int, int]:
    """(height, width) that the picture says, before its pixels are unpacked.

    Raises:
        PixelError: it is neither JPEG nor PNG.
    """
    try:
        with Image.open(io.BytesIO(_picture(message)), formats=("JPEG", "PNG")) as picture:
            return picture.height, picture.width
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise PixelError(
            f"compressed image '{message.format}' is no JPEG or PNG ({len(message.data)} bytes)"
        ) from error


def is_depth(message: Any) -> bool:
    """Whether it comes from compressed_depth_image_transport."""
    return "compressedDepth" in message.format


def unpack_colour(message: Any) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) rgb.

    Raises:
        PixelError: cut off or damaged.
    """
    found = _unpack(message, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    # image_transport hands OpenCV an array in the order named last; alone, a file is what it says.
    stored = message.format.rpartition("compressed ")[2].strip()
    return found if stored in ("rgb8", "rgba8") else cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def unpack_depth(message: Any) -> NDArray[np.float32]:
    """Metres (H, W), NaN where nothing came back.

    Raises:
        PixelError: cut off or damaged, or not of 16 bits.
    """
    stored = _unpack(message, _AS_IT_IS)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise PixelError(f"'{message.format}' holds {stored.dtype} {stored.shape}, not 16 bits")
    if message.format.startswith("16UC1"):
        return in_metres(stored, 1e-3)
    _, scale, offset = _DEPTH_HEADER.unpack_from(bytes(message.data[: _DEPTH_HEADER.size]))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.float32(scale) / (stored.astype(np.float32) - np.float32(offset))
    return np.where(stored == 0, np.float32(np.nan), depth)


def _picture(message: Any) -> bytes:
    data = np.frombuffer(message.data, np.uint8)
    return data[_DEPTH_HEADER.size if is_depth(message) else 0 :].tobytes()


def _unpack(message: Any, how: int) -> NDArray[Any]:
    data = np.frombuffer(_picture(message), np.uint8)
    try:
        found = cv2.imdecode(data, how) if len(data) else None
    except cv2.error as error:
        raise PixelError(f"compressed image '{message.format}': {error}") from error
    if found is None:
        raise PixelError(f"compressed image '{message.format}' is damaged: {len(data)} bytes")
    return found
