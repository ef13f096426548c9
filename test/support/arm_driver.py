"""franka_driver in a process of its own, on a simulated arm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ros_rig import Probe

from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor


@contextmanager
def franka_driver(host: str, model: Path, probe: Probe) -> Iterator[Supervisor]:
    """Runs it until the block ends; prints the last that it said, for whoever reads a failure.

    Args:
        host: where the arm listens.
        model: any folder; the driver reads no bundle.
        probe: hears when it is ready.
    """
    words = ["sim:=false", "driver:=true", "realtime:=false", "contract:=fr3_direct"]
    given = parse([*words, f"robot_ip:={host}", f"model:={model}"])
    table = [p for p in processes(given) if p.name == "franka_driver"]
    lines: list[str] = []
    with Supervisor(table, write=lines.append) as supervisor:
        probe.spin_until(lambda: probe.says("franka_driver", "ready"), f"the driver: {lines}")
        yield supervisor
    print(*lines[-20:], sep="")
