"""The probes of `vilp eval`: of parts on held-out episodes, of the gap, and of other scenes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vilp_ros.cli.learned import note_learned, warn
from vilp_ros.figures import write_figures

if TYPE_CHECKING:
    from vilp_ros.data.episode import Episode
    from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe

RECORDING_NOISE = {"reconstruction": 0.25, "video": 0, "idm": 0.25, "actions": 0, "oracle": 0}


def probe_parts(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    """Parts of the policy, or its planned actions, on held-out episodes."""
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
    file = EpisodeFile(held_out(args, args.probe))
    count = min(args.episodes, len(file))
    episodes = (file[i] for i in range(count))
    warning = note_learned(
        args.spec, args.task, [file.read(i, ()).seed for i in range(count)], report
    )
    if args.probe == "actions":
        _actions(args, policy, report | {"episodes": count}, list(episodes))
        warn(warning)
        return
    report |= {
        "episodes": count,
        "data": str(args.data or "recorded"),
        **probes[args.probe](policy.load(), episodes),
    }
    write_figures(args.json, report)
    console = Console()
    console.print(printed[args.probe](report))
    warn(warning)
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


def gap(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    """Episodes, and whether the imagination gap tells which of them fail."""
    from rich.console import Console

    from vilp_ros.evaluation.closed_loop.rollout import rollout, summarise
    from vilp_ros.evaluation.imagination.foresight import GapRecipe, alarm, foretell, warned
    from vilp_ros.evaluation.statistics import MIN_CLASS
    from vilp_ros.evaluation.tables import alarm_table, gap_table

    seeds = range(args.seed_start, args.seed_start + args.episodes)
    warning = note_learned(args.spec, args.task, seeds, report)
    recipe, who = GapRecipe(policy), {"workers": args.workers, "cluster": args.on}
    results = rollout(recipe, args.task, seeds, **who, variation=args.variation)
    report |= summarise(results) | foretell(results, tuple(policy.views))
    report["warned"] = warned(results, policy.views, args.spec.unlike_above)
    if args.alarm:
        others = range(seeds.stop, seeds.stop + args.episodes)
        usual = rollout(recipe, args.task, others, **who, label="usual")
        report["alarm"] = alarm(usual, results)
    write_figures(args.json, report)
    console = Console()
    console.print(gap_table(report))
    warn(warning)
    if said := report["warned"]:
        console.print(
            f"by the bundle's own limits the robot would have said that the scene is unlike the "
            f"training data in {said['warned']} of {said['episodes']} episodes, "
            f"{said['failures_warned']} of the {said['failures']} that failed among them"
        )
    if args.alarm:
        console.print(alarm_table(report))
    fewest = min(report["failures"], report["successes"])
    if fewest < MIN_CLASS:
        console.print(
            f"only {fewest} episodes of one outcome: an AUROC says nothing with fewer than "
            f"{MIN_CLASS}; run more episodes, or --variation"
        )


def transfer(args: argparse.Namespace, policy: PolicyRecipe, report: dict[str, Any]) -> None:
    """Success in other scenes, one after another."""
    from rich.console import Console

    from vilp_ros.evaluation.closed_loop.curve import draw_curve, require_matplotlib
    from vilp_ros.evaluation.closed_loop.transfer import (
        choose_cells,
        falls_below_half,
        run_cells,
        unseen,
    )
    from vilp_ros.evaluation.statistics import proportion
    from vilp_ros.evaluation.tables import plain_table
    from vilp_ros.sim.task import load_task

    if args.plot:
        require_matplotlib()
    cells = choose_cells(args.scenes, args.families, args.strengths)
    task, sees = load_task(args.task), (args.spec.views, args.spec.depth_range_m)
    if same := [cell for cell in cells if unseen(cell, task, *sees)]:
        names = ", ".join(cell.name for cell in same)
        print(f"left out, since nothing changes in what {args.bundle} sees of {args.task}: {names}")
        cells = [cell for cell in cells if cell not in same]
    seeds = range(args.seed_start, args.seed_start + args.episodes)
    warning = note_learned(args.spec, args.task, seeds, report)
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
    measured = report["variations"].get("none")
    usual = measured and measured["successes"] / measured["episodes"]
    for family, by_strength in families.items():
        points = sorted((float(s), f["successes"] / f["episodes"]) for s, f in by_strength.items())
        report["falls_below_half"][family] = falls_below_half(
            [strength for strength, _ in points], [rate for _, rate in points], usual
        )
    write_figures(args.json, report)
    console = Console()
    console.print(table)
    warn(warning)
    for family, strength in report["falls_below_half"].items():
        if strength is not None:
            where = f"from strength {strength:.2f} on"
            if strength == 0:
                where = "in the usual scene already"
            elif strength == min(map(float, families[family])):
                where = f"at strength {strength:g} already, the least that was run"
            console.print(f"{family}: under one half {where}")
    if args.plot:
        draw_curve(families, f"{args.bundle}, {args.episodes} episodes a point", args.plot)


def held_out(args: argparse.Namespace, probe: str) -> Path:
    """The file of --data, or one recorded now."""
    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.errors import VilpError
    from vilp_ros.evaluation.recordings import record_held_out

    if args.data is None:
        path = args.scratch / "held_out.hdf5"
        seen = tuple(args.spec.views), args.spec.depth_range_m
        record_held_out(args.task, path, args.episodes, RECORDING_NOISE[probe], *seen)
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
