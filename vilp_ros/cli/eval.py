"""`vilp eval`: success rates with intervals and controls, and probes of the parts."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vilp_ros.cli.eval_options import HELD_OUT, PROBES, require_used
from vilp_ros.cli.eval_probes import gap, held_out, probe_parts, transfer
from vilp_ros.cli.learned import note_learned, warn
from vilp_ros.cli.on_cluster import add_cluster, on_cluster
from vilp_ros.figures import add_json, writable, write_figures

if TYPE_CHECKING:
    from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe
    from vilp_ros.policy.spec import BundleSpec

HELP = "measure a bundle: success rate with controls, or probes of its parts"
DESCRIPTION = """\
Without a probe: runs the bundle in the simulator in lock-step (no ROS, no clock), one episode a
seed, and beside it the controls that give the number a meaning. An episode is a success if the task
is done at any step. The same bundle and seed give the same episode.

  vilp eval --bundle models/ldp_lift_wide --episodes 100 --seed-start 700000 --json out.json
  vilp eval --bundle models/ldp_lift --controls none --workers 2
  vilp eval --bundle models/ldp_lift --controls blind,bc --control-bundles runs/lift_bc
  vilp eval transfer --bundle models/ldp_lift           success under other colours, light, camera
  vilp eval --bundle models/ldp_lift --cluster auto     the same episodes, on all nodes of a cluster

Controls: `expert` (script told where the object is), `blind` (the same script, told the mean pose),
`ddim1` (one denoising step), `oracle` (inverse dynamics on recorded futures); trained bundles given
with --control-bundles are named `bc`, `proprio` (no views) or by their own name.

With a probe: where a policy loses. The first five read held-out episodes.

  vilp eval reconstruction --bundle models/ldp_lift     PSNR and SSIM of the autoencoder
  vilp eval video --bundle models/ldp_lift              imagined frames beside recorded ones
  vilp eval idm --bundle models/ldp_lift                action errors between recorded states
  vilp eval actions --bundle models/ldp_cr5 --data X    planned actions beside recorded ones
  vilp eval oracle --bundle models/ldp_lift             success with recorded futures for plans
  vilp eval gap --bundle models/ldp_lift                does the imagination gap foretell failure?

`video` holds the imagined frames, a copy of the present one and the autoencoder's bound (recorded
future, encoded and decoded) against the recorded future: PSNR and SSIM on all pixels, on those that
move and around the object; motion ratio (mean squared difference of consecutive frames, over that
of the real ones; a planner that predicts the mean is under 1); and how far apart in time the views
are, beside views taken from different imaginations. No FVD: its feature network (I3D or VideoMAE)
cannot be had without a download. `gap` needs failures: --variation makes some.

Probes and oracle read the episodes of --data, or record some with the scripted expert on seeds
from 600000 on.

`transfer` runs ten named scenes, and families whose looks are drawn anew for every episode: object,
table (with the floor), light, camera, distractors, sensor, and all at once, from colours, textures,
angles and shapes that training leaves out. --strengths 0.5,1,2 says how far; 1 is where training
ends. --plot draws success against strength.

JSON keys: `episodes successes wilson_95 mean_steps` (of successes) `seeds
failed_seeds controls learned_seeds` (of these, the ones that the bundle was trained on, which is
said besides), and `measured mean_measured` of tasks that measure how far they are done
(`push_t`: the largest coverage of each episode); a control, and a variation, has the same keys as
the bundle. The training
set holds no seed from 600000 on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("probe", nargs="?", choices=PROBES, help="probe a part instead")
    parser.add_argument("--bundle", required=True, help="folder of the policy bundle")
    parser.add_argument("--task", help="task to run; the one that the bundle names by default")
    parser.add_argument(
        "--episodes",
        type=int,
        metavar="N",
        help=f"how many (100; 20 for {', '.join(HELD_OUT)})",
    )
    parser.add_argument(
        "--seed-start", type=int, metavar="SEED", default=700_000, help="first seed of rollouts"
    )
    parser.add_argument("--workers", type=int, metavar="N", default=1, help="simulating processes")
    add_cluster(parser, "an episode")
    parser.add_argument(
        "--controls", metavar="NAMES", default="all", help="all, none, or names with commas"
    )
    parser.add_argument(
        "--control-bundles", nargs="+", default=[], metavar="PATH", help="bundles trained on less"
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="file of held-out episodes for probes and oracle"
    )
    parser.add_argument(
        "--variation",
        metavar="NAME",
        default="none",
        help="of the scene: a named one, or FAMILY@STRENGTH; `transfer` runs all and names them",
    )
    parser.add_argument(
        "--alarm",
        action="store_true",
        help="of gap: run as many usual episodes, and say whether --variation is told from them",
    )
    parser.add_argument(
        "--scenes", metavar="NAMES", default="all", help="of transfer: all, none, or names"
    )
    parser.add_argument(
        "--families",
        metavar="NAMES",
        default="all",
        help="of transfer: all, none, or any of object, table, light, camera, distractors, sensor",
    )
    parser.add_argument(
        "--strengths",
        type=_numbers,
        metavar="S,...",
        default=[1.0],
        help="of transfer's families; 1 is as far as training goes (1)",
    )
    parser.add_argument(
        "--plot",
        type=writable,
        metavar="PATH",
        help="transfer's curve, or video's strip, as a picture",
    )
    parser.add_argument(
        "--engine", choices=("torch", "openvino", "compile"), help="instead of the bundle's"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="denoising steps, instead of the bundle's"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--noise-seed",
        type=int,
        metavar="SEED",
        default=0,
        help="another value draws other sampling noise",
    )
    add_json(parser)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list such as 0.5,1,2") from None


