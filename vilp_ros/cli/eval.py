"""`vilp eval`: success rates with intervals and controls, and probes of the parts."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from vilp_ros.evaluation.agents import PolicyRecipe
    from vilp_ros.policy.spec import BundleSpec

HELP = "measure a bundle: success rate with controls, or probes of its parts"
DESCRIPTION = """\
Without a probe: runs the bundle in the simulator in lock-step (no ROS, no clock), one episode a
seed, and beside it the controls that give the number a meaning. An episode is a success if the task
is done at any step. The same bundle and seed give the same episode.

  vilp eval --bundle models/ldp_lift_wide --episodes 100 --seed-start 700000 --json out.json
  vilp eval --bundle models/ldp_lift --controls none --workers 2
  vilp eval --bundle models/ldp_lift --controls blind,bc --control-bundles runs/lift_bc

Controls: `expert` (script told where the object is), `blind` (the same script, told the mean pose),
`ddim1` (one denoising step), `oracle` (inverse dynamics on recorded futures); trained bundles given
with --control-bundles are named `bc`, `proprio` (no views) or by their own name.

With a probe: where a policy loses, on held-out episodes.

  vilp eval reconstruction --bundle models/ldp_lift     PSNR overall and around the object
  vilp eval idm --bundle models/ldp_lift                action errors between recorded states
  vilp eval oracle --bundle models/ldp_lift             success with recorded futures for plans

Probes and oracle read the episodes of --data, or record some with the scripted expert on seeds
from 600000 on. JSON keys: `episodes successes wilson_95 mean_steps` (of successes) `seeds
failed_seeds controls`; a control has the same keys as the bundle. The training set holds no seed
from 600000 on."""

PROBES = ("reconstruction", "idm", "oracle")
RECORDING_NOISE = {"reconstruction": 0.25, "idm": 0.25, "oracle": 0.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("probe", nargs="?", choices=PROBES, help="probe a part instead")
    parser.add_argument("--bundle", required=True, help="folder of the policy bundle")
    parser.add_argument("--task", help="task to run; the one that the bundle names by default")
    parser.add_argument(
        "--episodes",
        type=int,
        metavar="N",
        help="how many (100; 20 for the probes reconstruction and idm)",
    )
    parser.add_argument(
        "--seed-start", type=int, metavar="SEED", default=700_000, help="first seed of rollouts"
    )
    parser.add_argument("--workers", type=int, metavar="N", default=1, help="simulating processes")
    parser.add_argument(
        "--controls", metavar="NAMES", default="all", help="all, none, or names with commas"
    )
    parser.add_argument(
        "--control-bundles", nargs="+", default=[], metavar="PATH", help="bundles trained on less"
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="file of held-out episodes for probes and oracle"
    )
    parser.add_argument("--engine", choices=("torch", "openvino"), help="instead of the bundle's")
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
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measures what was asked for, prints a table, writes the JSON file."""
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation.agents import PolicyRecipe
    from vilp_ros.policy.spec import load_spec

    if args.episodes is None:
        args.episodes = 20 if args.probe in ("reconstruction", "idm") else 100
    if args.episodes < 1 or args.workers < 1:
        raise VilpError("--episodes and --workers are at least 1")
    spec = load_spec(args.bundle)
    args.task = args.task or spec.task
    policy = PolicyRecipe(args.bundle, args.device, args.engine, args.steps, args.noise_seed)
    report: dict[str, Any] = {
        "command": " ".join(["vilp", *sys.argv[1:]]),
        "bundle": args.bundle,
        "task": args.task,
        "engine": args.engine or spec.policy.engine,
        "steps": args.steps or spec.policy.sampler.planner_steps,
    }
    with tempfile.TemporaryDirectory() as folder:
        args.scratch = Path(folder)
        if args.probe in ("reconstruction", "idm"):
            _probe(args, policy, report)
        else:
            _rollouts(args, policy, spec, report)
    return 0


