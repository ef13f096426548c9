"""What a camera publishes, in every encoding, is what a policy sees: live and from a bag."""

from array import array
from dataclasses import replace

import numpy as np
import pytest
from bags import SMALL, contract, image, message, traffic, write_bag
from pictures import HEIGHT, RANGE_M, TABLE, WIDTH, Encoded, truth
from rclpy.qos import QoSProfile
from ros_rig import Probe
from sensor_msgs.msg import CompressedImage, Image

from vilp_ros.contract import View
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.bag_reader import BagReader
from vilp_ros.data.compressed import unpack_colour
from vilp_ros.data.observe import seconds
from vilp_ros.data.pixels import PixelError, rgb_pixels
from vilp_ros.ros.images import to_array, to_jpeg
from vilp_ros.ros.messages import to_stamp
from vilp_ros.share import share_dir

START_S = 1_700_000_000.0


def view_of(encoded: Encoded) -> View:
    """The view of a contract that this picture keeps."""
    return replace(
        contract().views["agentview"],
        encoding=encoded.encoding,
        depth_range_m=RANGE_M if encoded.encoding in ("16UC1", "32FC1") else None,
        type="sensor_msgs/CompressedImage" if encoded.format else "sensor_msgs/Image",
    )


def agrees(encoded: Encoded, found: np.ndarray) -> None:
    want = truth(encoded)
    assert found.shape == want.shape
    assert found.flags.c_contiguous
    off = np.abs(found.astype(int) - want)
    if encoded.encoding.startswith("bayer"):
        off = off[2:-2, 2:-2]  # at the rim half of the neighbours are missing
    assert off.max() <= encoded.tolerance


@pytest.fixture(scope="module")
def carried(domain):
    """`carried(message)`: what a subscriber gets of it."""
    probe = Probe(domain)
    profile = QoSProfile(depth=10)

    def carry(sent):
        topic = f"carried_{type(sent).__name__.lower()}"
        received = probe.listen(type(sent), topic, profile=profile)
        publisher = probe.node.create_publisher(type(sent), topic, profile)
        probe.spin_until(publisher.get_subscription_count, "the subscription")
        publisher.publish(sent)
        probe.spin_until(lambda: received, "the picture")
        probe.node.destroy_publisher(publisher)
        return received[0]

    yield carry
    probe.close()


@pytest.mark.parametrize("name", TABLE)
def test_live(name, carried):
    encoded = TABLE[name]
    if encoded.format:
        sent = CompressedImage(format=encoded.format)
    else:
        sent = Image(height=HEIGHT, width=WIDTH, encoding=encoded.encoding)
        sent.step, sent.is_bigendian = encoded.data.shape[1], int(encoded.big)
    sent.data = array("B", encoded.data.tobytes())
    agrees(encoded, rgb_pixels(view_of(encoded), carried(sent)))


def text_of(encoded: Encoded) -> str:
    """A contract whose first view is this picture."""
    begin, _, rest = SMALL.partition("encoding: rgb8")
    keys = [f"encoding: {encoded.encoding}", f"type: {view_of(encoded).type}"]
    if view_of(encoded).depth_range_m:
        keys.append(f"depth_range_m: {list(RANGE_M)}")
    return begin + "\n    ".join(keys) + rest


def bag_of(path, encoded: Encoded, text: str | None = None):
    """A bag in which the first view is published so."""

    def published():
        for name, body in traffic(contract()):
            if name != "agentview/image_raw":
                yield name, body
            elif encoded.format:
                stamp_s = body.header.stamp.sec + body.header.stamp.nanosec * 1e-9
                fields = {"format": encoded.format, "data": encoded.data.reshape(-1)}
                yield name, message("sensor_msgs/msg/CompressedImage", stamp_s, **fields)
            else:
                stamp_s = body.header.stamp.sec + body.header.stamp.nanosec * 1e-9
                made = image(stamp_s, np.zeros((HEIGHT, WIDTH), np.uint8), encoded.encoding)
                made.step, made.is_bigendian = encoded.data.shape[1], int(encoded.big)
                made.data = encoded.data.reshape(-1)
                yield name, made

    return write_bag(path, published(), text=text or text_of(encoded))


