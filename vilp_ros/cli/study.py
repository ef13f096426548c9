"""`vilp study`: what a choice is worth, by training each and running all on the same seeds."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vilp_ros.cli.eval_options import PROBES
from vilp_ros.cli.on_cluster import add_cluster, on_cluster
from vilp_ros.cluster import end_with_parent, processes
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.errors import VilpError
from vilp_ros.figures import write_figures

if TYPE_CHECKING:
    from vilp_ros.training.config import Recipe

KEYS = {"recipe", "arms", "later_seeds", "probes"}

HELP = "compare the arms of a study, each trained with several seeds"
DESCRIPTION = """\
Trains each arm of a study with several seeds and runs all on the same unseen seeds. A study
(config/studies/) names a recipe and, for each arm, what it overrides. A cell, one arm with one
training seed, that is done is not done again; one that was cut off goes on. Other --episodes or
--seed-start are run anew with the bundle that is there; a cell whose recipe, arm or data have
changed since is named, and stays.

  vilp study config/studies/labels.yaml --seeds 3 --episodes 100
  vilp study config/studies/vilp.yaml --cluster auto      a cell a task, on all nodes

Writes runs/study/<study>/<arm>_<seed>/, and the table beside them as table.json and table.md, with
the cells of earlier runs. A cell that fails is named with its reason, the others are done, and the
exit code is 1."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("study", type=Path, help="YAML of config/studies/")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds")
    parser.add_argument("--episodes", type=int, default=100, help="episodes a cell")
    parser.add_argument("--seed-start", type=int, default=700_000, help="first unseen seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes that a cell takes")
    parser.add_argument("--arms", nargs="*", help="only these arms")
    add_cluster(parser, "a cell")


@dataclass(frozen=True)
class Cell:
    """One arm with one training seed.

    Attributes:
        arm: its name.
        seed: of the training.
        folder: of its files.
        recipe: file of the training.
        overrides: of the recipe.
        seeds: arguments of `vilp eval` that say which episodes.
        jobs: processes that it takes.
        probes: of `vilp eval`, besides.
    """

    arm: str
    seed: int
    folder: Path
    recipe: str
    overrides: tuple[str, ...]
    seeds: tuple[str, ...]
    jobs: int
    probes: tuple[str, ...]


def run(args: argparse.Namespace) -> int:
    """Runs every cell; prints the table."""
    from tqdm import tqdm

    for name, least in (("seeds", 1), ("episodes", 1), ("jobs", 1)):
        if getattr(args, name) < least:
            raise VilpError(f"--{name.replace('_', '-')} is at least {least}")
    if args.seed_start < VALIDATION_SEEDS:
        raise VilpError(
            f"--seed-start is {args.seed_start}; below {VALIDATION_SEEDS} are seeds of training"
        )
    root = Path("runs/study") / args.study.stem
    waves = list(_waves(args, root))
    for cell in chain(*waves):
        _recipe(cell)  # what it says wrong, it says before any other is trained
    done: dict[Cell, dict[str, Any]] = {}
    failed: list[str] = []
    with (
        on_cluster(args, "cells", args.jobs) as cluster,
        processes(1, cluster) as pool,
        tqdm(total=sum(map(len, waves)), unit=" cells") as bar,
    ):
        for wave in waves:
            running = {pool.submit(measure, cell, cluster is not None): cell for cell in wave}
            for future in as_completed(running):
                cell = running[future]
                try:
                    done[cell] = future.result()
                except VilpError as error:
                    failed.append(f"{cell.arm}, seed {cell.seed}: {error}")
                bar.update()
                _write(root, waves, done)
        print(_write(root, waves, done))
        for line in failed:
            print(f"failed: {line}")
    return int(bool(failed))


