"""Planner and robot on a host each: success, ages and holds by the delay between them.

    python tools/two_hosts.py --delays 0 2 10 30 80 --episodes 10 --json runs/two_hosts.json

Starts `vilp up on:=planner` on one network namespace and `vilp demo on:=robot` on another, joined
by a link with that delay one way, a jitter of a tenth of it and a loss of 1 %. Strips, which only
people look at and which are hundreds of packets, come every five seconds. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from slow_link import HOSTS, on_host, two_hosts

from vilp_ros.share import share_dir

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
VILP = str(Path(sys.executable).parent / "vilp")


def run(delay_ms: float, args: argparse.Namespace) -> dict | None:
    """The demo's summary over a link of this delay; None where it left none."""
    robot, planner = HOSTS
    env = os.environ | {
        "ROS_DOMAIN_ID": "78",
        # Namespaces share the memory of one machine, and hosts do not.
        "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST" if args.unicast else "SUBNET",
    }
    peers = {robot: "10.78.0.2", planner: "10.78.0.1"} if args.unicast else dict.fromkeys(HOSTS, "")
    delay_s = 1e-3 * delay_ms
    with tempfile.TemporaryDirectory() as runs, two_hosts(delay_s, 0.1 * delay_s, args.loss):
        nodes = yaml.safe_load((share_dir() / "config/nodes/franka_lift.yaml").read_text())
        nodes["/**/planner"]["ros__parameters"]["preview_rate_hz"] = 0.2
        Path(runs, "nodes.yaml").write_text(yaml.safe_dump(nodes))
        words = (VILP, "up", "on:=planner", f"model:={args.model}", f"jpeg:={args.jpeg}")
        words += (f"params_file:={runs}/nodes.yaml",)
        clock = {"ROS_STATIC_PEERS": peers[planner]}
        if args.apart:
            clock |= {"LD_PRELOAD": FAKETIME, "FAKETIME": f"{1e-3 * args.apart:+}"}
            clock |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        log = Path(runs, "planner.log")
        thinking = subprocess.Popen(
            on_host(planner, *words),
            env=env | clock,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        try:
            words = (VILP, "demo", "--model", args.model, "--episodes", str(args.episodes))
            found = Path(runs, "summary.json")
            subprocess.run(
                on_host(robot, *words, "--runs", runs, "--json", str(found), "on:=robot"),
                env=env | {"ROS_STATIC_PEERS": peers[robot]},
                check=False,
            )
        finally:
            thinking.terminate()
            thinking.wait()
            apart = [line for line in log.read_text().splitlines() if "host's clock" in line]
            sys.stdout.write("".join(f"{line}\n" for line in apart[:1]))
        return json.loads(found.read_text()) if found.is_file() else None


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 2, 10, 30, 80], metavar="MS")
    parser.add_argument("--loss", type=float, default=0.01, help="share of frames lost")
    parser.add_argument("--unicast", action="store_true", help="find each other by address")
    parser.add_argument(
        "--apart", type=float, default=0.0, metavar="MS", help="planner's clock ahead (libfaketime)"
    )
    parser.add_argument("--jpeg", choices=("true", "false"), default="true", help="views as JPEG")
    parser.add_argument("--model", default="ldp_lift")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.apart and not Path(FAKETIME).is_file():
        raise SystemExit(f"--apart needs {FAKETIME}: Debian has it in the package libfaketime")
    found = {f"{delay:g}": run(delay, args) for delay in args.delays}
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    table = Table("delay one way", "lifted", "plans/s", "plan age", "command age", "holds")
    for delay, report in found.items():
        if report is None:
            table.add_row(f"{delay} ms", "no summary: see above why")
            continue
        ages = (report[name] for name in ("plan_age_ms", "command_age_ms"))
        table.add_row(
            f"{delay} ms",
            f"{report['successes']}/{report['episodes']}",
            f"{report['plan_rate_hz']:.1f}",
            *(
                "none" if age["p50"] is None else f"{age['p50']:.0f} / {age['p99']:.0f} ms"
                for age in ages
            ),
            str(report["holds"]),
        )
    Console().print(table)
    sys.exit(None in found.values())


if __name__ == "__main__":
    main()