@pytest.mark.parametrize("name", TABLE)
def test_from_a_bag(name, tmp_path):
    encoded = TABLE[name]
    with Bag(bag_of(tmp_path / "bag", encoded)) as bag:
        seen = [observation.images["agentview"] for observation in BagReader(bag).observations()]
    assert len(seen) == 21
    agrees(encoded, seen[0])


def test_a_topic_of_another_type_is_named_in_a_bag(tmp_path):
    with (
        Bag(bag_of(tmp_path / "bag", TABLE["jpeg"], SMALL)) as bag,
        pytest.raises(
            BagError,
            match="holds sensor_msgs/msg/CompressedImage, contract sim_panda "
            "promises sensor_msgs/msg/Image for 'agentview'",
        ),
    ):
        BagReader(bag)


def test_the_graph_with_cameras_that_compress(start, tmp_path, domain):
    """The simulator publishes JPEG, as a camera's driver would; one view's topic is named wrong."""
    text = (share_dir() / "config/robots/sim_panda.yaml").read_text()
    jpeg = text.replace("encoding: rgb8", "encoding: rgb8\n    type: sensor_msgs/CompressedImage")
    (tmp_path / "jpeg.yaml").write_text(jpeg)
    (tmp_path / "raw.yaml").write_text(text)
    probe = Probe(domain)
    views = probe.listen(Image, "observation/views")
    packed = probe.listen(CompressedImage, "observation/views/compressed")
    try:
        with start(f"contract:={tmp_path / 'jpeg.yaml'}", only=("sim", "observation"))[0]:
            probe.spin_until(lambda: probe.says("observation", "observing"), "observations")

            def pair():
                by_stamp = {seconds(view.header.stamp): view for view in views}
                both = [x for x in packed if seconds(x.header.stamp) in by_stamp]
                return both and (both[-1], by_stamp[seconds(both[-1].header.stamp)])

            same, view = probe.spin_until(pair, "the same views as they are and as JPEG")
            assert (view.height, view.width) == (192, 160)
            assert np.ptp(np.frombuffer(view.data, np.uint8)) > 100
            whole = to_array(view).astype(int)
            assert np.abs(unpack_colour(same) - whole).mean() < 5
            assert len(same.data) < whole.size / 10
            with start(f"contract:={tmp_path / 'raw.yaml'}", only=("observation",))[0]:
                named = "agentview/image_raw is sensor_msgs/msg/CompressedImage, the contract"
                probe.spin_until(lambda: probe.says("observation", named), "both types by name")
    finally:
        probe.close()


def test_what_is_damaged_or_another_picture_is_refused_in_words():
    encoded = TABLE["jpeg"]
    view, picture = view_of(encoded), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    whole = to_jpeg(picture, to_stamp(START_S))
    np.testing.assert_array_equal(rgb_pixels(view, whole), picture)
    for data, says in (
        (b"", "no JPEG or PNG"),
        (b"GIF89a", "no JPEG or PNG"),
        (whole.data[:20].tobytes(), "no JPEG or PNG"),
    ):
        whole.data = array("B", data)
        with pytest.raises(PixelError, match=says):
            rgb_pixels(view, whole)
    large = to_jpeg(np.zeros((32, 48, 3), np.uint8), to_stamp(START_S))
    with pytest.raises(PixelError, match="found 32x48 rgb8, the contract promises 16x24 rgb8"):
        rgb_pixels(view, large)
    depth = replace(view, encoding="16UC1", depth_range_m=RANGE_M)
    with pytest.raises(PixelError, match="found 32x48 rgb8; jpeg compressed bgr8, the contract"):
        rgb_pixels(depth, large)


def test_a_rectangle_is_cut_before_the_middle_of_it_is_scaled():
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    view = replace(contract().views["agentview"], camera_size=(64, 96), crop=(8, 40, 16, 24))
    found = rgb_pixels(view, image(START_S, picture))
    np.testing.assert_array_equal(found, picture[8:24, 40:64])
    view = replace(view, crop=(0, 32, 32, 64))
    found = rgb_pixels(view, image(START_S, picture))
    middle = picture[:32, 40:88].reshape(16, 2, 24, 2, 3).mean((1, 3))
    assert np.abs(found - middle).max() <= 1
