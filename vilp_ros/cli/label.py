"""`vilp label`: demonstrations that were only watched, with actions found by a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from vilp_ros.figures import add_json, write_figures

HELP = "name the actions of demonstrations that were only watched"
DESCRIPTION = """\
Reads demonstrations, finds the action between each observation and the next by the inverse dynamics
of a bundle (`ldp`, `vilp` or `unipi`, learned from play or failures), and writes the demonstrations
with these actions: whatever imitates actions can learn from the file, as data.expert of a recipe.
Failures and play are refused. Actions that were recorded are replaced; how far the found ones are
from them is printed.

  vilp train --config config/training/watch_lift_wide.yaml --out models/watch_lift_wide
  vilp label --bundle models/watch_lift_wide --data datasets/lift_wide_expert.hdf5 \\
      --start 100 --count 100 --out datasets/lift_wide_labelled.hdf5
  vilp train --config config/training/bc_watched.yaml --out models/bc_watched

A run that was cut off goes on when the same command is given again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("--bundle", required=True, help="folder of the bundle that finds them")
    parser.add_argument("--data", required=True, metavar="FILE", help="HDF5 file of episodes")
    parser.add_argument("--out", type=Path, required=True, help="HDF5 file, made or continued")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="first episode (0)")
    parser.add_argument("--count", type=int, metavar="N", help="how many, instead of all")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    add_json(parser, "write what was found to this file")


def run(args: argparse.Namespace) -> int:
    """Labels; prints how much, and how well as far as that is known."""
    from dataclasses import asdict

    from vilp_ros.data.recording import bundle_hash
    from vilp_ros.data.table import Source
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation.label import label
    from vilp_ros.policy.bundle import load_policy

    if args.out.resolve() == Path(args.data).resolve():
        raise VilpError(f"--out {args.out} is what is read: name another file")
    policy = load_policy(args.bundle, device=args.device)
    source = Source(args.data, "action_free", args.start, args.count)
    teacher = f"{policy.spec.name} (content {bundle_hash(args.bundle)[:8]})"
    done = label(policy, source, args.out, teacher)
    print(f"{args.out}: {done.episodes} episodes, {done.steps} actions found by {policy.spec.name}")
    if done.error is not None:
        error = done.error
        print(
            f"{done.known} of them had been recorded: the found ones are off by "
            f"{error['position_mm']['mean']:.1f} mm (p99 {error['position_mm']['p99']:.1f}) and "
            f"{error['rotation_deg']['mean']:.1f} degrees, the gripper's "
            f"{100 * error['gripper_accuracy']:.1f} % right"
        )
    write_figures(args.json, {"bundle": args.bundle, "data": args.data, **asdict(done)})
    return 0
