"""`vilp up`: the nodes of `launch/franka_lift.launch.py` on a machine without launch."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from vilp_ros.ros.graph import ARGUMENTS, parse, processes, respawns

HELP = "start the nodes: simulator, observation, planner, controller"
DESCRIPTION = """\
Starts the node table that `ros2 launch vilp_ros franka_lift.launch.py` starts, with the same
arguments, on a machine that has rclpy but not launch. Ctrl-C ends all nodes; when one dies, its
name and exit code are told, the others are ended, and the exit code is its own.

arguments:
""" + "\n".join(
    f"  {a.name + ':=' + a.text:28} {a.description}"
    + (f" ({', '.join(filter(None, a.choices))})" if a.choices else "")
    for a in ARGUMENTS
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("words", nargs="*", metavar="NAME:=VALUE", help="see arguments above")


def run(args: argparse.Namespace) -> int:
    """Start the nodes and stay until Ctrl-C or until one dies."""
    from vilp_ros.nodes.checkup.host import fragments
    from vilp_ros.ros.supervisor import Supervisor

    given = parse(args.words)
    started = processes(given)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    if given.get("on"):
        network = fragments()
        if network.cure:
            write(f"network: {network.found}; {network.cure}\n")
    write("starting; Ctrl-C ends it, `vilp view` shows it\n")
    with Supervisor(started, respawn=respawns(given), write=write) as supervisor:
        return supervisor.wait(stop)
