"""`vilp redraw`: recorded episodes of the simulator in other looks."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from vilp_ros.figures import add_json, write_figures

HELP = "draw recorded episodes of the simulator again in other colours, lights and cameras"
DESCRIPTION = """\
Draws every frame of the episodes once more in a look of its own (colours, textures, light, place of
the cameras, things lying about) and writes both pictures: each view as it looks now, and
<view>_usual as it was recorded. A robust encoder learns from such pairs (`robust.pairs` of a
recipe). Nothing is simulated again, which is an eighth of the cost of `vilp collect`.

  vilp redraw --data datasets/lift_expert.hdf5 datasets/lift_suboptimal.hdf5 \\
      --stride 4 --out datasets/lift_pairs.hdf5

With --every episode one look lasts for an episode, as `vilp collect --vary` records it. A run that
was cut off goes on when the same command is given again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="files of `vilp collect`"
    )
    parser.add_argument("--out", type=Path, required=True, help="HDF5 file, made or continued")
    parser.add_argument(
        "--strength", type=float, default=1.0, help="of the looks: 1 is the usual range (1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the looks (0)")
    parser.add_argument(
        "--every", choices=("frame", "episode"), default="frame", help="what has its own look"
    )
    parser.add_argument(
        "--stride", type=int, default=1, metavar="N", help="draw each N-th frame (1)"
    )
    add_json(parser, "write what was drawn to this file")


def run(args: argparse.Namespace) -> int:
    """Draws; prints what was drawn."""
    from vilp_ros.sim.redraw import redraw

    start = time.monotonic()
    frames = redraw(args.data, args.out, args.strength, args.seed, args.every, args.stride)
    seconds = time.monotonic() - start
    print(f"{args.out}: {frames} frames drawn in {seconds:.0f} s")
    write_figures(args.json, {"frames": frames, "seconds": seconds})
    return 0
