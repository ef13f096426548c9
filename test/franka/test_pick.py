"""A cube found in a camera's picture and picked over libfranka's protocol: franka_driver against
franky-sim, at places that are drawn, by a script that knows what colour the cube has.

Set FRANKY_PICKS for more than three.
"""

from __future__ import annotations

import os
import subprocess
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from arm_driver import franka_driver
from robots import FR3, HOME_JOINTS, HOME_POSE
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from tools.franky_lift.world import World
from vilp_ros.kinematics.franka import FrankaKinematics
from vilp_ros.ros import qos
from vilp_ros.ros.images import to_array
from vilp_ros.ros.messages import to_stamp

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PICKS = int(os.environ.get("FRANKY_PICKS", 3))
PERIOD_S, SPEED = 0.05, 0.12  # m/s on the way
ABOVE, LIFTED = 0.12, 0.10  # m: of the hand over the cube's place, of the cube itself
OUT_OF_SIGHT = np.array([-0.05, 0, 0.25])  # of a hand over the cube, for agentview
GRASP_Z = 0.02  # m: of the hand, and of the middle of the cube


@pytest.fixture(scope="module")
def world(tmp_path_factory, probe):
    subprocess.run([ROOT / "tools/franky_lift/serve.sh", "setup"], check=True, timeout=600)
    host = f"127.{1 + os.getpid() % 250}.{os.getpid() // 250 % 250}.3"
    with World(tmp_path_factory.mktemp("franky"), host) as world:
        probe.spin_until(world.ready, "franky-sim")
        world.start_cameras()
        yield world


@pytest.fixture(scope="module")
def driver(world, probe):
    with franka_driver(world.host, world.folder, probe) as supervisor:
        yield supervisor


class Picker:
    """Leads the hand along lines, and closes it."""

    def __init__(self, probe) -> None:
        self._probe = probe
        self._arm = FrankaKinematics("fr3", FR3.limits.joint_position)
        self._states = probe.listen(JointState, "joint_states", profile=qos.STATE_IN)
        create = probe.node.create_publisher
        self._way = create(JointTrajectory, "joint_trajectory", qos.COMMANDS)
        self._width = create(JointState, "gripper_target", qos.LATEST)
        ends = (self._way, self._width)
        probe.spin_until(lambda: all(e.get_subscription_count() for e in ends), "the driver")
        probe.spin_until(lambda: self._states, "the arm")
        self._joints = np.array(self._states[-1].position)  # where it was led last

    def to(self, position: np.ndarray) -> None:
        """A straight line to (3,) metres, pointing down; returns when it has arrived."""
        here = self._arm.forward(self._joints)[:3]
        count = max(20, int(np.linalg.norm(position - here) / SPEED / PERIOD_S))
        u = np.linspace(0, 1, count)[:, None]
        line = here + (3 - 2 * u) * u * u * (position - here)
        poses = np.hstack([line, np.tile(HOME_POSE[3:], (count, 1))])
        self.along(self._arm.inverse_path(poses, self._joints))

    def along(self, path: np.ndarray) -> None:
        """Through (N, 7) joints, one every PERIOD_S, and at rest in the last."""
        message = JointTrajectory(joint_names=list(FR3.proprio.joint_names))
        message.header.stamp = to_stamp(time.time())
        speeds = np.gradient(path, PERIOD_S, axis=0)
        speeds[-1] = 0
        for k, (joints, speed) in enumerate(zip(path, speeds)):
            point = JointTrajectoryPoint(positions=joints.tolist(), velocities=speed.tolist())
            point.time_from_start.sec, nano = divmod(round((k + 2) * PERIOD_S * 1e9), 10**9)
            point.time_from_start.nanosec = nano
            message.points.append(point)
        self._way.publish(message)
        self._joints = path[-1]
        near = lambda: abs(self._states[-1].position - self._joints).max() < 0.01  # noqa: E731
        self._probe.spin_until(near, "the end of the way")

    def grip(self, width: float) -> None:
        """Move the fingers, and wait until they have come to rest."""
        before = self._probe.reports["franka_driver"]
        self._width.publish(JointState(name=["gripper_width"], position=[width]))

        def rests():
            values = self._probe.values("franka_driver")
            holds = values["gripper_holds"] == "True"
            there = abs(float(values["gripper_width_m"]) - width) < 0.003
            fresh = self._probe.reports["franka_driver"] is not before
            return fresh and values["gripper"] == "idle" and (holds or there)

        self._probe.spin_until(rests, f"fingers at {width}")


@pytest.fixture(scope="module")
def picker(driver, probe):
    picker = Picker(probe)
    u = np.linspace(0, 1, 60)[:, None]
    picker.along(picker._joints + (3 - 2 * u) * u * u * (HOME_JOINTS - picker._joints))
    return picker


def red(message: Image) -> np.ndarray:
    """(N, 2) rows and columns of the cube's pixels."""
    r, g, b = to_array(message).astype(int).transpose(2, 0, 1)
    return np.argwhere((r > 60) & (r > 2 * g) & (r > 2 * b))


def looks(scene: Path) -> np.ndarray:
    """(2, 3) metres: where agentview is, and what it looks at."""
    tree = ET.parse(scene)
    found = [tree.find(f".//{what}") for what in ("*[@name='agentview']", "body[@name='middle']")]
    return np.array([element.attrib["pos"].split() for element in found], float)


def place(message: Image, info: CameraInfo, eye: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """(3,) metres where agentview sees the cube, at its middle."""
    (row, column), k = red(message).mean(axis=0) + 0.5, np.reshape(info.k, (3, 3))
    back = (eye - middle) / np.linalg.norm(eye - middle)
    right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
    x, y = (column - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1]
    ray = x * right - y * np.cross(back, right) - back
    seen = eye + ray * (GRASP_Z - eye[2]) / ray[2]
    return np.array([*seen[:2], GRASP_Z])


def test_a_cube_is_picked_by_what_the_camera_sees(picker, world, probe):
    view = FR3.views["agentview"]
    images = {n: probe.listen(Image, v.topic, profile=qos.SENSOR) for n, v in FR3.views.items()}
    infos = probe.listen(CameraInfo, view.info_topic, profile=qos.SENSOR)
    probe.spin_until(lambda: infos and all(images.values()), "pictures of both cameras")
    rng, lifts, off_mm, up = np.random.default_rng(0), [], [], np.array([0, 0, ABOVE])

    def look() -> Image:
        count = len(images["agentview"])
        probe.spin_until(lambda: len(images["agentview"]) > count + 1, "a picture from now on")
        return images["agentview"][-1]

    for _ in range(PICKS):
        picker.grip(0.08)
        cube = place(look(), infos[-1], *looks(world.folder / "scene.xml"))
        off_mm.append(1e3 * np.linalg.norm(cube[:2] - world.cube()[:2]))
        picker.to(cube + up)
        picker.to(cube)
        picker.grip(0.0)
        picker.to(cube + up)
        lifts.append(world.cube()[2] > LIFTED)
        in_hand = red(images["eye_in_hand"][-1])
        assert len(in_hand) > 10 or not lifts[-1], "the camera at the hand does not see the cube"
        goal = np.array([*rng.uniform([0.48, -0.15], [0.62, 0.15]), GRASP_Z])
        picker.to(goal + up)
        picker.to(goal)
        picker.grip(0.08)
        picker.to(goal + OUT_OF_SIGHT)
    values = probe.values("franka_driver")
    print(f"{sum(lifts)} of {PICKS} lifted, seen {max(off_mm):.1f} mm off at most")
    assert all(lifts)
    assert values["reflexes"] == "0"
