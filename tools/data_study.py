"""What action-free and suboptimal episodes are worth: the LDP paper's headline effect, measured.

Four arms see different episodes: few labelled demonstrations; + action-free ones; + failures; both.
Every arm trains all its parts (autoencoders too) from its own episodes only, with equal steps, and
is run on the same unseen seeds. Planner and inverse dynamics are trained with several seeds, on the
autoencoders of the first. A cell that is done is not done again.

  python tools/data_study.py --few 40 --seeds 3 --episodes 100

Writes runs/study/few<N>/<arm>_<seed>/, and the table beside them as table.json and table.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from vilp_ros.evaluation.statistics import wilson

RECIPE = Path("config/training/study_lift_wide.yaml")
EXPERT = "datasets/lift_wide_expert.hdf5"
SUBOPTIMAL = "datasets/lift_wide_suboptimal.hdf5"


def arms(few: int) -> dict[str, list[str]]:
    """Overrides of `data` by arm; action-free episodes are other ones than the labelled."""
    expert = f"data.expert=[{{path: {EXPERT}, count: {few}}}]"
    free = f"data.action_free=[{{path: {EXPERT}, start: {few}, count: 100}}]"
    failed = f"data.suboptimal=[{{path: {SUBOPTIMAL}}}]"
    return {
        "few": [expert],
        "few+free": [expert, free],
        "few+failed": [expert, failed],
        "few+both": [expert, free, failed],
    }


def cell(folder: Path, overrides: list[str], seed: int, args: argparse.Namespace) -> dict:
    """Trains and measures one arm with one seed, or reads what was measured before."""
    result = folder / "eval.json"
    if not result.is_file():
        vilp = [sys.executable, "-m", "vilp_ros"]
        where = ["--config", str(RECIPE), "--out", str(folder / "bundle"), "--work", str(folder)]
        run = [*vilp, "train", *where, "--jobs", str(args.jobs), f"seed={seed}", *overrides]
        subprocess.run(run, check=True)
        measure = [*vilp, "eval", "--bundle", str(folder / "bundle"), "--controls", "none"]
        measure += ["--episodes", str(args.episodes), "--seed-start", str(args.seed_start)]
        measure += ["--workers", str(args.jobs), "--json", str(result)]
        subprocess.run(measure, check=True)
    return json.loads(result.read_text())


def main() -> None:
    """Runs every cell and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--few", type=int, default=40, help="labelled demonstrations")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds")
    parser.add_argument("--episodes", type=int, default=100, help="episodes a cell")
    parser.add_argument("--seed-start", type=int, default=700_000, help="first unseen seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--arms", nargs="*", help="only these arms")
    args = parser.parse_args()

    root = Path("runs/study") / f"few{args.few}"
    table: dict[str, dict] = {}
    for name, overrides in arms(args.few).items():
        if args.arms and name not in args.arms:
            continue
        frozen = [f"autoencoder.bundle={root / f'{name}_0' / 'bundle'}"]
        cells = [
            cell(root / f"{name}_{seed}", overrides + frozen * (seed > 0), seed, args)
            for seed in range(args.seeds)
        ]
        wins, runs = (sum(c[k] for c in cells) for k in ("successes", "episodes"))
        each = [f"{c['successes']}/{c['episodes']}" for c in cells]
        table[name] = {"seeds": each, "pooled": wins / runs, "wilson_95": list(wilson(wins, runs))}
        (root / "table.json").write_text(json.dumps(table, indent=2))
        lines = ["| episodes | each training seed | pooled | Wilson 95 % |", "|---|---|---|---|"]
        for arm, row in table.items():
            low, high = row["wilson_95"]
            seeds = ", ".join(row["seeds"])
            lines.append(f"| {arm} | {seeds} | {row['pooled']:.2f} | {low:.2f} to {high:.2f} |")
        (root / "table.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write((root / "table.md").read_text())


if __name__ == "__main__":
    main()
