"""`vilp bench`: how long a whole replan takes, by engine, threads and denoising steps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vilp_ros.errors import VilpError
from vilp_ros.figures import add_json, writable, write_figures, write_whole

FEW = 3
"""Plans and steps of each recipe of `vilp bench methods`: of some, one takes minutes."""

HELP = "time a bundle: engine x threads x denoising steps"
DESCRIPTION = """\
Times whole replans (encode the views, plan, actions) on observations of the bundle's task, without
and with decoding every frame of the plan, which only pictures of it need.
Every engine x threads pair runs in a process of its own; warm-up is left out. A row ends after
--repeats replans or --budget seconds, and says how many there were (n): the p99 of a few is the
slowest of them. Engines other than torch are compared with it: `off by` is the largest distance
between their target positions at equal noise and observations (turns and gripper widths are in the
JSON file). The table says how loaded the machine was: figures of a busy machine are upper bounds.

  vilp bench --bundle models/ldp_lift
  vilp bench --bundle models/ldp_lift --engines openvino --threads 1 --steps 4 --json bench.json
  vilp bench --bundle models/vilp_lift_wide --against config/training/vilp_paper.yaml
  vilp bench --bundle models/vilp_lift_wide --device cuda --engines torch,compile

On CUDA `compile` is torch.compile, held against torch as OpenVINO is. Unmeasured: no CUDA machine
has run the last line yet, and no figure of the README is of one.

`vilp bench methods` times untrained networks of recipes beside each other, each in a process of
its own, on one thread: a whole plan at the recipe's denoising steps, and a training step of the
part that imagines or acts, with the most memory that either took. Beside the clock stand the
processor's seconds. The files of --json and --markdown are written after every recipe. Cut off,
the same command goes on where it was: a row of --json stays where recipe, --batch, --repeats,
device and machine are the same; remove the file to measure all anew.

  vilp bench methods --recipes config/training/ldp_lift_wide.yaml config/training/dp_paper.yaml

