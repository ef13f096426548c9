"""Publish what the two cameras of a franky-sim scene see, on the topics of a contract.

    tools/franky_lift/serve.sh runs/franky &
    .venv/bin/python tools/franky_lift/cameras.py runs/franky --contract fr3_direct

Draws in a process of its own, so that it never holds up the simulator's 1 kHz.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from vilp_ros.contract import Contract
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.images import to_message
from vilp_ros.ros.messages import to_camera_info, to_stamp
from vilp_ros.sim.renderer import ViewRenderer


class Scene:
    """The scene that `tools/franky_lift/serve.sh` serves, as it is now.

    Args:
        folder: Where it writes.
    """

    def __init__(self, folder: Path) -> None:
        import mujoco  # after vilp_ros.sim, which chooses how it draws

        self._forward = mujoco.mj_forward
        self.model = mujoco.MjModel.from_xml_path(str(folder / "scene.xml"))
        self.data = mujoco.MjData(self.model)
        self._state = np.memmap(folder / "state", np.float64, "r", shape=(1 + self.model.nq,))

    def update(self) -> None:
        """Bring `data` up to date."""
        self.data.time, self.data.qpos[:] = self._state[0], self._state[1:]
        self._forward(self.model, self.data)


class Cameras(Node):
    """Pictures and intrinsics of every view of the contract, at the rate of the first.

    Stamped as late after the exposure as the contract says of its cameras.

    Args:
        folder: Of the scene.
        contract: Its views are cameras of the scene, by name, and all of one size.
        sim_time: Stamps and rate are of the simulator's time; tools/franky_lift/clock.py tells it.
    """

    def __init__(self, folder: Path, contract: Contract, sim_time: bool = False) -> None:
        timing = [Parameter("use_sim_time", value=sim_time)]
        super().__init__("franky_cameras", parameter_overrides=timing)
        self._sim_time = sim_time
        self._scene, self._contract = Scene(folder), contract
        view = next(iter(contract.views.values()))
        self._size = (view.height, view.width)
        self._renderer = ViewRenderer(self._scene.model, self._size)
        create = self.create_publisher
        self._out = {
            name: (create(Image, v.topic, qos.SENSOR), create(CameraInfo, v.info_topic, qos.SENSOR))
            for name, v in contract.views.items()
        }
        self.create_timer(1.0 / view.rate_hz, self._publish)

    def _publish(self) -> None:
        self._scene.update()
        now_s, (height, width) = self.get_clock().now().nanoseconds * 1e-9, self._size
        if self._sim_time:
            now_s = self._scene.data.time
        for name, (image, info) in self._out.items():
            stamp = to_stamp(now_s + self._contract.views[name].latency_s)
            picture = self._renderer.render(self._scene.data, name)
            fovy = np.deg2rad(self._scene.model.camera(name).fovy[0])
            focal = height / 2 / np.tan(fovy / 2)
            matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
            frame = f"{name}_optical_frame"
            image.publish(to_message(picture, self._contract.views[name].encoding, stamp, frame))
            info.publish(to_camera_info(height, width, matrix, stamp, frame))


def main() -> None:
    """Publishes until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contract", default="fr3_direct")
    parser.add_argument("--sim-time", action="store_true", help="the simulator's, from /clock")
    args = parser.parse_args()
    rclpy.init()
    node = Cameras(args.folder, Contract.load(find_contract(args.contract)), args.sim_time)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
