"""`vilp data`: what is in datasets and bags, and what stands out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vilp_ros.figures import add_json, write_figures

HELP = "list, draw and compare datasets and bags; name the episodes that stand out"
_CELL = 40
"""Letters that a column of a table has room for."""
DESCRIPTION = """\
For a dataset: episodes by role, hours, durations, jerk, idle time, ranges, and the episodes that
stand out. Two or more are shown side by side. For bags: outcome, rates, gaps and what the audit
found. --plot draws a contact sheet with timelines for each episode (or bag). Datasets of other
projects and folders of videos: what they are, and the command that brings them in.

  vilp data datasets/lift_bags.hdf5
  vilp data datasets/lift_expert.hdf5 datasets/lift_bags.hdf5
  vilp data demonstrations --plot pictures
  vilp data their_folder --map

The last prints the draft of a map of a LeRobot dataset: `... --map > my_map.yaml` keeps it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("paths", nargs="+", type=Path, help="datasets (.hdf5), bags, or folders")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw every episode there")
    parser.add_argument("--map", action="store_true", help="print a map of the dataset as a draft")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Prints tables; exit code 0 also where episodes stand out, 1 where one cannot be read."""
    from vilp_ros.data.bag import find_bags
    from vilp_ros.data.bag_storage import bags_at
    from vilp_ros.data.recognise import draft
    from vilp_ros.errors import VilpError

    if args.map:
        print(draft(args.paths[0]), end="")
        return 0
    body: dict[str, Any] = {}
    ours = []
    for path in args.paths:
        try:
            if not _tell(path):
                ours.append(path)
        except VilpError as error:
            print(error)
            body.setdefault("unread", {})[str(path)] = {"error": str(error)}
    files = [path for path in ours if path.is_file() and not bags_at(path)]
    bags = [path for path in ours if path not in files]
    if files:
        body["datasets"] = _datasets(files, args.plot)
    if bags:
        body["bags"] = _bags(find_bags(bags), args.plot)
    write_figures(args.json, body)
    return int(any("error" in one for part in body.values() for one in part.values()))


def _tell(path: Path) -> bool:
    """Says what a dataset of another project is and how it comes in; False where it is none."""
    from vilp_ros.data.bag_storage import bags_at
    from vilp_ros.data.recognise import recognise

    found = None if bags_at(path) else recognise(path)
    if found is not None:
        print(f"{path}: {found.about}. To bring it in:")
        for command in found.how:
            print(f"  {command}")
    return found is not None


def _datasets(paths: list[Path], plot: Path | None) -> dict[str, Any]:
    from rich.console import Console
    from rich.table import Table

    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.data.outliers import statistics
    from vilp_ros.data.sheet import save_sheet
    from vilp_ros.errors import VilpError

    found: dict[str, Any] = {}
    unread: dict[str, Any] = {}
    for path in paths:
        try:
            file = EpisodeFile(path)
            found[str(path)] = statistics(file)
            for index in range(len(file) if plot else 0):
                assert plot is not None
                save_sheet(file, index, plot / f"{path.stem}_{index:04}.png")
            file.close()
        except VilpError as error:
            found.pop(str(path), None)
            unread[str(path)] = {"error": str(error)}
    for figures in unread.values():
        print(figures["error"])
    if not found:
        return unread
    table = Table("", *found)
    for name in ("task", "views", "control_period_s", "episodes", "roles", "success", "steps"):
        table.add_row(name, *(_words(s[name]) for s in found.values()))
    table.add_row(
        "disturbed", *(f"{s['disturbed'] / max(s['steps'], 1):.0%}" for s in found.values())
    )
    table.add_row(
        "pictures that came twice",
        *(f"{s['repeated'] / max(s['steps'] + s['episodes'], 1):.0%}" for s in found.values()),
    )
    for name, unit in (("seconds", ""), ("jerk", ", m/s^3"), ("idle", ", share of the time")):
        table.add_row(f"{name}{unit}", *(_spread(s[name]) for s in found.values()))
    for name in ("ee_position", "gripper_width", "joint_position", "actions"):
        table.add_row(f"{name} from", *(_row(s, name, "min") for s in found.values()))
        table.add_row(f"{name} to", *(_row(s, name, "max") for s in found.values()))
    Console().print(table)
    for name, figures in found.items():
        if resting := figures["rests"]:
            print(
                f"{name}: {len(resting)} of {figures['episodes']} episodes stand still for a "
                "while; `vilp convert` leaves out what lies before the first movement"
            )
            for episode, text in resting.items():
                print(f"  episode {episode}: {text}")
        if not figures["outliers"]:
            continue
        count = len(figures["outliers"])
        print(f"{name}: {count} of {figures['episodes']} episodes stand{'s' * (count == 1)} out")
        for episode, text in figures["outliers"].items():
            print(f"  episode {episode}: {text}")
    return found | unread


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
    from tqdm import tqdm

    from vilp_ros.data.again import Again
    from vilp_ros.data.bag import Bag, message_count, short_names
    from vilp_ros.errors import VilpError

    table = Table("bag", "task", "role", "outcome", "seconds", "messages", "audit")
    found: dict[str, Any] = {}
    below: list[str] = []  # the table, where no column cuts a command in two
    total = sum(map(message_count, paths))
    bar = tqdm(total=total, unit=" messages", unit_scale=True, leave=False, disable=None)
    for path, name in zip(paths, short_names(paths)):
        try:
            with Bag(path) as bag:
                labels, audit, count = bag.labels, bag.audit, sum(bag.counts.values())
                seconds = (bag.end_ns - bag.start_ns) * 1e-9
                again = Again(bag)
                for message in bag.check():  # all: what an index promises may not be there
                    again.add(*message)
                    bar.update()
        except VilpError as error:
            found[str(path)] = {"error": str(error)}
            table.add_row(name, *[""] * 5, "cannot be read, see below")
            below.append(str(error))
            continue
        words = [labels.get(key, "") for key in ("task", "role", "outcome")]
        verdict = "; ".join(again.words()) or ("ok" if labels.get("verdict") else "")
        if len(verdict) > _CELL:
            below += [f"{name}: {text}" for text in again.words()]
            verdict = f"{len(again.words())} remark{'s' * (len(again.words()) > 1)}, see below"
        if labels.get("repaired"):  # the end of the demonstration may be what was lost
            verdict = "; ".join(filter(None, ("cut off, repaired", verdict)))
        table.add_row(name, *words, f"{seconds:.1f}", str(count), verdict)
        found[str(path)] = {
            **{k: v for k, v in labels.items() if k not in ("contract", "audit")},
            "seconds": seconds,
            "messages": count,
            "audit": audit,
            "judged": again.words(),
        }
        if plot:
            below += _plot(path, plot / f"{name.replace('/', '_')}.png")
    bar.close()
    Console().print(table)
    for sentence in below:
        print(sentence)
    return found


def _plot(path: Path, picture: Path) -> list[str]:
    """A bag's sheet, by way of a dataset that is thrown away; a sentence if it has none."""
    from tempfile import TemporaryDirectory

    from vilp_ros.data.bag_reader import Choice
    from vilp_ros.data.convert import convert_bag
    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.data.sheet import save_sheet

    with TemporaryDirectory() as scratch:
        file = Path(scratch, "one.hdf5")
        outcome = convert_bag(path, file, Choice(task="any", broken=True))
        if outcome.error:
            return [f"not drawn: {outcome.error}"]
        save_sheet(EpisodeFile(file), 0, picture)
    return []
