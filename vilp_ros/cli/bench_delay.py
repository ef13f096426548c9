"""The table of `vilp bench delay`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from vilp_ros.figures import write_figures


def run_delay(args: argparse.Namespace) -> int:
    """Measures, prints the table, writes the JSON file."""
    from rich.console import Console

    from vilp_ros.cli.learned import note_learned, warn
    from vilp_ros.contract import Contract
    from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe
    from vilp_ros.evaluation.closed_loop.delay import bench_delay
    from vilp_ros.policy.spec import load_spec
    from vilp_ros.share import share_dir

    shipped = share_dir() / "config/robots"
    sim, arm = (Contract.load(shipped / f"{name}.yaml") for name in ("sim_panda", args.limits))
    limits = replace(arm.limits, workspace=sim.limits.workspace)
    spec, console = load_spec(args.bundle), Console()
    seeds = range(args.seed_start, args.seed_start + args.episodes)
    about = {"bundle": args.bundle, "limits": args.limits}
    warning = note_learned(spec, spec.task, seeds, about)
    with console.status("running episodes"):
        report = bench_delay(
            PolicyRecipe(args.bundle, args.device),
            spec.task,
            limits,
            [delay / 1e3 for delay in args.delays],
            seeds,
            args.jitter / 1e3,
            # After every row: the next one may take minutes.
            tell=lambda report: write_figures(args.json, report | about),
        )
    console.print(_table(report | about))
    warn(warning)
    return 0


def _table(report: dict[str, Any]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from vilp_ros.evaluation.statistics import proportion

    title = f"{report['bundle']} when plans come late; limits of {report['limits']}"
    if jitter_ms := report["rows"][0]["jitter_ms"]:
        title += f"; stamps jitter by {jitter_ms:g} ms"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("delay, ms", "success", "jerk at switches", "within, m/s^3", "ratio", "age, ms"):
        table.add_column(column, justify="right")
    for row in report["rows"]:
        table.add_row(
            f"{row['delay_ms']:.0f}",
            proportion(row["successes"], row["episodes"]),
            f"{row['jerk_switch']:.1f}",
            f"{row['jerk_within']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['age_ms_p50']:.0f}",
        )
    return table
