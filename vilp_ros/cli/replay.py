"""`vilp replay`: run again what a bag recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "run one inference of a bag again exactly, or a bundle beside it, or its commands"
DESCRIPTION = """\
Three ways to replay a bag:
--at T      the inference nearest to T seconds: inputs made again from the raw messages, the same
            seed, the same plan before; says whether bundle, state and plan are the same, the plan
            to the bit if the engine is the same. Exit code 1 if it is not.
--shadow    a bundle over the whole bag, commanding nothing: how far are its actions from those of
            the demonstration? (On live topics: vilp up execute:=false.)
--execute   the commands to the simulator, from the recorded scene, through the contract's limits.

  vilp replay runs/bags/episode_0003 --at 2.5
  vilp replay demonstrations/episode_0000 --shadow --model ldp_lift --json shadow.json
  vilp replay demonstrations/episode_0000 --execute"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("bag", type=Path, help="one bag")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--at", type=float, metavar="T", help="seconds from the bag's beginning")
    way.add_argument("--shadow", action="store_true", help="a bundle beside the demonstration")
    way.add_argument("--execute", action="store_true", help="the commands in the simulator")
    parser.add_argument("--model", help="bundle: a folder or a name (default: the recorded one)")
    parser.add_argument("--engine", help="torch or openvino (default: the bundle's choice)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the bundle's)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Replays; prints what was compared."""
    from vilp_ros.data.bag import Bag
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation import replay

    if args.execute:
        done, far_m = replay.execute(args.bag)
        print(f"success {done}; the hand was up to {1e3 * far_m:.1f} mm off the recorded one")
        return int(not done)

    import torch

    from vilp_ros.nodes.files import find_model
    from vilp_ros.policy.bundle import load_policy

    with Bag(args.bag) as bag:
        name = args.model or bag.labels.get("bundle", "")
    if not name:
        raise VilpError(f"{args.bag} does not say which bundle ran: name one with --model")
    bundle = find_model(name)
    torch.set_num_threads(1)  # as the planner node
    policy = load_policy(bundle, engine=args.engine, steps=args.steps)
    if args.shadow:
        agreement = replay.shadow(args.bag, policy)
        print(agreement)
        if args.json:
            replay.save(agreement, args.json)
        return 0
    step = replay.replay_step(args.bag, bundle, policy, args.at)
    print(step)
    if args.json:
        replay.save(step, args.json)
    return int(not step.plan_same)