def _waves(args: argparse.Namespace, root: Path) -> Iterator[list[Cell]]:
    """Cells that may run at once; where later seeds stand on the first, those come after it."""
    from vilp_ros.contract.readers import parse_yaml, read

    if not args.study.is_file():
        raise VilpError(f"no study at {args.study}: studies are YAML files as in config/studies/")
    study = parse_yaml(read(args.study), f"study {args.study}")
    if not isinstance(study, dict) or not {"recipe", "arms"} <= study.keys() <= KEYS:
        raise VilpError(
            f"{args.study} is no study: it names a recipe and arms, perhaps later_seeds and "
            "probes, and nothing else"
        )
    arms = study["arms"]
    if not (isinstance(arms, dict) and arms and all(isinstance(arms[arm], list) for arm in arms)):
        raise VilpError(f"{args.study}: arms is a list of key=value for each name, at least one")
    if strange := [arm for arm in arms if not re.fullmatch(r"[\w.+-]*\w", str(arm))]:
        raise VilpError(f"{args.study}: {strange[0]!r} cannot be an arm: it names a folder")
    for key, given in _texts(args.study, study):
        if fixed := next((t for t in given if re.match(r"[+~]*(seed|name)\b", t)), None):
            raise VilpError(f"{args.study}: {key} sets {fixed!r}, which is the study's: --seeds")
    if wrong := set(study.get("probes", ())) - {*PROBES}:
        raise VilpError(f"{args.study}: probe {sorted(wrong)[0]!r}; available: {', '.join(PROBES)}")
    names = list(args.arms or arms)
    if wrong := set(names) - arms.keys():
        raise VilpError(f"{args.study} has no arm {sorted(wrong)[0]}; there are {', '.join(arms)}")
    later = study.get("later_seeds", [])

    def cells(seeds: range) -> list[Cell]:
        return [_cell(args, study, root, arm, seed) for arm in names for seed in seeds]

    yield from (
        [cells(range(1)), cells(range(1, args.seeds))] if later else [cells(range(args.seeds))]
    )


