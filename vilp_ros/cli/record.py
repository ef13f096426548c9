"""`vilp record`: demonstrations to bags, from a robot or from the simulator's expert."""

from __future__ import annotations

import argparse
from pathlib import Path

from vilp_ros.figures import add_json

HELP = "record demonstrations to bags, and know at once whether they are good"
DESCRIPTION = """\
Starts the recorder and commands it from this terminal: one rosbag2 (MCAP) folder an episode, with
contract, commit, bundle and outcome in its metadata. While it records, rates, gaps, frozen images
and skew are held against the contract; an episode that broke a bound is marked so.

  vilp record --out demonstrations --task stack --contract my_arm
  vilp record --out demonstrations --task lift --expert --episodes 100
  vilp record --out demonstrations --ring 30

Keys: space start, s success, f failure, u unlabelled, d discard, z undo, r save the ring, q quit.
Pressed after an episode, s, f and u change its outcome. The same as services: recorder/start, stop,
success, failure, discard, undo, save. Discarded episodes lie in OUT/.trash.

With --expert the simulator is started too, and its scripted expert demonstrates over the command
topics until OUT holds enough episodes; the same command goes on where it was cut off."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    from vilp_ros.data.plausible import ROLES

    parser.add_argument("--out", type=Path, required=True, help="folder of the bags")
    parser.add_argument("--task", default="", help="noted in each bag; with --expert what is done")
    parser.add_argument("--role", choices=ROLES, default="expert", help="noted in each bag")
    parser.add_argument("--contract", default="sim_panda", help="robot: a file or a name")
    parser.add_argument("--model", default="", help="bundle in use, whose hash each bag notes")
    parser.add_argument("--note", default="", help="anything else to be noted in each bag")
    parser.add_argument(
        "--ring", type=float, metavar="S", default=0.0, help="keep the last seconds while idle"
    )
    parser.add_argument("--expert", action="store_true", help="simulator and scripted expert")
    parser.add_argument("--episodes", type=int, default=50, help="with --expert: how many")
    parser.add_argument("--seed-start", type=int, default=0, help="with --expert: first scene")
    parser.add_argument(
        "--noise", type=float, default=0.25, help="with --expert: share of disturbed steps"
    )
    add_json(parser, "with --expert: write what was recorded here")
    parser.add_argument(
        "words", nargs="*", metavar="NAME:=VALUE", help="further arguments of `vilp up`"
    )


def run(args: argparse.Namespace) -> int:
    """Records."""
    from vilp_ros.errors import VilpError
    from vilp_ros.nodes.record.run import run_record
    from vilp_ros.nodes.record.settings import Settings
    from vilp_ros.sim import TASKS

    if args.expert and args.task not in TASKS:
        found = f"found {args.task!r}, " if args.task else ""
        raise VilpError(f"--expert needs --task: {found}choose from {', '.join(TASKS)}")
    if args.expert and args.role not in ("expert", "suboptimal"):
        raise VilpError(f"--expert shows expert or suboptimal, not {args.role}")
    return run_record(
        Settings(
            out=args.out,
            task=args.task,
            role=args.role,
            model=args.model,
            contract=args.contract,
            note=args.note,
            expert=args.expert,
            episodes=args.episodes,
            seed_start=args.seed_start,
            noise=args.noise,
            ring_s=args.ring,
            json=args.json,
            words=tuple(args.words),
        )
    )
