"""`vilp latency`: how late cameras, arm and gripper are, measured by a small motion."""

from __future__ import annotations

import argparse
from pathlib import Path

from vilp_ros.figures import add_json, write_figures

HELP = "measure how late arm, gripper and cameras are by a small motion; write the contract"
DESCRIPTION = """\
Moves the hand by 2 cm to each side (or joint 1 by 0.04 rad, where joints are sent) for some seconds
and finds the shift at which the arm follows its commands best, and the cameras the arm; then closes
the open gripper by 2 cm, three times. Needs the arm's driver (or `vilp up`, its controller disabled
or ended) and the cameras, and nothing between the fingers; nothing else may command the arm. With
--write the latencies go into the contract, its comments stay; the gripper has no key there, since
its commands are for the same instant as the arm's: it is as much behind the arm as its figure is
greater, until it stands.

  vilp latency
  vilp latency --contract my_fr3.yaml --write

  vilp latency --contract my_fr3.yaml --bag runs/teleoperated --write

With --bag nothing moves: the figures come from a recording in which arm and gripper did.
A lag counts if the signals agree (correlation 0.6 or more): a camera must see the hand move."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument(
        "--contract", default="sim_panda", help="a file or a name in config/robots/"
    )
    parser.add_argument("--namespace", default="", help="of the running nodes")
    parser.add_argument("--seconds", type=float, metavar="S", default=10.0, help="of motion")
    parser.add_argument("--bag", type=Path, metavar="PATH", help="use this recording, move nothing")
    parser.add_argument("--write", action="store_true", help="write into the contract")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table, writes the contract if asked."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from vilp_ros.contract import Contract
    from vilp_ros.control.latency import GOOD
    from vilp_ros.evaluation.latency import latencies
    from vilp_ros.nodes.latency_probe import measure, usable, write
    from vilp_ros.ros.files import find_contract

    path = find_contract(args.contract)
    console = Console()
    contract = Contract.load(path)
    if args.bag is not None:
        found = latencies(contract, args.bag)
    else:
        with console.status("arm and gripper move"):
            found = measure(contract, args.namespace, args.seconds)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("key", "latency", "correlation", ""):
        table.add_column(column)
    text = path.read_text(encoding="utf-8")
    for name, lag in found.items():
        good = usable(lag)
        if good and name != "gripper":
            text = write(text, f"{name}.latency_s", lag.seconds)
        said = "not written: it has no key" if name == "gripper" else ""
        if not good:
            unclear = lag.correlation < GOOD
            said = f"not usable: {'does it see the motion?' if unclear else 'not within 0 to 1 s'}"
        table.add_row(name, f"{1e3 * lag.seconds:.0f} ms", f"{lag.correlation:.2f}", said)
    console.print(table)
    if args.write:
        path.write_text(text, encoding="utf-8")
        console.print(f"written to {path}")
    report = {n: {"latency_s": x.seconds, "correlation": x.correlation} for n, x in found.items()}
    write_figures(args.json, report)
    return 0 if all(usable(lag) for lag in found.values()) else 1
