"""Is a policy still good where things look otherwise? Named scenes; families at any strength."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vilp_ros.cluster import Cluster
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.rollout import Recipe, rollout, summarise
from vilp_ros.sim.look import FAMILIES
from vilp_ros.sim.scene import VARIATIONS
from vilp_ros.sim.task import Task

KINDS = (*FAMILIES, "all")
"""Families whose looks are drawn for every episode, from ranges that training leaves out."""


@dataclass(frozen=True)
class Cell:
    """One scene, or one strength of a family.

    Attributes:
        name: `green`, or `light@1.5`.
        family: None of a named scene.
        strength: of the family.
    """

    name: str
    family: str | None = None
    strength: float = 1.0


def choose_cells(
    scenes: str, families: str, strengths: Sequence[float], known: Sequence[str] = KINDS
) -> list[Cell]:
    """What to run.

    Args:
        scenes: `all`, `none` or names of `VARIATIONS` with commas between them.
        families: `all` (every one, and all at once), `none` or names of `KINDS` with commas.
        strengths: of the families.
        known: families that there are.

    Raises:
        VilpError: a name that is unknown, a strength that is not above 0, or nothing to run.
    """
    if wrong := [s for s in strengths if not 0 < s < float("inf")]:
        raise VilpError(f"--strengths are numbers above 0; found {wrong[0]}")
    cells = [Cell(name) for name in _names("--scenes", scenes, tuple(VARIATIONS))]
    # `all` names every family, one of which is called so too: all at once.
    for family in _names("--families", families, tuple(known)):
        named = {f"{family}@{s:g}": s for s in strengths}
        cells += [Cell(name, family, s) for name, s in named.items()]
    if not cells:
        raise VilpError("nothing to run: --scenes and --families are both none")
    return cells


def _names(option: str, wanted: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if wanted in ("all", "none"):
        return known if wanted == "all" else ()
    names = tuple(name.strip() for name in wanted.split(","))
    for name in names:
        if name not in known:
            raise VilpError(f"{option} {name!r}: choose from {', '.join(known)}")
    return tuple(dict.fromkeys(names))


def run_cells(
    recipe: Recipe,
    task: str,
    cells: Sequence[Cell],
    seeds: Sequence[int],
    workers: int,
    cluster: Cluster | None = None,
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Runs an episode for every cell and seed; gives each cell's figures as it is done."""
    for cell in cells:
        results = rollout(
            recipe,
            task,
            seeds,
            workers=workers,
            cluster=cluster,
            label=cell.name,
            variation=cell.name,
        )
        yield cell, summarise(results)


def falls_below_half(
    strengths: Sequence[float], rates: Sequence[float], usual: float | None = None
) -> float | None:
    """Strength at which the success rate falls under one half, between two measured ones.

    Args:
        strengths: rising.
        rates: success at each.
        usual: success in the usual scene, which is strength 0; None where it was not measured.

    Returns:
        Where it is lower already at the least strength that was measured, that one: where it falls
        is then not known. None where it never does as far as was measured.
    """
    points = list(zip(strengths, rates, strict=True))
    if usual is not None:
        points.insert(0, (0.0, usual))
    for number, (strength, rate) in enumerate(points):
        if rate < 0.5:
            if number == 0:
                return float(strength)
            low, before = points[number - 1]
            return float(np.interp(-0.5, [-before, -rate], [low, strength]))
    return None


def unseen(cell: Cell, task: Task, views: Collection[str], depth: Collection[str]) -> bool:
    """Whether a scene differs from the usual one in nothing that a policy sees.

    Args:
        cell: the scene.
        task: what is done; the named colours are those of an object of OBJECT and OBJECT_TOP.
        views: what the policy sees.
        depth: of these, the depth views, which show no colours.
    """
    colour = bool({*views} - {*depth})
    if not views:
        return cell.name != "none"
    if cell.family is not None:
        return not colour and cell.family not in ("camera", "distractors", "all")
    variation, usual = VARIATIONS[cell.name], VARIATIONS["none"]
    if cell.name == "none" or variation.right_m or variation.left_deg:
        return False
    painted = {*task.looks.values(), *task.tops.values()}
    recoloured = variation.colours != usual.colours
    return not colour or (recoloured and not painted & {*usual.colours})
