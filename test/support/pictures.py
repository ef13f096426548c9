"""One picture in every encoding of a camera, made without the code that reads them."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

HEIGHT, WIDTH = 16, 24
RANGE_M = (0.4, 1.6)


class Encoded(NamedTuple):
    """A picture on its way.

    Attributes:
        encoding: of the contract's view.
        data: bytes (rows, step), padding included; of a compressed one (n,).
        tolerance: grey levels by which a decoder may be off.
        big: big-endian.
        format: of sensor_msgs/CompressedImage; empty for sensor_msgs/Image.
    """

    encoding: str
    data: np.ndarray
    tolerance: int = 0
    big: bool = False
    format: str = ""


def colours() -> np.ndarray:
    """(H, W, 3) rgb: soft in both directions, and no two channels alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([40 + 8 * x, 200 - 7 * y, 60 + 3 * x + 4 * y], axis=-1)
    return rgb.astype(np.uint8)


def greys() -> np.ndarray:
    """(H, W, 3) with equal channels."""
    return np.repeat(colours()[..., :1], 3, axis=2)


def depths_mm() -> np.ndarray:
    """(H, W) whole millimetres, 0 where nothing came back."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    depth = 500 + 30 * x + 10 * y
    depth[3, 4] = 0
    return depth.astype(np.uint16)


def _yuv() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, U, V of BT.601 in video range, U and V as they are before they are thinned."""
    r, g, b = colours().astype(float).transpose(2, 0, 1)
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256
    v = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256
    return tuple(np.rint(p).astype(np.uint8) for p in (y, u, v))


def _packed(order: str) -> np.ndarray:
    """4:2:2 in the order of a pair's four bytes, such as "YUYV"."""
    y, u, v = _yuv()
    pairs = np.empty((HEIGHT, WIDTH // 2, 4), np.uint8)
    first = iter((y[:, 0::2], y[:, 1::2]))
    for place, letter in enumerate(order):
        pairs[..., place] = next(first) if letter == "Y" else (u if letter == "U" else v)[:, ::2]
    return pairs.reshape(HEIGHT, -1)


def _planes(order: str) -> np.ndarray:
    """4:2:0 with a plane of pairs, "UV" or "VU"."""
    y, u, v = _yuv()
    chroma = {"U": u[::2, ::2], "V": v[::2, ::2]}
    pairs = np.stack([chroma[letter] for letter in order], axis=-1).reshape(HEIGHT // 2, WIDTH)
    return np.concatenate([y, pairs])


def _mosaic(pattern: str) -> np.ndarray:
    """One colour a pixel, by the first two rows' two pixels, such as "rggb"."""
    rgb, raw = colours(), np.empty((HEIGHT, WIDTH), np.uint8)
    for place, letter in enumerate(pattern):
        row, column = divmod(place, 2)
        raw[row::2, column::2] = rgb[row::2, column::2, "rgb".index(letter)]
    return raw


def _flat(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels).reshape(len(pixels), -1).view(np.uint8)


def _file(suffix: str, pixels: np.ndarray, *options: int) -> np.ndarray:
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(suffix, np.ascontiguousarray(stored), list(options))[1]


def _depth_file(header: np.ndarray, stored: np.ndarray) -> np.ndarray:
    return np.concatenate([header.view(np.uint8), _file(".png", stored)])


def _inverse_depth() -> np.ndarray:
    """As compressed_depth_image_transport writes 32FC1: reach 10 m, quantised by 100."""
    metres = depths_mm() * np.float32(1e-3)
    scale = 100.0 * (100.0 + 1.0)
    offset = 1.0 - scale / 10.0
    stored = np.where(metres > 0, np.rint(scale / np.maximum(metres, 1e-3) + offset), 0)
    header = np.zeros(3, "<f4")
    header[1:] = scale, offset
    return _depth_file(header, stored.astype(np.uint16))


def _pad(rows: np.ndarray) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, 8)), constant_values=77)


