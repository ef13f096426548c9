"""What large pictures cost live: two views of 640x480 at 30 Hz, raw and as JPEG, and a planner.

    .venv/bin/python tools/camera_load.py --model models/ldp_lift --seconds 30

Publishes from a process for each camera and one for the arm (1 kHz), runs the nodes observation,
planner and controller, and prints their rates, ages and shares of a core. Needs psutil
(requirements-dev.lock).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rich.console import Console
from rich.table import Table
from soak_load import CAMERA_HZ, HEIGHT, WIDTH, Aside, drivers, publish

from vilp_ros.contract import Contract
from vilp_ros.figures import write_figures
from vilp_ros.ros.domain import keep_apart
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor
from vilp_ros.share import share_dir

NODES = ("observation", "planner", "controller")
WARM_S, START_S = 5.0, 90.0


def contract_of(folder: Path, kind: str) -> Path:
    """The simulated arm with larger and faster cameras.

    Args:
        folder: gets the file.
        kind: "raw" or "jpeg".
    """
    text = find_contract("sim_panda").read_text()
    size = f"width: 160\n    camera_size: [{HEIGHT}, {WIDTH}]"
    if kind == "jpeg":
        size += "\n    type: sensor_msgs/CompressedImage"
    text = text.replace("width: 160", size).replace("rate_hz: 20.0", f"rate_hz: {CAMERA_HZ}")
    path = folder / f"{kind}.yaml"
    path.write_text(text.replace("reliability: best_effort", "reliability: reliable"))
    return path


def measure(kind: str, model: str, seconds: float) -> dict[str, float]:
    """Figures of one kind of picture."""
    with tempfile.TemporaryDirectory() as folder:
        path = contract_of(Path(folder), kind)
        load = [Aside(publish, topics) for topics in drivers(Contract.load(path))]
        words = ["sim:=false", "use_sim_time:=false", f"contract:={path}", f"model:={model}"]
        table = [p for p in processes(parse([*words, "execute:=true"])) if p.name in NODES]
        said: dict[str, dict[str, str]] = {}
        rclpy.init()
        node, executor = Node("camera_load"), SingleThreadedExecutor()
        executor.add_node(node)

        def on_diagnostics(message: DiagnosticArray) -> None:
            for status in message.status:
                values = {v.key: v.value for v in status.values}
                said[status.name.rsplit("/", 1)[-1]] = {**values, "says": status.message}

        def wait(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                executor.spin_once(0.1)

        node.create_subscription(DiagnosticArray, "diagnostics", on_diagnostics, 10)
        with Supervisor(table, write=sys.stderr.write) as supervisor:
            began = time.monotonic()
            while float(said.get("planner", {}).get("plan_rate_hz", 0)) == 0:
                executor.spin_once(0.1)
                if time.monotonic() > began + START_S:
                    told = "\n".join(f"{name}: {said.get(name, {}).get('says')}" for name in NODES)
                    raise SystemExit(f"no plan within {START_S:.0f} s of {kind} pictures\n{told}")
            wait(WARM_S)
            busy = {name: psutil.Process(supervisor._children[name].pid) for name in NODES}
            before = {name: sum(process.cpu_times()[:2]) for name, process in busy.items()}
            wait(seconds)
            found = {
                f"{name}_cpu": (sum(process.cpu_times()[:2]) - before[name]) / seconds
                for name, process in busy.items()
            }
        rclpy.shutdown()
        for driver in load:
            driver.stop()
    planner = said["planner"]
    found |= {key: float(planner[key]) for key in ("plan_rate_hz", "plan_age_ms_p50")}
    found["plan_age_ms_p99"] = float(planner["plan_age_ms_p99"])
    return found | {"load": os.getloadavg()[0]}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ldp_lift")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    keep_apart()
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(share_dir() / "config/fastdds.xml")
    fresh = multiprocessing.get_context("spawn")  # what ROS started does not outlive a fork
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool:
        found = {
            kind: pool.submit(measure, kind, args.model, args.seconds).result()
            for kind in ("raw", "jpeg")
        }
    write_figures(args.json, found)
    table = Table("pictures", "plans/s", "plan age, ms", "observation", "planner", "controller")
    for kind, row in found.items():
        table.add_row(
            kind,
            f"{row['plan_rate_hz']:.1f}",
            f"{row['plan_age_ms_p50']:.0f} / {row['plan_age_ms_p99']:.0f}",
            *(f"{row[f'{name}_cpu']:.0%} of a core" for name in NODES),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