`vilp bench delay` runs episodes in which plans come late, in virtual time: success, and the jerk of
what the controller sends where plans switch and where they do not.

  vilp bench delay --bundle models/ldp_lift --delays 0,50,100,200 --episodes 20"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("delay", "methods"),
        help="late plans, or recipes beside each other, instead of one bundle's times",
    )
    parser.add_argument("--bundle", help="folder of the policy bundle")
    parser.add_argument(
        "--engines", type=_names, metavar="NAMES", default="torch,openvino", help="engines"
    )
    parser.add_argument(
        "--threads", type=_numbers, metavar="LIST", default="1,2", help="thread counts"
    )
    parser.add_argument(
        "--steps", type=_numbers, metavar="LIST", default="1,2,4,8", help="denoising step counts"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="RECIPE",
        help="also time the untrained networks of this recipe, such as the VILP paper's, with the "
        "last of --threads, at the bundle's steps and its own",
    )
    parser.add_argument("--repeats", type=int, metavar="N", default=200, help="timed replans a row")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        default=10.0,
        help="end a row after so long, with and without decoding, from three replans on",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (torch, compile)")
    add_json(parser, "write the table to this file")
    beside = parser.add_argument_group("methods")
    beside.add_argument(
        "--recipes", nargs="+", type=Path, metavar="RECIPE", default=[], help="what is timed"
    )
    beside.add_argument("--batch", type=int, metavar="N", default=1, help="of a training step")
    beside.add_argument(
        "--markdown", type=writable, metavar="PATH", help="write the table here too"
    )
    late = parser.add_argument_group("delay")
    late.add_argument(
        "--delays", type=_numbers, metavar="LIST", default="0,50,100,200", help="ms a plan is late"
    )
    late.add_argument(
        "--jitter", type=float, metavar="MS", default=0.0, help="standard deviation of stamps, ms"
    )
    late.add_argument("--episodes", type=int, metavar="N", default=20, help="a delay")
    late.add_argument("--seed-start", type=int, metavar="SEED", default=700_000, help="first seed")
    late.add_argument(
        "--limits", default="fr3_crisp", help="contract in config/robots whose limits count"
    )


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table, writes the JSON file."""
    if args.what == "methods":
        return _methods(args)
    if args.bundle is None:
        raise VilpError("--bundle is missing: the folder of the bundle to time")
    if args.what == "delay":
        from vilp_ros.cli.bench_delay import run_delay

        return run_delay(args)
    from rich.console import Console

    from vilp_ros.evaluation.bench import bench

    console, aside = Console(), Console(stderr=True, highlight=False)
    with aside.status("timing"):
        report = bench(
            args.bundle,
            engines=args.engines,
            threads=args.threads,
            steps=args.steps,
            repeats=args.repeats,
            budget_s=args.budget,
            device=args.device,
            against=args.against,
            tell=lambda row: aside.print(_line(row), soft_wrap=True),
        )
    write_figures(args.json, report)
    for name in dict.fromkeys(row["of"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["of"] == name]
        for decoded in (False, True):
            console.print(_table(name, rows, decoded))
    if any(row["decode_ms"]["p50"] is None for row in report["rows"]):
        console.print("decode in idm: the actions come from decoded frames, so all are decoded")
    facts = report["machine"]
    load = facts["load_average"][0]
    console.print(f"{facts['cpu']}, {facts['cores']} cores, load average {load:.2f} at the start")
    if facts["gpu"]:
        console.print(facts["gpu"])
    return 0


def _methods(args: argparse.Namespace) -> int:
    from rich.console import Console

    from vilp_ros.evaluation.bench_methods import compare, markdown

    if not args.recipes:
        raise VilpError("--recipes is missing: files as in config/training")
    aside = Console(stderr=True, highlight=False)
    device = "cpu" if args.device == "auto" else args.device
    repeats = min(args.repeats, FEW)

    def note(report: dict[str, Any], name: str, kept: bool) -> None:
        write_figures(args.json, report)
        if args.markdown is not None:
            write_whole(args.markdown, markdown(report))
        aside.print(f"{name} {'kept as measured before' if kept else 'done'}", soft_wrap=True)

    before = _table_in(args.json)
    report = compare(args.recipes, args.batch, repeats, device, before, note)
    print(markdown(report), end="")
    return 0


def _table_in(path: Path | None) -> dict[str, Any] | None:
    """What an earlier run left in the file of --json, if it is a table of recipes."""
    if path is None or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
        alike = all("recipe" in row for row in found["rows"])
    except (ValueError, KeyError, TypeError):
        return None
    return found if alike else None


def _line(row: dict[str, Any]) -> str:
    """What is said of a row as soon as it is measured."""
    which = f"{row['of']} {_engine(row)} {row['threads']} thread(s) {row['steps']} step(s)"
    figures = f"{row['total_ms']['p50']:.1f} ms, decoded {row['total_decoded_ms']['p50']:.1f} ms"
    return f"{which}: {figures}, n {row['n']}; loaded in {row['load_s']:.0f} s"


def _engine(row: dict[str, Any]) -> str:
    return row["engine"] if row["device"] == "cpu" else f"{row['engine']} {row['device']}"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _table(name: str, rows: list[dict[str, Any]], decoded: bool) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.console import JustifyMethod
    from rich.table import Table

    how = "every frame decoded" if decoded else "nothing decoded"
    table = Table(
        title=f"{name}: ms of one replan, {how} (parts: p50)",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    parts = ("decode",) if decoded else ("encode", "plan", "idm")
    total, rate = ("total_decoded", "plans_per_s_decoded") if decoded else ("total", "plans_per_s")
    compared = not decoded and any("against_torch" in row for row in rows)
    last = ("off by",) if compared else ()
    columns = ("engine", "threads", "steps", "n", *parts, "p50", "p99", "plans/s", *last)
    for column in columns:
        justify: JustifyMethod = "left" if column == "engine" else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        apart = row.get("against_torch")
        cells = [_engine(row), str(row["threads"]), str(row["steps"])]
        cells += [str(row["n_decoded" if decoded else "n"])]
        p50s = [row[f"{part}_ms"]["p50"] for part in parts]
        cells += ["in idm" if p50 is None else _ms(p50) for p50 in p50s]
        cells += [_ms(row[f"{total}_ms"][p]) for p in ("p50", "p99")]
        cells += [f"{row[rate]:.3g}"]
        if compared:
            cells += ["" if apart is None else f"{apart['position_mm']:.2f} mm"]
        table.add_row(*cells)
    return table


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]