RGBA = np.concatenate([colours(), np.full((HEIGHT, WIDTH, 1), 9, np.uint8)], axis=-1)
RAW = {
    "rgb8": Encoded("rgb8", _flat(colours())),
    "bgr8": Encoded("bgr8", _flat(colours()[..., ::-1])),
    "rgba8": Encoded("rgba8", _flat(RGBA)),
    "bgra8": Encoded("bgra8", _flat(RGBA[..., [2, 1, 0, 3]])),
    "mono8": Encoded("mono8", _flat(greys()[..., 0])),
    "8UC1": Encoded("8UC1", _flat(greys()[..., 0])),
    "8UC3": Encoded("8UC3", _flat(colours()[..., ::-1])),
    "mono16": Encoded("mono16", _flat(greys()[..., 0].astype("<u2") * 256 + 3)),
    "mono16 big": Encoded(
        "mono16", _flat((greys()[..., 0].astype("<u2") * 256).astype(">u2")), big=True
    ),
    "yuv422": Encoded("yuv422", _packed("UYVY"), 12),
    "uyvy": Encoded("uyvy", _packed("UYVY"), 12),
    "yuv422_yuy2": Encoded("yuv422_yuy2", _packed("YUYV"), 12),
    "yuyv": Encoded("yuyv", _packed("YUYV"), 12),
    "nv12": Encoded("nv12", _planes("UV"), 16),
    "nv21": Encoded("nv21", _planes("VU"), 16),
    "bayer_rggb8": Encoded("bayer_rggb8", _mosaic("rggb"), 16),
    "bayer_bggr8": Encoded("bayer_bggr8", _mosaic("bggr"), 16),
    "bayer_gbrg8": Encoded("bayer_gbrg8", _mosaic("gbrg"), 16),
    "bayer_grbg8": Encoded("bayer_grbg8", _mosaic("grbg"), 16),
    "16UC1": Encoded("16UC1", _flat(depths_mm()), 1),
    "16UC1 big": Encoded("16UC1", _flat(depths_mm().astype(">u2")), 1, big=True),
    "32FC1": Encoded("32FC1", _flat(depths_mm() * np.float32(1e-3)), 1),
    "32FC1 big": Encoded("32FC1", _flat((depths_mm() * np.float32(1e-3)).astype(">f4")), 1, True),
}
PACKED = {
    "jpeg": Encoded(
        "rgb8", _file(".jpg", colours(), cv2.IMWRITE_JPEG_QUALITY, 95), 12, format="jpeg"
    ),
    "jpeg of rgb8": Encoded(
        "rgb8",
        _file(".jpg", colours(), cv2.IMWRITE_JPEG_QUALITY, 95),
        12,
        format="rgb8; jpeg compressed bgr8",
    ),
    "jpeg of rgb8 as it was": Encoded(
        "rgb8",
        _file(".jpg", colours()[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 95),
        12,
        format="rgb8; jpeg compressed rgb8",
    ),
    "jpeg of mono8": Encoded(
        "mono8",
        _file(".jpg", greys()[..., 0], cv2.IMWRITE_JPEG_QUALITY, 95),
        4,
        format="mono8; jpeg compressed ",
    ),
    "png": Encoded("bgr8", _file(".png", colours()), format="png"),
    "png of bgr8": Encoded("bgr8", _file(".png", colours()), format="bgr8; png compressed bgr8"),
    "depth of 16UC1": Encoded(
        "16UC1",
        _depth_file(np.zeros(3, "<f4"), depths_mm()),
        1,
        format="16UC1; compressedDepth png",
    ),
    "depth of 32FC1": Encoded("32FC1", _inverse_depth(), 2, format="32FC1; compressedDepth png"),
}
TABLE = (
    RAW
    | {f"{name}, padded rows": e._replace(data=_pad(e.data)) for name, e in RAW.items()}
    | PACKED
)


def truth(encoded: Encoded) -> np.ndarray:
    """What a policy shall see of it: (H, W, 3)."""
    if encoded.encoding in ("16UC1", "32FC1"):
        near, far = RANGE_M
        metres = np.where(depths_mm() == 0, far, depths_mm() * 1e-3)
        grey = np.rint((np.clip(metres, near, far) - near) * 255 / (far - near)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return greys() if encoded.encoding in ("mono8", "mono16", "8UC1") else colours()
