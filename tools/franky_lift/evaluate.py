"""Count how often a bundle lifts franky-sim's cube over libfranka's protocol, with the real nodes.

    .venv/bin/python -m tools.franky_lift.evaluate --model models/ldp_franky --json franky.json

An episode begins with the hand above the middle and the cube where its seed says, and ends when the
cube has been up for `HELD_S`, or after `--limit` seconds of the simulator's time. It counts if the
cube is then `LIFTED_M` higher than it lay, by the simulator's own account.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from tools.franky_lift.arm import PATIENCE_S, Arm, session
from tools.franky_lift.world import CUBE_M, LIFTED_M, lifted, place
from vilp_ros.data.recording import bundle_hash
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.statistics import proportion, wilson
from vilp_ros.figures import add_json, write_figures
from vilp_ros.ros import qos
from vilp_ros.ros.files import find_model

NODES = ("franka_driver", "observation", "planner", "controller")
HELD_S = 2.0


class Held:
    """When an episode is over.

    Args:
        limit_s: at the latest, from its begin.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._up_s = limit_s, -1.0

    def over(self, time_s: float, up: bool) -> bool:
        """Whether it is, `time_s` after its begin, with the cube up or not."""
        self._up_s = (time_s if self._up_s < 0 else self._up_s) if up else -1.0
        return time_s >= self._limit_s or (up and time_s - self._up_s >= HELD_S)


def summary(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Success with its Wilson interval, reflexes."""
    wins, count = sum(episode["lifted"] for episode in episodes), len(episodes)
    return {
        "episodes": count,
        "lifted": wins,
        "wilson_95": wilson(wins, count),
        "reflexes": sum(episode["reflexes"] for episode in episodes),
    }


def run_episode(arm: Arm, seed: int, limit_s: float) -> dict[str, Any]:
    """One episode, told in figures."""
    arm.call(SetBool, "controller/enable", data=False)
    reflexes = arm.reflexes
    arm.prepare(seed)
    arm.demand("planner/new_episode")
    held, highest = Held(limit_s), 0.0
    arm.call(SetBool, "controller/enable", data=True)
    began_s, began_wall_s = arm.world.time(), time.monotonic()

    def over() -> bool:
        nonlocal highest
        cube = arm.world.cube()
        highest = max(highest, float(cube[2]) - CUBE_M / 2)
        return held.over(arm.world.time() - began_s, lifted(cube))

    arm.wait(over, "the end of the episode", PATIENCE_S)
    cube, seconds = arm.world.cube(), arm.world.time() - began_s
    return {
        "seed": seed,
        "place": place(seed).tolist(),
        "lifted": lifted(cube),
        "height_m": float(cube[2]) - CUBE_M / 2,
        "highest_m": highest,
        "seconds": seconds,
        "real_time_factor": seconds / (time.monotonic() - began_wall_s),
        "reflexes": arm.reflexes - reflexes,
        "holds": int(arm.values.get("controller", {}).get("holds", 0)),
    }


def table(report: dict[str, Any]) -> Table:
    """Of the report, for people."""
    told = proportion(report["lifted"], report["episodes"])
    title = f"{report['model']}: cube lifted by {LIFTED_M} m: {told}, {report['reflexes']} reflexes"
    rows = Table(title=title)
    for name in ("seed", "lifted", "highest mm", "seconds", "reflexes", "real time"):
        rows.add_column(name)
    for e in report["runs"]:
        high, factor = f"{1e3 * e['highest_m']:.0f}", f"{e['real_time_factor']:.2f}"
        verdict = "yes" if e["lifted"] else "no"
        rows.add_row(
            str(e["seed"]), verdict, high, f"{e['seconds']:.1f}", str(e["reflexes"]), factor
        )
    return rows


def main() -> None:
    """Evaluates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="bundle: a folder, or a name in models/")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed-start", type=int, default=700_000)
    parser.add_argument("--limit", type=float, default=20.0, help="simulated seconds an episode")
    parser.add_argument("--contract", default="fr3_direct")
    add_json(parser)
    args = parser.parse_args()
    console, runs = Console(), []
    model = find_model(args.model)
    words = [f"contract:={args.contract}", f"model:={model}", "enabled:=false"]
    with tempfile.TemporaryDirectory(prefix="franky_") as folder:
        try:
            with session(Path(folder), words, NODES) as arm:
                plans: list[Image] = []
                arm.create_subscription(Image, "planner/plan", plans.append, qos.NEWEST)
                arm.wait(lambda: plans, "the first plan", PATIENCE_S)
                for seed in range(args.seed_start, args.seed_start + args.episodes):
                    runs.append(run_episode(arm, seed, args.limit))
                    plans.clear()
                    verdict = "lifted" if runs[-1]["lifted"] else "not lifted"
                    console.print(f"{len(runs)}/{args.episodes}  seed {seed}  {verdict}")
        except KeyboardInterrupt:
            console.print(f"broken off after {len(runs)} of {args.episodes} episodes")
        except VilpError as error:
            console.print((Path(folder) / "nodes.log").read_text()[-3000:], markup=False)
            raise SystemExit(f"{type(error).__name__}: {error}") from None
    report = {"model": model.name, "bundle_sha256": bundle_hash(model), **summary(runs)}
    report |= {"limit_s": args.limit, "load": os.getloadavg(), "runs": runs}
    console.print(table(report))
    write_figures(args.json, report)


if __name__ == "__main__":
    main()
