"""`vilp collect`: record demonstrations in the simulator."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

from vilp_ros.cli.on_cluster import add_cluster, on_cluster
from vilp_ros.figures import add_json, write_figures

HELP = "record demonstrations of a scripted expert"
DESCRIPTION = """\
Records demonstrations of a task's scripted expert to a file of episodes. A collection that was cut
off goes on where it stopped when the same command is given again. Every pose of the objects is
recorded once per grasp mode of the expert.

  vilp collect --task lift_wide --episodes 400 --out datasets/lift_wide_expert.hdf5
  vilp collect --task lift_wide --episodes 80 --role suboptimal --seed-start 100000 \\
      --out datasets/lift_wide_suboptimal.hdf5
  vilp collect --task lift --episodes 2000 --out datasets/lift.hdf5 --cluster 10.0.0.5:6379

Roles, as in the LDP paper: `expert` (with actions), `action_free` (the same without actions),
`suboptimal` (failures with actions, for inverse dynamics). `play` is beside them: the arm moves
about and grasps what lies there, with actions and no task; a recipe names it under
data.suboptimal, or learns all actions from it where no demonstration has any."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    from vilp_ros.sim import TASKS
    from vilp_ros.sim.collect import COLLECTED
    from vilp_ros.sim.views import COLOUR, VIEWS

    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--episodes", type=int, required=True, help="how many the file shall hold")
    parser.add_argument("--out", type=Path, required=True, help="HDF5 file, made or continued")
    parser.add_argument("--role", choices=COLLECTED, default="expert")
    parser.add_argument(
        "--seed-start", type=int, default=0, help="seed of the first pose of the objects (0)"
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=0.25,
        help="share of steps that noise disturbs, none of play (0.25)",
    )
    parser.add_argument(
        "--views",
        nargs="+",
        choices=VIEWS,
        default=COLOUR,
        metavar="VIEW",
        help=f"what is seen: any of {', '.join(VIEWS)} ({' '.join(COLOUR)})",
    )
    parser.add_argument(
        "--vary",
        type=float,
        metavar="STRENGTH",
        default=0.0,
        help="draw colours, light, cameras and things lying about for every episode; 1 is the "
        "usual range (0)",
    )
    parser.add_argument(
        "--usual", action="store_true", help="keep every view as it looks unvaried beside"
    )
    parser.add_argument("--workers", type=int, default=1, help="simulating processes (1)")
    add_cluster(parser, "an episode")
    add_json(parser, "write what was recorded to this file")


def run(args: argparse.Namespace) -> int:
    """Collects; prints what was recorded and discarded."""
    from vilp_ros.sim.collect import collect

    start = time.monotonic()
    with on_cluster(args, "episodes") as cluster:
        report = collect(
            args.task,
            args.out,
            args.episodes,
            args.seed_start,
            role=args.role,
            noise=args.noise,
            workers=args.workers,
            cluster=cluster,
            views=tuple(args.views),
            vary=args.vary,
            beside=args.usual,
        )
        seconds = time.monotonic() - start
        share = report.disturbed / max(report.steps, 1)
        print(
            f"{args.out}: {report.recorded} episodes of {args.task} ({args.role}) in "
            f"{seconds:.0f} s, {report.found} were there; {report.steps} steps, {share:.0%} "
            f"disturbed; {report.discarded} attempts discarded"
        )
    write_figures(args.json, {**asdict(report), "seconds": seconds})
    return 0
