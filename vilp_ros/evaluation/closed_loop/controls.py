"""The rows that stand beside every score, so that it means something.

All go through the same `rollout`: a script that sees (is the task solvable?), a blind script (does
the task give itself away?), one denoising step (does sampling matter?), an oracle (what would a
perfect planner score?), and bundles trained on less (proprio only, behaviour cloning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import (
    OracleRecipe,
    PolicyRecipe,
    ScriptRecipe,
    recorded_seeds,
)
from vilp_ros.evaluation.closed_loop.rollout import Recipe
from vilp_ros.policy.spec import BundleSpec, load_spec

ABOUT = {
    "policy": "the bundle",
    "expert": "the script that recorded the demonstrations, told where the object is",
    "blind": "the same script, told only where objects are on average",
    "ddim1": "the bundle with one denoising step",
    "oracle": "the bundle's inverse dynamics, fed with recorded futures instead of plans",
    "proprio": "a policy trained without images",
    "bc": "behaviour cloning from the same latents",
}
SCRIPTED = ("expert", "blind")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: key in the JSON file.
        about: what drives the arm.
        recipe: makes the agent.
        seeds: one episode each.
    """

    name: str
    about: str
    recipe: Recipe
    seeds: tuple[int, ...]


def choose(wanted: str, spec: BundleSpec, bundles: dict[str, str]) -> list[str]:
    """Names of the controls to run.

    Args:
        wanted: `all`, `none` or names with commas between them.
        spec: the bundle that is judged.
        bundles: control bundles by name, see `name_bundles`.

    Raises:
        VilpError: a name that is unknown or needs a bundle that was not given, or a bundle that was
            given for no name.
    """
    derived = ["ddim1"] if spec.method_class.denoises else []
    derived += ["oracle"] if spec.method_class.plans_states else []
    possible = [*SCRIPTED, *derived, *bundles]
    if wanted == "all":
        return possible
    names = [] if wanted == "none" else [name.strip() for name in wanted.split(",")]
    if left := [name for name in bundles if name not in names]:
        raise VilpError(
            f"--control-bundles has {bundles[left[0]]}, which --controls {wanted} leaves out: name "
            f"{left[0]!r} there too, or do not give it"
        )
    for name in names:
        if name in ("bc", "proprio") and name not in bundles:
            raise VilpError(
                f"control {name!r} is a trained bundle: give it with --control-bundles PATH"
            )
        if name not in possible:
            raise VilpError(f"unknown control {name!r}; available: {', '.join(possible)}")
    return names


def name_bundles(paths: Sequence[str], task: str) -> dict[str, str]:
    """Control bundles by what they are: `bc`, `proprio` (no views), else their own name.

    Raises:
        VilpError: a bundle of another task, or two of one name.
    """
    named: dict[str, str] = {}
    for path in paths:
        spec = load_spec(path)
        if spec.task != task:
            raise VilpError(f"control bundle {path} is for task {spec.task!r}, not {task!r}")
        name = "proprio" if not spec.views else "bc" if spec.method == "bc" else spec.name
        if name in named:
            raise VilpError(f"{named[name]} and {path} are both {name!r}: give one of them")
        named[name] = path
    return named


def make_row(
    name: str, policy: PolicyRecipe, seeds: Sequence[int], bundles: dict[str, str], data: Path
) -> Row:
    """The row of a control.

    Args:
        name: one of `choose`'s.
        policy: the bundle that is judged.
        seeds: its seeds; every row but the oracle runs on them.
        bundles: control bundles by name.
        data: episodes for the oracle, which runs on their seeds, as many as `seeds`.
    """
    recipe: Recipe
    about = ABOUT.get(name, "a bundle trained otherwise")
    if name in SCRIPTED:
        recipe = ScriptRecipe(blind=name == "blind")
    elif name == "ddim1":
        recipe = replace(policy, steps=1)
    elif name == "oracle":
        recipe = OracleRecipe(policy, str(data))
        recorded = dict.fromkeys(seed for seed in recorded_seeds(EpisodeFile(data)) if seed >= 0)
        if not recorded:
            raise VilpError(
                f"no episode of {data} says from which seed the simulator placed its objects, "
                "which an oracle needs: name a set of `vilp collect`, or leave --data out"
            )
        return Row(name, about, recipe, tuple(recorded)[: len(seeds)])
    else:
        recipe = replace(policy, bundle=bundles[name], steps=None)
    return Row(name, about, recipe, tuple(seeds))
