"""A camera's picture as policies see it, live and from a bag alike."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import View
from vilp_ros.data import compressed
from vilp_ros.data.depth import grey_depth
from vilp_ros.data.encodings import PixelError, decode_colour, decode_depth
from vilp_ros.data.scaling import fit

__all__ = ["PixelError", "described", "promised", "rgb_pixels"]


def rgb_pixels(view: View, message: Any) -> NDArray[np.uint8]:
    """Pixels of a view, cut and scaled where its camera's are more.

    Args:
        view: of the contract.
        message: sensor_msgs/Image (rows may be padded) or sensor_msgs/CompressedImage, of rclpy or
            read from a bag.

    Returns:
        (H, W, 3) uint8 rgb, contiguous; of a depth view grey, see `grey_depth`.

    Raises:
        PixelError: another size or encoding than promised, or bytes that are no such picture.
    """
    if (found := described(view, message)) != promised(view):
        raise PixelError(
            f"found {found}, the contract promises {promised(view)}: set the driver, or the "
            "view's camera_size"
        )
    packed = hasattr(message, "format")
    if view.depth_range_m is not None:
        depth_m = compressed.unpack_depth(message) if packed else decode_depth(message)
        # Between an edge and what is behind it lies nothing: depths are chosen, never mixed.
        return grey_depth(_scaled(view, depth_m, cv2.INTER_NEAREST_EXACT), view.depth_range_m)
    pixels = compressed.unpack_colour(message) if packed else decode_colour(message)
    return np.ascontiguousarray(_scaled(view, pixels, cv2.INTER_AREA))


def described(view: View, message: Any) -> str:
    """Size and encoding of a picture of this view, as they are: "480x640 rgb8".

    Reads the header of what is compressed; a damaged one may ask for gigabytes of pixels.

    Raises:
        PixelError: it is compressed and neither JPEG nor PNG.
    """
    if not hasattr(message, "format"):
        return f"{message.height}x{message.width} {message.encoding}"
    height, width = compressed.picture_size(message)
    encoding = view.encoding
    if compressed.is_depth(message):
        encoding = message.format.partition(";")[0]
    elif view.depth_range_m is not None:
        encoding = message.format
    return f"{height}x{width} {encoding}"


def promised(view: View) -> str:
    """The same, as the contract has it."""
    return "{}x{} ".format(*view.published) + view.encoding


def _scaled(view: View, picture: NDArray[Any], interpolation: int) -> NDArray[Any]:
    """The view's rectangle of a picture (H, W, ...), the middle of it, at the view's size."""
    if view.crop is not None:
        top, left, height, width = view.crop
        picture = picture[top : top + height, left : left + width]
    return fit(picture, (view.height, view.width), interpolation)
