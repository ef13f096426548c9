"""Write one long bag cheaply, convert it, and measure how much memory that takes.

    .venv/bin/python tools/big_bag.py --gb 10 --out runs/big_bag

Two views of 640x480 at 20 Hz, from a few pictures whose stamps alone are new: nothing is rendered.
`vilp convert` then runs in a process of its own, which is killed half-way and run again if --kill
is given. Needs three times the disk. Exit code 1 if it does not convert.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.bag import typestore
from vilp_ros.data.recording import Offer, Recording
from vilp_ros.figures import write_figures
from vilp_ros.ros.files import find_contract

HEIGHT, WIDTH, PICTURES = 480, 640, 16
START_S, PERIOD_S = 1_700_000_000, 0.05


def serialized(kind: str, **fields: Any) -> bytearray:
    """A message with a stamp of zero; `stamped` sets it."""
    types = typestore().types
    zero = types["builtin_interfaces/msg/Time"](sec=0, nanosec=0)
    header = types["std_msgs/msg/Header"](stamp=zero, frame_id="panda_link0")
    return bytearray(typestore().serialize_cdr(types[kind](header=header, **fields), kind))


def stamped(message: bytearray, stamp_ns: int) -> bytes:
    """The same message at another time: the stamp follows the 4 bytes of the encapsulation."""
    struct.pack_into("<iI", message, 4, *divmod(stamp_ns, 1_000_000_000))
    return bytes(message)


def image(number: int) -> bytearray:
    """A smooth picture with a little noise, which compresses like a camera's."""
    rng = np.random.default_rng(number)
    slope = np.linspace(0, 200, WIDTH)[None, :, None] + rng.integers(0, 5, (HEIGHT, WIDTH, 3))
    pixels = np.roll(slope.astype(np.uint8), 37 * number, axis=1)
    size = {"height": HEIGHT, "width": WIDTH, "step": 3 * WIDTH}
    body = {"encoding": "rgb8", "is_bigendian": 0, "data": pixels.reshape(-1)}
    return serialized("sensor_msgs/msg/Image", **size, **body)


def joint_state(names: list[str], position: np.ndarray) -> bytearray:
    """Positions of joints, or of the gripper."""
    empty = np.zeros(0)
    values = {"position": position, "velocity": empty, "effort": empty}
    return serialized("sensor_msgs/msg/JointState", name=names, **values)


def pose() -> bytearray:
    """A hand at rest."""
    types = typestore().types
    return serialized(
        "geometry_msgs/msg/PoseStamped",
        pose=types["geometry_msgs/msg/Pose"](
            position=types["geometry_msgs/msg/Point"](x=0.4, y=0.0, z=0.3),
            orientation=types["geometry_msgs/msg/Quaternion"](x=1.0, y=0.0, z=0.0, w=0.0),
        ),
    )


def write(path: Path, gigabytes: float) -> int:
    """Writes the bag; how many control periods it holds."""
    text = find_contract("sim_panda").read_text()
    text = text.replace("height: 96", f"height: {HEIGHT}").replace("width: 160", f"width: {WIDTH}")
    contract = Contract.parse(text, "big bag")
    proprio, action = contract.proprio, contract.action
    pictures = [image(number) for number in range(PICTURES)]
    width = joint_state(["gripper_width"], np.array([0.04]))
    still = {
        proprio.ee_pose_topic: pose(),
        proprio.gripper_topic: width,
        proprio.joint_state_topic: joint_state(list(proprio.joint_names), np.zeros(7)),
        action.gripper_topic: width,
        action.pose_topic: pose(),
    }
    poses, image_kind = {proprio.ee_pose_topic, action.pose_topic}, "sensor_msgs/msg/Image"
    views = [view.topic for view in contract.views.values()]
    labels = {"contract": text, "robot": contract.robot, "task": "lift", "role": "expert"}
    names = {f"/{name}": name for name in (*still, *views)}
    recording = Recording(path, contract, labels, names)
    for topic, name in names.items():
        kind = "geometry_msgs/msg/PoseStamped" if name in poses else "sensor_msgs/msg/JointState"
        recording.announce(topic, Offer(image_kind if name in views else kind))
    periods = round(gigabytes * 1e9 / (len(views) * 3 * HEIGHT * WIDTH))
    for period in range(periods):
        stamp_ns = round((START_S + period * PERIOD_S) * 1e9)
        for name, message in still.items():
            recording.take(f"/{name}", stamp_ns, stamped(message, stamp_ns))
        for offset, topic in enumerate(views):
            message = pictures[(period + offset) % PICTURES]
            recording.take(f"/{topic}", stamp_ns, stamped(message, stamp_ns))
    sys.stdout.write(f"{recording.stop('success').message}\n")
    sys.stdout.flush()
    return periods


def convert(bag: Path, out: Path, kill_s: float | None = None) -> dict[str, float]:
    """Runs `vilp convert`, or kills it on the way; seconds and the most memory it held."""
    began = time.monotonic()
    command = [sys.executable, "-m", "vilp_ros", "convert", str(bag), "--out", str(out), "--rest"]
    process = subprocess.Popen(command)
    try:
        code = process.wait(kill_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        code = process.wait()
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return {"exit": code, "seconds": round(time.monotonic() - began, 1), "peak_mb": peak_mb}


def main() -> int:
    """Writes, converts, prints and saves the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True, help="folder, made")
    parser.add_argument(
        "--kill", type=float, metavar="S", help="kill the first try after S seconds"
    )
    args = parser.parse_args()
    bag, dataset = args.out / "bag", args.out / "dataset.hdf5"
    began = time.monotonic()
    periods = write(bag, args.gb)
    report: dict[str, Any] = {
        "gb": sum(file.stat().st_size for file in bag.iterdir()) / 1e9,
        "minutes_recorded": round(periods * PERIOD_S / 60, 2),
        "write_s": round(time.monotonic() - began, 1),
        "write_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    if args.kill:
        report["killed"] = convert(bag, dataset, args.kill)
    report["convert"] = convert(bag, dataset)
    report["dataset_gb"] = dataset.stat().st_size / 1e9
    write_figures(args.out / "big_bag.json", report)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(bool(report["convert"]["exit"]))


if __name__ == "__main__":
    sys.exit(main())
