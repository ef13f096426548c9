"""`vilp eval`: success rates with intervals and controls, and probes of the parts."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vilp_ros.cli.eval_options import HELD_OUT, PROBES, require_used
from vilp_ros.cli.on_cluster import add_cluster, on_cluster
from vilp_ros.figures import add_json, writable, write_figures

if TYPE_CHECKING:
    from vilp_ros.data.episode import Episode
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


RECORDING_NOISE = {"reconstruction": 0.25, "video": 0, "idm": 0.25, "actions": 0, "oracle": 0}


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
            _probe(args, policy, report)
        elif args.probe == "gap":
            _gap(args, policy, report)
        elif args.probe == "transfer":
            _transfer(args, policy, report)
        else:
            _rollouts(args, policy, spec, report)
    return 0


def _learned(args: argparse.Namespace, seeds: Sequence[int], report: dict[str, Any]) -> str:
    """Notes which of the episodes the bundle was trained on; says so."""
    from vilp_ros.evaluation.learned_seeds import Learned

    learned = Learned.of(args.spec, args.task, seeds)
    report["learned_seeds"] = learned.seeds
    return str(learned)


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
            data = _held_out(args, "oracle") if name == "oracle" else Path()
            row = make_row(name, policy, seeds, bundles, data)
        if name == names[0]:
            warning = _learned(args, row.seeds, report)
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
    _warn(warning)
    missing = [name for name in ("proprio", "bc") if name not in report["controls"]]
    if args.probe is None and args.controls == "all" and missing and spec.method != "bc":
        console.print(
            f"not run: {', '.join(missing)} (trained bundles: --control-bundles PATH ...)"
        )


def _probe(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    from rich.console import Console

    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.evaluation import tables
    from vilp_ros.evaluation.imagination.probes import idm_error, reconstruction
    from vilp_ros.evaluation.imagination.video import video

    probes = {"reconstruction": reconstruction, "video": video, "idm": idm_error}
    printed = {
        "reconstruction": tables.reconstruction_table,
        "video": tables.video_table,
        "idm": tables.idm_table,
    }
    file = EpisodeFile(_held_out(args, args.probe))
    count = min(args.episodes, len(file))
    episodes = (file[i] for i in range(count))
    warning = _learned(args, [file.read(i, ()).seed for i in range(count)], report)
    if args.probe == "actions":
        _actions(args, policy, report | {"episodes": count}, list(episodes))
        _warn(warning)
        return
    report |= {
        "episodes": count,
        "data": str(args.data or "recorded"),
        **probes[args.probe](policy.load(), episodes),
    }
    write_figures(args.json, report)
    console = Console()
    console.print(printed[args.probe](report))
    _warn(warning)
    if args.probe == "video":
        console.print(tables.alignment_line(report))
        if args.plot:
            _draw_strip(args.plot, policy, file[count // 2])


def _draw_strip(path: Path, policy: PolicyRecipe, episode: Episode) -> None:
    """Of one episode: reality above what was imagined for it, near and far ahead."""
    import numpy as np

    from vilp_ros.evaluation.demo.figures import Pair, strip, write_png
    from vilp_ros.evaluation.imagination.video import imagined_for

    loaded, strips = policy.load(), []
    spec = loaded.spec
    for rows in sorted({min(2, spec.horizon), spec.horizon}):
        pairs = [Pair(*moment) for moment in imagined_for(loaded, episode, rows)]
        ahead_s = rows * spec.row_period_s
        strips.append(strip(pairs, title=f"{spec.name}: {spec.task}", ahead_s=ahead_s))
    write_png(path, np.concatenate(strips))


def _actions(
    args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any], episodes: list[Episode]
) -> None:
    from rich.console import Console

    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe as Recipe
    from vilp_ros.evaluation.imagination.open_loop import open_loop
    from vilp_ros.evaluation.tables import actions_table

    folders = [args.bundle, *args.control_bundles]
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = folders  # such as runs/study/*/bundle
    if len(set(names)) < len(names):
        raise VilpError("a bundle is named twice: leave it out of --control-bundles")
    policies = {names[0]: policy.load()}
    for name, folder in zip(names[1:], folders[1:], strict=True):
        policies[name] = Recipe(folder, args.device).load()
    report |= {"data": str(args.data or "recorded"), **open_loop(policies, episodes)}
    write_figures(args.json, report)
    Console().print(actions_table(report))


def _gap(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    from rich.console import Console

    from vilp_ros.evaluation.closed_loop.rollout import rollout, summarise
    from vilp_ros.evaluation.imagination.foresight import GapRecipe, alarm, foretell
    from vilp_ros.evaluation.statistics import MIN_CLASS
    from vilp_ros.evaluation.tables import alarm_table, gap_table

    seeds = range(args.seed_start, args.seed_start + args.episodes)
    warning = _learned(args, seeds, report)
    recipe, who = GapRecipe(policy), {"workers": args.workers, "cluster": args.on}
    results = rollout(recipe, args.task, seeds, **who, variation=args.variation)
    report |= summarise(results) | foretell(results, tuple(policy.views))
    if args.alarm:
        others = range(seeds.stop, seeds.stop + args.episodes)
        usual = rollout(recipe, args.task, others, **who, label="usual")
        report["alarm"] = alarm(usual, results)
    write_figures(args.json, report)
    console = Console()
    console.print(gap_table(report))
    _warn(warning)
    if args.alarm:
        console.print(alarm_table(report))
    fewest = min(report["failures"], report["successes"])
    if fewest < MIN_CLASS:
        console.print(
            f"only {fewest} episodes of one outcome: an AUROC says nothing with fewer than "
            f"{MIN_CLASS}; run more episodes, or --variation"
        )


def _transfer(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    from rich.console import Console

    from vilp_ros.evaluation.closed_loop.curve import draw_curve, require_matplotlib
    from vilp_ros.evaluation.closed_loop.transfer import choose_cells, falls_below_half, run_cells
    from vilp_ros.evaluation.statistics import proportion
    from vilp_ros.evaluation.tables import plain_table

    if args.plot:
        require_matplotlib()
    cells = choose_cells(args.scenes, args.families, args.strengths)
    seeds = range(args.seed_start, args.seed_start + args.episodes)
    warning = _learned(args, seeds, report)
    table = plain_table(f"{args.bundle} on {args.task}", ("scene", "success", "steps"))
    report |= {"variations": {}, "families": {}}
    families: dict[str, dict[str, Any]] = report["families"]
    for cell, figures in run_cells(policy, args.task, cells, seeds, args.workers, args.on):
        if cell.family is None:
            report["variations"][cell.name] = figures
        else:
            families.setdefault(cell.family, {})[f"{cell.strength:g}"] = figures
        write_figures(args.json, report)  # after every row: the next one may take minutes
        steps = figures["mean_steps"]
        table.add_row(
            cell.name,
            proportion(figures["successes"], figures["episodes"]),
            "" if steps is None else f"{steps:.1f}",
        )
    report["falls_below_half"] = {}
    for family, by_strength in families.items():
        points = sorted((float(s), f["successes"] / f["episodes"]) for s, f in by_strength.items())
        report["falls_below_half"][family] = falls_below_half(*zip(*points, strict=True))
    write_figures(args.json, report)
    console = Console()
    console.print(table)
    _warn(warning)
    for family, strength in report["falls_below_half"].items():
        if strength is not None:
            console.print(f"{family}: under one half from strength {strength:.2f} on")
    if args.plot:
        draw_curve(families, f"{args.bundle}, {args.episodes} episodes a point", args.plot)


def _warn(said: str) -> None:
    if said:
        print(f"vilp: {said}", file=sys.stderr)


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
    spec = args.spec
    for key in ("control_period_s", "action_kind"):
        if (there := getattr(found, key)) != (wanted := getattr(spec, key)):
            raise VilpError(f"{args.data} has {key} {there!r}, the bundle {wanted!r}: take its own")
    for view in set(spec.views) & set(found.views):
        if (grey := found.depth_range_m.get(view)) != (made := spec.depth_range_m.get(view)):
            raise VilpError(
                f"{args.data} has depth_range_m {grey} for {view}, the bundle {made}: take its own"
            )
    return args.data