def _rollouts(
    args: argparse.Namespace, policy: PolicyRecipe, spec: BundleSpec, report: dict[str, Any]
) -> None:
    from rich.console import Console

    from vilp_ros.evaluation.controls import ABOUT, Row, choose, make_row, name_bundles
    from vilp_ros.evaluation.rollout import rollout, summarise
    from vilp_ros.evaluation.statistics import proportion

    seeds = range(args.seed_start, args.seed_start + args.episodes)
    bundles = name_bundles(args.control_bundles, args.task)
    if args.probe == "oracle":
        names = choose("oracle", spec, {})
    else:
        names = ["policy", *choose(args.controls, spec, bundles)]
    columns = ("", "success", "steps", "what drives the arm")
    table = _table(f"{args.bundle} on {args.task}", columns)
    for name in names:
        if name == "policy":
            row = Row(name, ABOUT[name], policy, tuple(seeds))
        else:
            data = _held_out(args, "oracle") if name == "oracle" else Path()
            row = make_row(name, policy, seeds, bundles, data)
        began = time.monotonic()
        results = rollout(row.recipe, args.task, row.seeds, workers=args.workers, label=name)
        figures = summarise(results) | {"seconds": time.monotonic() - began}
        if name == names[0]:
            report |= figures | {"controls": {}}
        else:
            report["controls"][name] = figures
        _write(args.json, report)  # after every row: the next one may take minutes
        steps = figures["mean_steps"]
        table.add_row(
            name,
            proportion(figures["successes"], figures["episodes"]),
            "" if steps is None else f"{steps:.1f}",
            row.about,
        )
    console = Console()
    console.print(table)
    missing = [name for name in ("proprio", "bc") if name not in report["controls"]]
    if args.probe is None and args.controls == "all" and missing and spec.method != "bc":
        console.print(
            f"not run: {', '.join(missing)} (trained bundles: --control-bundles PATH ...)"
        )


def _probe(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    from rich.console import Console

    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.evaluation.probes import idm_error, reconstruction

    file = EpisodeFile(_held_out(args, args.probe))
    count = min(args.episodes, len(file))
    episodes = (file[i] for i in range(count))
    probe = reconstruction if args.probe == "reconstruction" else idm_error
    report |= {
        "episodes": count,
        "data": str(args.data or "recorded"),
        **probe(policy.load(), episodes),
    }
    _write(args.json, report)
    tables = {"reconstruction": _reconstruction_table, "idm": _idm_table}
    Console().print(tables[args.probe](report))


def _held_out(args: argparse.Namespace, probe: str) -> Path:
    """The file of --data, or one recorded now."""
    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation.recordings import record_held_out

    if args.data is None:
        path = args.scratch / "held_out.hdf5"
        record_held_out(args.task, path, args.episodes, RECORDING_NOISE[probe])
        return path
    found = EpisodeFile(args.data)
    if found.task != args.task or not len(found):
        raise VilpError(f"{args.data} holds {len(found)} episodes of {found.task}, not {args.task}")
    return args.data


def _table(title: str, columns: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _reconstruction_table(report: dict[str, Any]) -> Table:
    table = _table(
        f"reconstruction on {report['episodes']} held-out episodes of {report['task']}: PSNR in dB",
        ("view", "drawn by", "all", "around object", "frames"),
    )
    for view, r in report.items():
        if isinstance(r, dict):
            for name, row in (("autoencoder", r), ("median image", r["median_image"])):
                cells = (row["psnr_db"], row["psnr_object_db"])
                shown = ("none" if cell is None else f"{cell:.1f}" for cell in cells)
                table.add_row(view, name, *shown, f"{r['frames_with_object']}/{r['frames']}")
    return table


def _idm_table(report: dict[str, Any]) -> Table:
    table = _table(
        f"action error on {report['pairs']} held-out pairs of {report['task']}, p50 / p99",
        ("actions from", "position mm", "rotation deg", "gripper right"),
    )
    for name, label in (("idm", "inverse dynamics"), ("next_pose", "next recorded pose")):
        row = report[name]
        errors = (row["position_mm"], row["rotation_deg"])
        shown = (f"{e['p50']:.2f} / {e['p99']:.2f}" for e in errors)
        table.add_row(label, *shown, f"{100 * row['gripper_accuracy']:.1f} %")
    return table


def _write(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n")
