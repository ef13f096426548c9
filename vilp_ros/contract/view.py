"""A camera as a policy sees it and as its driver publishes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from vilp_ros.contract.names import a_latency, a_topic
from vilp_ros.contract.readers import (
    by,
    choice,
    interval,
    many,
    number,
    whole,
)

DEPTH_ENCODINGS = ("32FC1", "16UC1")
"""Metres, and millimetres as the drivers of RealSense publish them."""
ENCODINGS = (
    "rgb8",
    "bgr8",
    "rgba8",
    "bgra8",
    "mono8",
    "mono16",
    "8UC1",
    "8UC3",
    "yuv422",
    "uyvy",
    "yuv422_yuy2",
    "yuyv",
    "nv12",
    "nv21",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg8",
    *DEPTH_ENCODINGS,
)
IMAGE_TYPES = ("sensor_msgs/Image", "sensor_msgs/CompressedImage")


@dataclass(frozen=True)
class View:
    """One camera.

    Attributes:
        name: what policies call it.
        topic: of the type `type`.
        info_topic: sensor_msgs/CameraInfo.
        height: pixels that policies see.
        width: pixels that policies see.
        encoding: one of `ENCODINGS`; of a compressed picture what it was before: any colour, or
            the depth that compressedDepth names.
        reliability: QoS of the subscription, "best_effort" or "reliable".
        depth: QoS history depth.
        rate_hz: frames per second that the driver promises.
        latency_s: from exposure to the header stamp.
        depth_range_m: (near, far) of a depth camera, and of no other; depth is clipped to it and
            becomes a grey picture of 255 steps (`vilp_ros.data.depth`). Part of what a policy
            learned: keep it.
        camera_size: (height, width) that the driver publishes, where that is larger: the middle of
            it, in the view's proportions, is scaled to the view. Recorded as it comes.
        crop: [top, left, height, width] in pixels of what is published: the rectangle whose middle
            is taken, instead of the whole picture's.
        type: one of `IMAGE_TYPES`; compressed are JPEG, PNG and compressedDepth.
    """

    name: str
    topic: str = field(metadata=by(a_topic))
    info_topic: str = field(metadata=by(a_topic))
    height: int = field(metadata=by(whole(16, 4096)))
    width: int = field(metadata=by(whole(16, 4096)))
    encoding: str = field(metadata=by(choice(*ENCODINGS)))
    reliability: str = field(metadata=by(choice("best_effort", "reliable")))
    depth: int = field(metadata=by(whole(1, 100)))
    rate_hz: float = field(metadata=by(number(0, 1000, "Hz", above=True)))
    latency_s: float = field(metadata=by(a_latency))
    depth_range_m: tuple[float, float] | None = field(
        metadata=by(interval(0, 65, "m")), default=None
    )
    camera_size: tuple[int, int] | None = field(metadata=by(many(whole(16, 4096), 2)), default=None)
    crop: tuple[int, int, int, int] | None = field(
        metadata=by(many(whole(0, 4096), 4)), default=None
    )
    type: str = field(metadata=by(choice(*IMAGE_TYPES)), default="sensor_msgs/Image")

    @property
    def message_kind(self) -> str:
        """Type of the messages, as ROS 2 writes it."""
        return self.type.replace("/", "/msg/")

    @property
    def published(self) -> tuple[int, int]:
        """(height, width) of the messages."""
        return self.camera_size or (self.height, self.width)
