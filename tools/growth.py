"""What each cost grows by: measured at a few sizes, in seconds of one core, with a straight line.

    .venv/bin/python tools/growth.py --json runs/growth.json

Seconds of the processor, not of the wall: what else runs on the machine counts little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from big_set import PERIODS, VIEWS, episode
from rich.console import Console
from rich.table import Table

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.table import Source, load_table, write_frames
from vilp_ros.figures import write_figures
from vilp_ros.policy.bundle import load_policy, save_untrained
from vilp_ros.policy.frame_codec import build_autoencoder
from vilp_ros.policy.spec import load_spec
from vilp_ros.training.claim import fingerprint
from vilp_ros.training.config import load_recipe
from vilp_ros.training.features import write_latents

SHIPPED = "models/ldp_lift"
Points = dict[str, tuple[float, float]]
"""Of each cost, at what size it is how many seconds."""


def cost(do: Callable[..., object], *args: object, times: int = 1) -> float:
    """Seconds of the processor, one call; the first does not count where there are several."""
    if times > 1:
        do(*args)
    began = time.process_time()
    for _ in range(times):
        do(*args)
    return (time.process_time() - began) / times


def of_episodes(folder: Path, count: int) -> Points:
    """Of what is done once for a training, by frames of one view; of the writer, by episodes."""
    path, laid, latents = folder / "e.hdf5", folder / "frames.npy", folder / "latents.npy"
    frames, spec, made = count * (PERIODS + 1), load_spec(SHIPPED), episode(0)
    with EpisodeWriter(path, task="big_set") as writer:
        spent = sum(cost(writer.add, replace(made, seed=i)) for i in range(count))
    (folder / "r.yaml").write_text(f"data: {{expert: [{{path: {path}}}]}}")
    recipe, source = load_recipe(folder / "r.yaml", ["name=x"]), [Source(str(path), "expert")]
    found = {
        "writing an episode": (count, spent),
        "hashing": (frames, cost(fingerprint, recipe)),
        "reading numbers": (frames, cost(load_table, source, VIEWS)),
        "laying out": (frames, cost(write_frames, source, VIEWS[0], laid)),
    }
    vae = build_autoencoder(spec.policy.autoencoder, (96, 160))
    with closing(DiskArray(laid)) as array:
        dim = spec.layout.latent_dim
        found["encoding"] = (frames, cost(write_latents, vae, array, dim, latents))
        some = np.sort(np.random.default_rng(0).integers(0, frames, 64))
        found["a batch of 64"] = (frames, cost(array.__getitem__, some, times=20))
    path.unlink()
    return found


def of_a_plan(folder: Path, kind: str, size: int) -> Points:
    """Of encoding and planning, by views or by horizon."""
    config = load_spec(SHIPPED).policy
    config.engine = "torch"
    config.horizon = size if kind == "horizon" else config.horizon
    views = {f"view{i}": (96, 160) for i in range(size if kind == "views" else 2)}
    save_untrained(folder / "bundle", views, policy=config)
    policy = load_policy(folder / "bundle", device="cpu")
    seen = np.zeros((len(views), 96, 160, 3), np.uint8), np.zeros(10), None
    state, noise = policy.encode(*seen), policy.noise(0)
    return {
        f"encoding, {kind}": (size, cost(policy.encode, *seen, times=20)),
        f"planning, {kind}": (size, cost(policy.plan, state, noise, None, times=20)),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        runs = [of_episodes(Path(folder), count) for count in (12, 24, 48)]
        runs += [of_a_plan(Path(folder), "views", size) for size in (1, 2, 4, 8)]
        runs += [of_a_plan(Path(folder), "horizon", size) for size in (4, 8, 16, 32)]
    found: dict[str, list[tuple[float, float]]] = {}
    for name, point in ((name, point) for run in runs for name, point in run.items()):
        found.setdefault(name, []).append(point)
    table = Table("cost", "measured: size, seconds of a core", "fixed s", "s for each", "worst, %")
    fits = {}
    for name, points in found.items():
        size, spent = np.array(points).T
        each, fixed = np.polyfit(size, spent, 1)
        worst = float(np.abs(spent / (fixed + each * size) - 1).max())
        fits[name] = {"points": points, "fixed": fixed, "each": each, "worst": worst}
        shown = ", ".join(f"{n:g}: {s:.3g}" for n, s in points)
        table.add_row(name, shown, f"{fixed:.2g}", f"{each:.2g}", f"{100 * worst:.0f}")
    Console(width=120).print(table)
    write_figures(args.json, fits)


if __name__ == "__main__":
    main()
