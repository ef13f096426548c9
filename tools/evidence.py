"""Keeps what a study of labels measured in docs/evidence/, and draws success against labels.

Arms are named METHOD_LABELS (config/studies/watching.yaml). Rows of earlier runs stay.

python tools/evidence.py [--load "9 to 17"]      needs matplotlib
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from vilp_ros.evaluation.statistics import wilson
from vilp_ros.figures import write_figures

MEASURED = ("successes", "episodes", "wilson_95", "mean_steps", "command")
NAMES = {
    "planned": "planned (LDP), + 100 watched, + play",
    "found": "cloned (regression), 100 watched, actions found by play (vilp label)",
    "cloned": "cloned (regression), labelled only",
    "diffusion": "cloned (Diffusion Policy), labelled only",
}


def cell(folder: Path, load: str) -> dict[str, Any]:
    """What one cell measured, and what made it."""
    arm, seed = folder.name.rsplit("_", 1)
    method, labels = arm.rsplit("_", 1)
    found = json.loads((folder / "eval.json").read_text())
    provenance = yaml.safe_load((folder / "bundle/policy.yaml").read_text())["provenance"]
    return {
        "method": method,
        "labels": int(labels),
        "training_seed": int(seed),
        **{key: found[key] for key in MEASURED},
        "seed_start": found["seeds"][0],
        "date": provenance["date"],
        "load": load,
        "stages": {
            name: {key: stage[key] for key in ("steps", "seconds")}
            for name, stage in provenance["stages"].items()
        },
    }


def key(row: dict[str, Any]) -> tuple[str, int, int]:
    """What makes a row that row."""
    return row["method"], row["labels"], row["training_seed"]


def merge(earlier: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows measured now beside those of earlier runs; a cell measured anew replaces its row.

    A row that says the same but for the load it was read under stays as it was noted first.
    """
    kept = {key(row): row for row in earlier}
    for row in rows:
        old = kept.get(key(row))
        if old is None or old | {"load": ""} != row | {"load": ""}:
            kept[key(row)] = row
    return [kept[k] for k in sorted(kept)]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Success against labels, pooled over training seeds, with Wilson intervals."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    ticks = sorted({row["labels"] for row in rows})
    for method in dict.fromkeys(row["method"] for row in rows):
        points = []
        for labels in ticks:
            of = [r for r in rows if (r["method"], r["labels"]) == (method, labels)]
            if of:
                wins, runs = (sum(r[k] for r in of) for k in ("successes", "episodes"))
                points.append((labels, wins / runs, *wilson(wins, runs)))
        x, rate, low, high = zip(*points)
        spans = ([r - a for r, a in zip(rate, low)], [b - r for r, b in zip(rate, high)])
        axes.errorbar(x, rate, spans, marker="o", capsize=2, label=NAMES.get(method, method))
    episodes = sorted({r["episodes"] for r in rows})
    seeds = 1 + max(r["training_seed"] for r in rows)
    said = [
        f"n = {', '.join(map(str, episodes))} unseen seeds from {rows[0]['seed_start']} a cell",
        f"training seeds a cell: {seeds}",
        f"load {', '.join(sorted({r['load'] for r in rows}))} on two cores",
        ", ".join(sorted({str(r["date"]) for r in rows})),
    ]
    axes.set_xscale("symlog", linthresh=5)
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.set(xlabel="labelled demonstrations of lift_wide", ylabel="success", ylim=(-0.03, 1.05))
    axes.set_title("; ".join(said[:2]) + "\n" + "; ".join(said[2:]), fontsize="small")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Reads the cells that are done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", type=Path, default=Path("runs/study/watching"))
    parser.add_argument("--json", type=Path, default=Path("docs/evidence/labels.json"))
    parser.add_argument("--plot", type=Path, default=Path("docs/images/labels.png"))
    parser.add_argument("--load", default="not noted", help="of the machine, in words")
    args = parser.parse_args()
    earlier = json.loads(args.json.read_text()) if args.json.is_file() else []
    rows = [cell(found.parent, args.load) for found in sorted(args.study.glob("*/eval.json"))]
    merged = merge(earlier, rows)
    write_figures(args.json, merged)
    draw(merged, args.plot)


if __name__ == "__main__":
    main()
