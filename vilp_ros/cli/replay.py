"""`vilp replay`: run again what a bag recorded."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vilp_ros.figures import add_json, write_figures

if TYPE_CHECKING:
    from vilp_ros.evaluation.shadow import Agreement

HELP = "run one inference of a bag again exactly, or a bundle beside it, or its commands"
DESCRIPTION = """\
Three ways to replay a bag; the second also for an arm that is being driven, where no bag is named:
--at T      the inference nearest to T seconds: inputs made again from the raw messages, the same
            seed, the same plan before; says whether bundle, state and plan are the same, the plan
            to the bit if the engine is the same. Exit code 1 if it is not.
--shadow    a bundle over the whole bag, commanding nothing: how far are its actions from those of
            the demonstration? Without a bag: live, against the commands that flow, until
            Ctrl-C or --seconds. (To watch a policy without comparing: vilp up execute:=false.)
--execute   the commands to the simulator, from the recorded scene, through the contract's limits.

  vilp replay runs/bags/episode_0003 --at 2.5
  vilp replay demonstrations/episode_0000 --shadow --model ldp_lift --json shadow.json
  vilp replay --shadow --model ldp_lift --seconds 30
  vilp replay demonstrations/episode_0000 --execute"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("bag", type=Path, nargs="?", help="one bag; with --shadow, none: live")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--at", type=float, metavar="T", help="seconds from the bag's beginning")
    way.add_argument("--shadow", action="store_true", help="a bundle beside the demonstration")
    way.add_argument("--execute", action="store_true", help="the commands in the simulator")
    parser.add_argument("--model", help="bundle: a folder or a name (default: the recorded one)")
    parser.add_argument("--engine", help="torch or openvino (default: the bundle's choice)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the bundle's)")
    parser.add_argument("--contract", default="sim_panda", help="live: robot, a file or a name")
    parser.add_argument("--namespace", default="", help="live: of the nodes")
    parser.add_argument("--seconds", type=float, default=math.inf, help="live: at most so long")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Replays; prints what was compared."""
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation import replay

    if args.bag is None and not args.shadow:
        raise VilpError("name a bag: only --shadow works on live topics")
    if args.execute:
        done, far_m = replay.execute(args.bag)
        print(f"success {done}; the hand was up to {1e3 * far_m:.1f} mm off the recorded one")
        return int(not done)

    import torch

    from vilp_ros.policy.bundle import load_policy
    from vilp_ros.ros.files import find_model

    bundle = find_model(args.model or _noted(args.bag))
    torch.set_num_threads(1)  # as the planner node
    if args.bag is None:
        figures: Agreement | replay.Step = _live(args, bundle)
    else:
        policy = load_policy(bundle, engine=args.engine, steps=args.steps)
        if args.shadow:
            figures = replay.shadow(args.bag, policy)
        else:
            figures = replay.replay_step(args.bag, bundle, policy, args.at)
    print(figures)
    write_figures(args.json, asdict(figures))
    return int(isinstance(figures, replay.Step) and not figures.plan_same)


def _noted(bag: Path | None) -> str:
    """Bundle that ran while a bag was recorded."""
    from vilp_ros.data.bag import Bag
    from vilp_ros.errors import VilpError

    if bag is None:
        raise VilpError("name the bundle that is to follow the arm with --model")
    with Bag(bag) as opened:
        if name := opened.labels.get("bundle", ""):
            return name
    raise VilpError(f"{bag} does not say which bundle ran: name one with --model")


def _live(args: argparse.Namespace, bundle: Path) -> Agreement:
    import signal
    import threading

    from rich.console import Console

    from vilp_ros.contract import Contract
    from vilp_ros.nodes.shadow import follow
    from vilp_ros.policy.bundle import load_policy, load_spec
    from vilp_ros.ros.files import find_contract

    contract, stop = Contract.load(find_contract(args.contract)), threading.Event()
    contract.check_bundle(vars(load_spec(bundle)))
    policy = load_policy(bundle, engine=args.engine, steps=args.steps)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Console(stderr=True).status("listening", refresh_per_second=4) as line:
        return follow(contract, policy, args.namespace, args.seconds, stop, line.update)
