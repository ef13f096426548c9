"""`vilp doctor`: what is wrong with a set-up, before weights are loaded or the arm moves."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from vilp_ros.figures import add_json, write_figures

HELP = "check ROS, host, robot, cameras, clocks, contract and bundle; a cure for each red row"
DESCRIPTION = """\
Looks at the host and listens to the running graph, for a second where all is heard, else for some
more; loads no weights, moves nothing. The exit code is 1 if a row is red.

  vilp doctor
  vilp doctor --contract fr3_direct --driver --robot-ip 172.16.0.2
  vilp doctor --contract my_arm.yaml --model ldp_lift --no-graph"""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument(
        "--contract", default="sim_panda", help="a file or a name in config/robots/"
    )
    parser.add_argument("--model", default="ldp_lift", help="bundle to check; '' for none")
    parser.add_argument(
        "--driver", action="store_true", help="franka_driver is to run on this host"
    )
    parser.add_argument("--robot-ip", default="", metavar="IP", help="see whether the arm answers")
    parser.add_argument("--namespace", default="", help="of the running nodes")
    parser.add_argument("--no-graph", action="store_true", help="do not listen to running nodes")
    add_json(parser, "write the findings to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from vilp_ros.nodes.checkup.examine import examine
    from vilp_ros.nodes.checkup.finding import RED

    findings = examine(
        args.contract,
        args.model,
        driver=args.driver,
        robot_ip=args.robot_ip,
        graph=not args.no_graph,
        namespace=args.namespace,
    )
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("", "check", "found", "cure"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        colour = COLOURS[finding.state]
        state = f"[{colour}]{finding.state}[/]"
        table.add_row(state, finding.check, finding.found, finding.cure)
    Console().print(table)
    write_figures(args.json, [asdict(finding) for finding in findings])
    return int(any(finding.state == RED for finding in findings))