def _texts(path: Path, study: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Overrides by who gives them.

    Raises:
        VilpError: the recipe is no path, or a list is none of text.
    """
    if not isinstance(study["recipe"], str):
        raise VilpError(f"{path}: recipe is {study['recipe']!r}, expected the path of one")
    lists = {f"arm {arm}": given for arm, given in study["arms"].items()}
    lists |= {key: study[key] for key in ("later_seeds", "probes") if key in study}
    for key, given in lists.items():
        if not (isinstance(given, list) and all(isinstance(text, str) for text in given)):
            raise VilpError(f"{path}: {key} is {given!r}, expected a list of text such as [a=1]")
        yield key, given


def _cell(args: argparse.Namespace, study: dict[str, Any], root: Path, arm: str, seed: int) -> Cell:
    overrides = [f"seed={seed}", *study["arms"][arm]]
    if seed:
        first = root / f"{arm}_0"
        overrides += [text.replace("{first}", str(first)) for text in study.get("later_seeds", [])]
    seeds = ("--episodes", str(args.episodes), "--seed-start", str(args.seed_start))
    folder, probes = root / f"{arm}_{seed}", tuple(study.get("probes", ()))
    return Cell(arm, seed, folder, study["recipe"], tuple(overrides), seeds, args.jobs, probes)


def measure(cell: Cell, apart: bool) -> dict[str, Any]:
    """Trains and measures a cell, or reads what was measured before.

    Args:
        cell: what to train.
        apart: nobody looks: what it prints goes to `log.txt` in its folder.

    Returns:
        What `vilp eval --json` wrote.

    Raises:
        VilpError: a verb failed, or what is there is another cell's.
    """
    cell.folder.mkdir(parents=True, exist_ok=True)
    result, out = cell.folder / "eval.json", str(cell.folder / "bundle")
    log = cell.folder / "log.txt" if apart else None
    jobs, seeds, known = str(cell.jobs), cell.folder / "seeds.json", _known(cell)
    if known is None:
        words = ("--config", cell.recipe, "--jobs", jobs, *cell.overrides)
        _vilp(log, "train", "--out", out, "--work", str(cell.folder), *words)
    if known != list(cell.seeds):
        words = ("--controls", "none", *cell.seeds, "--workers", jobs, "--json", str(result))
        _vilp(log, "eval", "--bundle", out, *words)
        write_figures(seeds, cell.seeds)
    for probe in cell.probes:
        if not (found := cell.folder / f"{probe}.json").is_file():
            _vilp(log, "eval", probe, "--bundle", out, "--json", str(found))
    return json.loads(result.read_text())


def _known(cell: Cell) -> list[str] | None:
    """Which episodes its `eval.json` is of; None where it is not trained to the end.

    Raises:
        VilpError: it is of another recipe or arm, or learned from something else.
    """
    from vilp_ros.training.claim import claim, fingerprint

    seeds = cell.folder / "seeds.json"
    if not (cell.folder / "eval.json").is_file():
        return None
    recipe = _recipe(cell)
    try:
        claim(recipe, cell.folder, fingerprint(recipe))
    except VilpError as error:
        why, _, _ = str(error).rpartition(": ")
        raise VilpError(
            f"{why or error}: move {cell.folder} to keep it, or give the study another file name"
        ) from error
    return json.loads(seeds.read_text()) if seeds.is_file() else []


def _recipe(cell: Cell) -> Recipe:
    from vilp_ros.training.config import load_recipe

    return load_recipe(cell.recipe, ["name=bundle", *cell.overrides])


def _vilp(log: Path | None, *words: str) -> None:
    """A verb in a process of its own, which ends with this one: nobody else trains there then."""
    process = get_context("spawn").Process(target=_verb, args=(log, words))
    process.start()
    process.join()
    if process.exitcode:
        where = f"{log} says why" if log else "it says why above"
        raise VilpError(f"`vilp {words[0]}` ended with {process.exitcode}: {where}")


def _verb(log: Path | None, words: tuple[str, ...]) -> None:
    from vilp_ros.cli.main import main

    end_with_parent()
    if log is not None:
        with log.open("a") as file:
            os.dup2(file.fileno(), sys.stdout.fileno())
            os.dup2(file.fileno(), sys.stderr.fileno())
    sys.argv[1:] = words  # what is measured says by which command
    sys.exit(main(words))


def _write(root: Path, waves: list[list[Cell]], done: dict[Cell, dict[str, Any]]) -> str:
    """The table of what is done, now or by earlier runs, written and as Markdown."""
    found: dict[str, dict[int, dict[str, Any]]] = {cell.arm: {} for wave in waves for cell in wave}
    for result in root.glob("*_*/eval.json"):
        arm, seed = result.parent.name.rsplit("_", 1)
        if seed.isdigit():
            found.setdefault(arm, {})[int(seed)] = json.loads(result.read_text())
    for cell, measured in done.items():
        found[cell.arm][cell.seed] = measured
    table = {arm: row([of[seed] for seed in sorted(of)]) for arm, of in found.items() if of}
    text = markdown(table)
    write_figures(root / "table.json", table)
    (root / "table.md").write_text(text)
    return text


def row(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Successes of an arm's cells, each and pooled."""
    from vilp_ros.evaluation.statistics import wilson

    wins, runs = (sum(c[k] for c in cells) for k in ("successes", "episodes"))
    each = [f"{c['successes']}/{c['episodes']}" for c in cells]
    run_on = sorted({(min(c["seeds"]), max(c["seeds"])) for c in cells if c.get("seeds")})
    pooled = {"pooled": wins / runs, "wilson_95": list(wilson(wins, runs))}
    return {"seeds": each, **pooled, "run_on": [list(ends) for ends in run_on]}


def markdown(table: dict[str, dict[str, Any]]) -> str:
    """The table for a model card."""
    lines = ["| arm | each training seed | pooled | Wilson 95 % |", "|---|---|---|---|"]
    for arm, found in table.items():
        (low, high), seeds = found["wilson_95"], ", ".join(found["seeds"])
        lines.append(f"| {arm} | {seeds} | {found['pooled']:.2f} | {low:.2f} to {high:.2f} |")
    run_on = {
        arm: " and ".join(f"{low} to {high}" for low, high in found["run_on"])
        for arm, found in table.items()
        if found["run_on"]
    }
    if len(set(run_on.values())) > 1:
        said = "; ".join(f"{arm} on {seeds}" for arm, seeds in run_on.items())
        lines += ["", f"**Not comparable**: not all were run on the same seeds: {said}."]
    return "\n".join(lines)