def run(args: argparse.Namespace) -> int:
    """Measures what was asked for, prints a table, writes the JSON file."""
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe
    from vilp_ros.policy.spec import load_spec

    if args.episodes is None:
        args.episodes = 20 if args.probe in HELD_OUT else 100
    if args.episodes < 1 or args.workers < 1:
        raise VilpError("--episodes and --workers are at least 1")
    if args.seed_start < 0 or args.noise_seed < 0:
        raise VilpError("--seed-start and --noise-seed are at least 0")
    defaults = argparse.ArgumentParser()
    add_arguments(defaults)
    require_used(args, defaults)
    spec = load_spec(args.bundle)
    if args.steps is not None and not spec.method_class.denoises:
        raise VilpError(f"--steps changes nothing: method {spec.method!r} does not denoise")
    args.task, args.spec = args.task or spec.task, spec
    policy = PolicyRecipe(args.bundle, args.device, args.engine, args.steps, args.noise_seed)
    report: dict[str, Any] = {
        "command": " ".join(["vilp", *sys.argv[1:]]),
        "bundle": args.bundle,
        "task": args.task,
        "engine": args.engine or spec.policy.engine,
        "steps": args.steps or spec.policy.sampler.planner_steps,
        "variation": args.variation,
    }
    shared = Path.cwd() if args.cluster else None  # other nodes do not see /tmp
    with (
        tempfile.TemporaryDirectory(dir=shared) as folder,
        on_cluster(args, "episodes") as args.on,
    ):
        args.scratch = Path(folder)
        if args.probe in HELD_OUT:
            probe_parts(args, policy, report)
        elif args.probe == "gap":
            gap(args, policy, report)
        elif args.probe == "transfer":
            transfer(args, policy, report)
        else:
            _rollouts(args, policy, spec, report)
    return 0


def _rollouts(
    args: argparse.Namespace, policy: PolicyRecipe, spec: BundleSpec, report: dict[str, Any]
) -> None:
    from rich.console import Console

    from vilp_ros.evaluation.closed_loop.controls import ABOUT, Row, choose, make_row, name_bundles
    from vilp_ros.evaluation.closed_loop.rollout import rollout, summarise
    from vilp_ros.evaluation.statistics import proportion
    from vilp_ros.evaluation.tables import plain_table
    from vilp_ros.sim.task import load_task

    seeds = range(args.seed_start, args.seed_start + args.episodes)
    bundles = name_bundles(args.control_bundles, args.task)
    if args.probe == "oracle":
        names = choose("oracle", spec, {})
    else:
        names = ["policy", *choose(args.controls, spec, bundles)]
    measure, warning = load_task(args.task).measure, ""
    columns = ("", "success", "steps", *([measure] if measure else []), "what drives the arm")
    table = plain_table(f"{args.bundle} on {args.task}", columns)
    for name in names:
        if name == "policy":
            row = Row(name, ABOUT[name], policy, tuple(seeds))
        else:
            data = held_out(args, "oracle") if name == "oracle" else Path()
            row = make_row(name, policy, seeds, bundles, data)
        if name == names[0]:
            warning = note_learned(args.spec, args.task, row.seeds, report)
        began = time.monotonic()
        results = rollout(
            row.recipe,
            args.task,
            row.seeds,
            workers=args.workers,
            cluster=args.on,
            label=name,
            variation=args.variation,
        )
        figures = summarise(results) | {"seconds": time.monotonic() - began}
        if name == names[0]:
            report |= figures | {"controls": {}}
        else:
            report["controls"][name] = figures
        write_figures(args.json, report)  # after every row: the next one may take minutes
        steps = figures["mean_steps"]
        table.add_row(
            name,
            proportion(figures["successes"], figures["episodes"]),
            "" if steps is None else f"{steps:.1f}",
            *([f"{figures['mean_measured']:.2f}"] if measure else []),
            row.about,
        )
    console = Console()
    console.print(table)
    warn(warning)
    missing = [name for name in ("proprio", "bc") if name not in report["controls"]]
    if args.probe is None and args.controls == "all" and missing and spec.method != "bc":
        console.print(
            f"not run: {', '.join(missing)} (trained bundles: --control-bundles PATH ...)"
        )
