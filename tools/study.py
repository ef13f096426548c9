"""Compares arms of a study: trains each with several seeds and runs all on the same unseen seeds.

A study (config/studies/) names a recipe and, for each arm, what it overrides. A cell, one arm with
one training seed, that is done is not done again; one that was cut off goes on.

  python tools/study.py config/studies/labels.yaml --seeds 3 --episodes 100

Writes runs/study/<study>/<arm>_<seed>/, and the table beside them as table.json and table.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from vilp_ros.evaluation.statistics import wilson
from vilp_ros.figures import write_figures


def cell(
    folder: Path, study: dict[str, Any], overrides: list[str], args: argparse.Namespace
) -> dict:
    """Trains and measures one arm with one seed, or reads what was measured before."""
    result, vilp = folder / "eval.json", [sys.executable, "-m", "vilp_ros"]
    out = str(folder / "bundle")
    bundle = ["--bundle", out]
    if not result.is_file():
        run = [*vilp, "train", "--config", study["recipe"], "--out", out, "--work", str(folder)]
        subprocess.run([*run, "--jobs", str(args.jobs), *overrides], check=True)
        seeds = ["--episodes", str(args.episodes), "--seed-start", str(args.seed_start)]
        run = [*vilp, "eval", *bundle, "--controls", "none", *seeds, "--workers", str(args.jobs)]
        subprocess.run([*run, "--json", str(result)], check=True)
    for probe in study.get("probes", []):
        if not (folder / f"{probe}.json").is_file():
            run = [*vilp, "eval", probe, *bundle, "--json", str(folder / f"{probe}.json")]
            subprocess.run(run, check=True)
    return json.loads(result.read_text())


def row(cells: list[dict]) -> dict[str, Any]:
    """Successes of an arm's cells, each and pooled."""
    wins, runs = (sum(c[k] for c in cells) for k in ("successes", "episodes"))
    each = [f"{c['successes']}/{c['episodes']}" for c in cells]
    return {"seeds": each, "pooled": wins / runs, "wilson_95": list(wilson(wins, runs))}


def markdown(table: dict[str, dict]) -> str:
    """The table for a model card."""
    lines = ["| arm | each training seed | pooled | Wilson 95 % |", "|---|---|---|---|"]
    for arm, found in table.items():
        (low, high), seeds = found["wilson_95"], ", ".join(found["seeds"])
        lines.append(f"| {arm} | {seeds} | {found['pooled']:.2f} | {low:.2f} to {high:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs every cell and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path, help="YAML of config/studies/")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds")
    parser.add_argument("--episodes", type=int, default=100, help="episodes a cell")
    parser.add_argument("--seed-start", type=int, default=700_000, help="first unseen seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--arms", nargs="*", help="only these arms")
    args = parser.parse_args()

    study = yaml.safe_load(args.study.read_text())
    root = Path("runs/study") / args.study.stem
    table: dict[str, dict] = {}
    for arm in args.arms or study["arms"]:
        cells = []
        for seed in range(args.seeds):
            overrides = [f"seed={seed}", *study["arms"][arm]]
            if seed:
                first = root / f"{arm}_0"
                overrides += [text.format(first=first) for text in study.get("later_seeds", [])]
            cells.append(cell(root / f"{arm}_{seed}", study, overrides, args))
        table[arm] = row(cells)
        write_figures(root / "table.json", table)
        (root / "table.md").write_text(markdown(table))
    sys.stdout.write(markdown(table))


if __name__ == "__main__":
    main()
