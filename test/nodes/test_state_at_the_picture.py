"""An arm at 1 kHz and pictures that come late: the state is that of the picture's time."""

import itertools
import threading
import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState

from vilp_ros.data.observe import seconds
from vilp_ros.ros import qos
from vilp_ros.ros.images import to_message
from vilp_ros.ros.messages import to_joint_state, to_pose, to_stamp, unpack_state


class FastArm:
    """Moves evenly, so that whatever is lost on the way the state between two messages is known.

    Pictures are 0 to 150 ms late, each by another time.
    """

    def __init__(self, probe, contract) -> None:
        create, proprio = probe.node.create_publisher, contract.proprio
        self._contract = contract
        self._pose = create(PoseStamped, proprio.ee_pose_topic, qos.STATE_OUT)
        self._gripper = create(JointState, proprio.gripper_topic, qos.STATE_OUT)
        self._joints = create(JointState, proprio.joint_state_topic, qos.STATE_OUT)
        self._images = {
            name: create(Image, view.topic, qos.SENSOR) for name, view in contract.views.items()
        }
        self._began_s, self._stop = time.time(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def at(self, stamp_s: float) -> tuple[np.ndarray, float, np.ndarray]:
        """Pose (7,), width, joints (7,)."""
        u = stamp_s - self._began_s
        pose = np.array([0.3 + 0.002 * u, 0.001 * u, 0.3 - 0.0005 * u, 1, 0, 0, 0])
        return pose, 0.02 + 1e-4 * u, np.arange(7) * 0.01 * u

    def _run(self) -> None:
        rng, waiting = np.random.default_rng(0), []
        for tick in itertools.count():
            due_s = self._began_s + 1e-3 * tick
            if self._stop.wait(max(0.0, due_s - time.time())):
                return
            stamp_s = time.time()
            stamp = to_stamp(stamp_s)
            pose, width, joints = self.at(seconds(stamp))
            message = PoseStamped(pose=to_pose(pose))
            message.header.stamp, message.header.frame_id = stamp, self._contract.base_frame
            self._pose.publish(message)
            self._gripper.publish(to_joint_state(["gripper_width"], np.array([width]), stamp))
            self._joints.publish(to_joint_state(self._contract.proprio.joint_names, joints, stamp))
            if tick % 100 == 0:
                waiting.append((stamp_s + rng.uniform(0, 0.15), stamp))
            for late in [w for w in waiting if w[0] <= stamp_s]:
                waiting.remove(late)
                self._expose(tick, late[1])

    def _expose(self, tick: int, stamp) -> None:
        for name, view in self._contract.views.items():
            shape = (view.height, view.width, 3)
            pixels = np.full(shape, tick // 100 % 256, np.uint8)
            self._images[name].publish(to_message(pixels, view.encoding, stamp))


@pytest.fixture
def arm(probe, contract):
    arm = FastArm(probe, contract)
    yield arm
    arm.close()


def test_it_is_the_state_of_the_pictures_time(arm, start, probe, contract):
    states = probe.listen(JointState, "observation/state", profile=qos.LATEST)
    supervisor, _ = start("sim:=false", only=("observation",))
    with supervisor:
        probe.spin_until(lambda: len(states) >= 20, "twenty observations")
    for message in states:
        state = unpack_state(message, contract.proprio.joint_names)
        pose, width, joints = arm.at(seconds(message.header.stamp))
        np.testing.assert_allclose(state.ee_pose, pose, atol=1e-6)
        np.testing.assert_allclose(state.gripper_width, width, atol=1e-6)
        np.testing.assert_allclose(state.joint_position, joints, atol=1e-6)
