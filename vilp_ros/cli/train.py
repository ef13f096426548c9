"""`vilp train`: a recipe and episodes to a policy bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a policy bundle from recorded episodes"
DESCRIPTION = """\
Trains every part of a recipe (one autoencoder a view, planner, inverse dynamics) and writes the
bundle. A killed run goes on where it stopped when the same command is given again. Progress, held-
out figures and pictures are tensorboard files in the work folder.

  vilp train --config config/training/ldp_lift.yaml --out models/my_lift
  vilp train --config config/training/ldp_lift.yaml --out models/x planner.optim.steps=500 seed=1

Anything in the recipe can be overridden as key=value. Roles of the episodes follow LDP: the planner
learns from data.expert and data.action_free, the inverse dynamics from data.expert and
data.suboptimal half and half, the autoencoders from all. data.expert may be empty where a planner
watches data.action_free and play stands under data.suboptimal.

On several GPUs or processes start the module with torchrun and one job:
  torchrun --nproc_per_node 2 -m vilp_ros train --config ... --out ... --jobs 1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("--config", type=Path, required=True, help="recipe, a YAML file")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished bundle")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder of checkpoints and tensorboard files (default: runs/train/<name of OUT>)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        help="parts trained at a time, which share the cores (default: 2)",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the recipe")


def run(args: argparse.Namespace) -> int:
    """Trains the recipe."""
    import torch

    from vilp_ros.training.config import load_recipe
    from vilp_ros.training.processes import described, here, threads
    from vilp_ros.training.run import train

    torch.set_num_threads(threads())
    recipe = load_recipe(args.config, [f"name={args.out.name}", *args.overrides])
    main = here().is_main_process
    if main:
        print(f"training {recipe.name} on {described()}")
    work = args.work or Path("runs/train") / args.out.name
    train(recipe, work, args.out, args.jobs, tell=print)
    if main:
        print(f"bundle written to {args.out}")
    here().destroy_process_group()
    return 0
