"""Small bags of a made-up robot, written as the recorder writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.bag import typestore
from vilp_ros.data.recording import Offer, Recording
from vilp_ros.kinematics import kinematics_of
from vilp_ros.share import share_dir

START_S = 1_700_000_000.0
TEXT = (share_dir() / "config/robots/sim_panda.yaml").read_text()
SMALL = TEXT.replace("height: 96", "height: 16").replace("width: 160", "width: 24")


def contract(text: str = SMALL) -> Contract:
    return Contract.parse(text, "test")


def message(kind: str, stamp_s: float, **fields):
    """A message as rosbags knows it, with a header."""
    types = typestore().types
    header = types["std_msgs/msg/Header"]
    time = types["builtin_interfaces/msg/Time"]
    sec, micro = divmod(round(stamp_s * 1e6), 1_000_000)
    frame = fields.pop("frame_id", "")
    return types[kind](
        header=header(stamp=time(sec=sec, nanosec=micro * 1000), frame_id=frame), **fields
    )


def serialized(text_message) -> bytes:
    return bytes(typestore().serialize_cdr(text_message, text_message.__msgtype__))


def image(stamp_s: float, pixels: np.ndarray, encoding: str = "rgb8"):
    height, width = pixels.shape[:2]
    return message(
        "sensor_msgs/msg/Image",
        stamp_s,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=np.ascontiguousarray(pixels).reshape(-1),
    )


def joints(stamp_s: float, names, position):
    empty = np.zeros(0)
    return message(
        "sensor_msgs/msg/JointState",
        stamp_s,
        name=list(names),
        position=np.asarray(position, float),
        velocity=empty,
        effort=empty,
    )


def pose(stamp_s: float, xyz, frame_id: str = "panda_link0", quat=(1.0, 0.0, 0.0, 0.0)):
    types = typestore().types
    x, y, z = (float(v) for v in xyz)
    turn = dict(zip("xyzw", map(float, quat)))
    return message(
        "geometry_msgs/msg/PoseStamped",
        stamp_s,
        frame_id=frame_id,
        pose=types["geometry_msgs/msg/Pose"](
            position=types["geometry_msgs/msg/Point"](x=x, y=y, z=z),
            orientation=types["geometry_msgs/msg/Quaternion"](**turn),
        ),
    )


def header(stamp_s: float, frame_id: str):
    types = typestore().types
    sec, micro = divmod(round(stamp_s * 1e6), 1_000_000)
    stamp = types["builtin_interfaces/msg/Time"](sec=sec, nanosec=micro * 1000)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def traffic(robot: Contract, periods: int = 20, who: str = "expert", commands: bool = True):
    """(topic, message) of an arm that moves along x, period by period, pictures last.

    Command k, with the stamp of frame k, aims 1 cm ahead of the hand; where joints tell its pose,
    0.01 rad ahead of them.
    """
    arm = None if robot.proprio.ee_pose_topic is not None else kinematics_of(robot)
    rng = np.random.default_rng(0)
    proprio = robot.proprio
    for k in range(periods + 1):
        stamp_s = START_S + k * robot.control_period_s
        xyz = np.array([0.4 + 0.005 * k, 0.1, 0.3])
        if proprio.ee_pose_topic is not None:
            yield proprio.ee_pose_topic, pose(stamp_s, xyz)
        number = robot.measured_width.number(min(0.04 + 0.001 * k, 0.08))
        fingers = [proprio.gripper_joint or "gripper_width"]
        yield proprio.gripper_topic, joints(stamp_s, fingers, [number])
        angles = 0.1 * np.arange(len(proprio.joint_names)) + 0.01 * k
        yield proprio.joint_state_topic, joints(stamp_s, proprio.joint_names, angles)
        for view in robot.views.values():
            pixels = rng.integers(0, 255, (view.height, view.width, 3), dtype=np.uint8)
            yield view.topic, image(stamp_s, pixels)
        if commands:
            yield "commander", header(stamp_s, who)
            yield robot.action.width_topic, joints(stamp_s, ["gripper_width"], [0.05])
            goal = [*xyz + [0.01, 0, 0], 1, 0, 0, 0] if arm is None else arm.forward(angles + 0.01)
            target = pose(stamp_s, goal[:3], robot.base_frame, goal[3:])
            yield robot.action.pose_topic, target


def write_bag(
    path: Path,
    messages=None,
    labels=None,
    text: str = SMALL,
    outcome="success",
    compress=False,
    more=(),
    ahead_s=None,
) -> Path:
    """A bag of this traffic; its log times are the stamps plus a millisecond.

    Less `ahead_s` by topic where a clock is ahead.
    """
    robot = contract(text)
    given = {
        "contract": text,
        "robot": robot.robot,
        "task": "lift",
        "role": "expert",
        "seed": "3",
        "note": json.dumps({"mode": "nearest"}),
        "namespace": "",
    }
    proprio, action = robot.proprio, robot.action
    topics = [proprio.ee_pose_topic, proprio.gripper_topic, proprio.joint_state_topic, "commander"]
    topics += [action.pose_topic, action.width_topic, *(v.topic for v in robot.views.values())]
    names = {f"/{name}": name for name in (*filter(None, topics), *more)}
    recording = Recording(path, robot, {**given, **(labels or {})}, names, compress)
    received_ns = 0
    for name, body in messages if messages is not None else traffic(robot):
        topic = f"/{name}"
        recording.announce(topic, Offer(body.__msgtype__))
        stamp = getattr(body, "header", body).stamp
        late_ns = 10**6 - round(1e9 * (ahead_s or {}).get(name, 0.0))
        received_ns = max(received_ns + 1, stamp.sec * 10**9 + stamp.nanosec + late_ns)
        recording.take(topic, received_ns, serialized(body))
    recording.stop(outcome)
    return path


def cut_off(path: Path) -> Path:
    """Makes of a bag what a kill leaves of it."""
    (path / "metadata.yaml").unlink()
    file = path / f"{path.name}.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    return path
