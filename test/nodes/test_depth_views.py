"""Depth from a simulated camera to an observation, between real processes."""

import numpy as np
import pytest
from ros_rig import Probe
from sensor_msgs.msg import CameraInfo, Image

from vilp_ros.contract import Contract
from vilp_ros.data.depth import grey_depth
from vilp_ros.data.observe import seconds
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.images import to_array

HEIGHT = 96


@pytest.fixture(scope="module")
def rgbd():
    return Contract.load(find_contract("sim_panda_rgbd"))


def test_depth_is_published_in_metres_and_observed_in_greys(domain, start, rgbd):
    probe = Probe(domain)
    depth = {
        name: probe.listen(Image, view.topic, profile=qos.SENSOR)
        for name, view in rgbd.views.items()
        if view.depth_range_m
    }
    infos = probe.listen(CameraInfo, "agentview_depth/camera_info", profile=qos.SENSOR)
    views = probe.listen(Image, "observation/views")

    def same_instant():
        stamps = {seconds(m.header.stamp) for m in views}
        for messages in depth.values():
            stamps &= {seconds(m.header.stamp) for m in messages}
        return stamps and infos

    words = ("contract:=sim_panda_rgbd", "task:=lift")
    supervisor, lines = start(*words, only=("sim", "observation"))
    try:
        with supervisor:
            probe.spin_until(same_instant, f"an observation with depth; {lines}")
    finally:
        probe.close()

    stamps = {seconds(m.header.stamp) for m in views}
    for name, messages in depth.items():
        message = next(m for m in messages if seconds(m.header.stamp) in stamps)
        assert message.encoding == "32FC1"
        assert message.header.frame_id == name.replace("_depth", "_optical_frame")
        metres = to_array(message)
        assert metres.dtype == np.float32
        assert 0.05 < np.median(metres) < 1.6
        at = seconds(message.header.stamp)
        observed = to_array(next(m for m in views if seconds(m.header.stamp) == at))
        assert observed.shape == (len(rgbd.views) * HEIGHT, 160, 3)
        row = list(rgbd.views).index(name) * HEIGHT
        want = grey_depth(metres, rgbd.views[name].depth_range_m)
        np.testing.assert_array_equal(observed[row : row + HEIGHT], want)
        assert want.std() > 5
