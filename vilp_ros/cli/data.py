"""`vilp data`: what is in datasets and bags, and what stands out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vilp_ros.figures import add_json, write_figures

HELP = "list, draw and compare datasets and bags; name the episodes that stand out"
DESCRIPTION = """\
For a dataset: episodes by role, hours, durations, jerk, idle time, ranges, and the episodes that
stand out. Two or more are shown side by side. For bags: outcome, rates, gaps and what the audit
found. --plot draws a contact sheet with timelines for each episode (or bag).

  vilp data datasets/lift_bags.hdf5
  vilp data datasets/lift_expert.hdf5 datasets/lift_bags.hdf5
  vilp data demonstrations --plot pictures"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("paths", nargs="+", type=Path, help="datasets (.hdf5), bags, or folders")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw every episode there")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Prints tables; exit code 0 also where episodes stand out."""
    from vilp_ros.data.bag import find_bags

    files = [path for path in args.paths if path.is_file()]
    bags = [path for path in args.paths if not path.is_file()]
    body: dict[str, Any] = {}
    if files:
        body["datasets"] = _datasets(files, args.plot)
    if bags:
        body["bags"] = _bags(find_bags(bags), args.plot)
    write_figures(args.json, body)
    return 0


def _datasets(paths: list[Path], plot: Path | None) -> dict[str, Any]:
    from rich.console import Console
    from rich.table import Table

    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.data.outliers import statistics
    from vilp_ros.data.sheet import save_sheet

    found: dict[str, Any] = {}
    for path in paths:
        file = EpisodeFile(path)
        found[str(path)] = statistics(file)
        for index in range(len(file) if plot else 0):
            assert plot is not None
            save_sheet(file, index, plot / f"{path.stem}_{index:04}.png")
        file.close()
    table = Table("", *found)
    for name in ("task", "views", "control_period_s", "episodes", "roles", "success", "steps"):
        table.add_row(name, *(_words(s[name]) for s in found.values()))
    table.add_row(
        "disturbed", *(f"{s['disturbed'] / max(s['steps'], 1):.0%}" for s in found.values())
    )
    for name, unit in (("seconds", ""), ("jerk", ", m/s^3"), ("idle", ", share of the time")):
        table.add_row(f"{name}{unit}", *(_spread(s[name]) for s in found.values()))
    for name in ("ee_position", "gripper_width", "joint_position", "actions"):
        table.add_row(f"{name} from", *(_row(s, name, "min") for s in found.values()))
        table.add_row(f"{name} to", *(_row(s, name, "max") for s in found.values()))
    Console().print(table)
    for name, figures in found.items():
        if not figures["outliers"]:
            continue
        count = len(figures["outliers"])
        print(f"{name}: {count} of {figures['episodes']} episodes stand{'s' * (count == 1)} out")
        for episode, text in figures["outliers"].items():
            print(f"  episode {episode}: {text}")
    return found


def _words(value: Any) -> str:
    """As a person writes it: `agentview, eye_in_hand`; `expert 150, suboptimal 60`."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _spread(figures: dict[str, float]) -> str:
    if not figures:
        return "-"
    return "median {median:.2f} ({min:.2f} to {max:.2f})".format(**figures)


def _row(figures: dict[str, Any], channel: str, what: str) -> str:
    values = figures["channels"].get(channel, {}).get(what, [])
    return " ".join(f"{value:.2f}" for value in values) or "-"


def _bags(paths: list[Path], plot: Path | None) -> dict[str, Any]:
    from rich.console import Console
    from rich.table import Table

    from vilp_ros.data.bag import Bag, BagError

    table = Table("bag", "task", "role", "outcome", "seconds", "messages", "audit")
    found: dict[str, Any] = {}
    unread: list[str] = []
    for path in paths:
        try:
            with Bag(path) as bag:
                labels, count = bag.labels, sum(bag.counts.values())
                seconds = (bag.end_ns - bag.start_ns) * 1e-9
        except BagError as error:
            found[str(path)] = {"error": str(error)}
            table.add_row(path.name, *[""] * 5, "cannot be read, see below")
            unread.append(str(error))
            continue
        audit = json.loads(labels.get("audit", "{}"))
        words = [labels.get(name, "") for name in ("task", "role", "outcome")]
        verdict = "; ".join(audit.get("findings", [])) or labels.get("verdict", "")
        if labels.get("repaired"):  # the end of the demonstration may be what was lost
            verdict = "; ".join(filter(None, ("cut off, repaired", verdict)))
        table.add_row(path.name, *words, f"{seconds:.1f}", str(count), verdict)
        found[str(path)] = {
            **{k: v for k, v in labels.items() if k not in ("contract", "audit")},
            "seconds": seconds,
            "messages": count,
            "audit": audit,
        }
        if plot:
            _plot(path, plot)
    Console().print(table)
    for sentence in unread:  # below it, where no column cuts a command in two
        print(sentence)
    return found


def _plot(path: Path, folder: Path) -> None:
    """A bag's sheet, by way of a dataset that is thrown away."""
    from tempfile import TemporaryDirectory

    from vilp_ros.data.bag_reader import Choice
    from vilp_ros.data.convert import convert_bag
    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.data.sheet import save_sheet

    with TemporaryDirectory() as scratch:
        file = Path(scratch, "one.hdf5")
        outcome = convert_bag(path, file, Choice(task="any", broken=True))
        if outcome.error:
            print(f"not drawn: {outcome.error}")
            return
        save_sheet(EpisodeFile(file), 0, folder / f"{path.name}.png")
