"""`vilp demo`: the whole graph on this machine, some episodes, figures, videos."""

from __future__ import annotations

import argparse
from pathlib import Path

from vilp_ros.figures import add_json

HELP = "watch a bundle do its task over real ROS 2 nodes, and measure it"
DESCRIPTION = """\
Starts the nodes of `vilp up` as separate processes on a private ROS domain, runs episodes on seeds
that no training set holds, and measures from outside, on the topics. Prints a line an episode and a
table, and writes runs/<time>/ (linked as runs/latest): summary.json, one mp4 an episode (cameras
above what had been imagined for that moment, and the newest plan), strip.png (the same as a
picture), episode_*.npz (what was seen on the topics, for `vilp view`) and the log of every node.

  vilp demo
  vilp demo --episodes 10 --model ldp_lift_wide
  vilp demo --model models/mine --task can engine:=torch
  vilp demo --model ldp_lift_wide --vary 1

An episode is over at success, or after as many control periods as the task allows in `vilp eval`,
counted from the first command. Ages are now minus the stamp of the camera image: plan age when the
plan is published, command age when a command is. The exit code is 0 if plans and commands flowed in
every episode, whatever the success; 1 says which node failed.

Where the simulator cannot keep real time, the first episode begins again in a world that is slowed
until it can: its seconds are then simulated ones, and so are all figures of that run; summary.json
and the table say at which `speed`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    from vilp_ros.sim import TASKS

    parser.add_argument("--episodes", type=int, metavar="N", default=5, help="how many")
    parser.add_argument("--model", default="ldp_lift", help="bundle: a folder or a name in models/")
    parser.add_argument("--task", choices=TASKS, help="instead of the one that the bundle names")
    parser.add_argument(
        "--seed-start", type=int, metavar="SEED", default=700_000, help="seed of the first episode"
    )
    parser.add_argument(
        "--vary",
        metavar="STRENGTH",
        help="other colours, light and cameras in every episode, drawn as training draws them (1)",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds, instead of what the task allows"
    )
    parser.add_argument(
        "--speed",
        type=float,
        metavar="X",
        help="simulated seconds per second: 1 or less; not given: 1, or what the machine can do",
    )
    parser.add_argument(
        "--runs", type=Path, metavar="FOLDER", default=Path("runs"), help="where run folders go"
    )
    add_json(parser, "write summary.json here too")
    parser.add_argument(
        "words", nargs="*", metavar="NAME:=VALUE", help="further arguments of `vilp up`"
    )


def run(args: argparse.Namespace) -> int:
    """Starts the nodes, runs the episodes, writes the report."""
    from vilp_ros.errors import VilpError
    from vilp_ros.nodes.demo.run import Settings, run_demo
    from vilp_ros.sim.look import LookRule

    if args.episodes < 1:
        raise VilpError("--episodes is at least 1")
    words = tuple(args.words)
    if args.vary is not None:
        words += (f"variation:=train@{args.vary}",)
        LookRule.parse(f"train@{args.vary}")
    return run_demo(
        Settings(
            args.episodes,
            args.model,
            args.task,
            args.seed_start,
            args.timeout,
            args.speed,
            args.runs,
            args.json,
            words,
        )
    )
