"""Train on more frames than memory may hold, and see how much memory that takes.

    .venv/bin/python tools/big_set.py --gb 20 --limit-gb 3 --out runs/big_set

Writes a dataset of made-up frames (once; 96x160, two views), trains a small LDP on it in a process
that may not allocate more than the limit, and leaves memory.json (the curve), train.log and the
bundle beside it. Needs about twice the disk. Exit code 1 if the training does not end.

    .venv/bin/python tools/big_set.py --gb 1 --out runs/fits --against-memory

says instead how many steps a second an autoencoder takes with its frames on disk and in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml

from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.figures import write_figures
from vilp_ros.policy.frame_codec import build_autoencoder
from vilp_ros.training.autoencoder import AutoencoderObjective
from vilp_ros.training.config import load_recipe
from vilp_ros.training.loop import fit
from vilp_ros.training.work import Work

VIEWS = ("agentview", "eye_in_hand")
HEIGHT, WIDTH, PERIODS = 96, 160, 400
RECIPE = {
    "name": "big_set",
    "policy": {
        "autoencoder": {"latent_dim": 16, "channels": [8, 8, 8]},
        "planner": {"width": 64, "depth": 2},
        "idm": {"width": 64},
    },
    "autoencoder": {"optim": {"steps": 200, "batch_size": 64}},
    "planner": {"optim": {"steps": 200}},
    "idm": {"optim": {"steps": 200}},
}


def episode(seed: int) -> Episode:
    """A hand that circles in front of a sliding pattern."""
    rng = np.random.default_rng(seed)
    n = PERIODS + 1
    phase = rng.uniform(0, 2 * np.pi) + 0.05 * np.arange(n)
    pose = np.zeros((n, 7))
    pose[:, 0], pose[:, 1], pose[:, 2] = 0.5 + 0.1 * np.cos(phase), 0.1 * np.sin(phase), 0.3
    pose[:, 3] = 1.0
    width = 0.04 + 0.02 * np.sin(phase)
    pattern = rng.integers(0, 255, (HEIGHT, 2 * WIDTH, 3), dtype=np.uint8)
    slide = ((WIDTH / 2) * (1 + np.cos(phase))).astype(int)
    frames = np.stack([pattern[:, s : s + WIDTH] for s in slide])
    return Episode(
        images=dict.fromkeys(VIEWS, frames),
        ee_pose=pose,
        gripper_width=width,
        joint_position=np.zeros((n, 7)),
        joint_velocity=np.zeros((n, 7)),
        actions=np.concatenate([pose[1:], width[1:, None]], axis=1),
        disturbed=np.zeros(n - 1, bool),
        role="expert",
        success=True,
        seed=seed,
    )


def write(path: Path, gigabytes: float) -> int:
    """The dataset, gone on with where it was cut off; how many frames it holds."""
    frames = len(VIEWS) * (PERIODS + 1)
    wanted = max(12, round(gigabytes * 1e9 / (frames * HEIGHT * WIDTH * 3)))
    with EpisodeWriter(path, task="big_set") as writer:
        for seed in range(len(writer.seeds), wanted):
            writer.add(episode(seed))
    file = EpisodeFile(path)
    count = len(file) * frames
    file.close()
    return count


def write_recipe(folder: Path) -> Path:
    """A small LDP of the dataset."""
    path, data = folder / "recipe.yaml", {"expert": [{"path": str(folder / "big.hdf5")}]}
    path.write_text(yaml.safe_dump(RECIPE | {"data": data}))
    return path


def train(folder: Path, limit_gb: float) -> tuple[int, list[tuple[float, float, float]]]:
    """Exit code, and (seconds, private GB, resident GB) of all its processes while it trained."""
    recipe = write_recipe(folder)
    limit = int(limit_gb * 1e9)
    words = [
        "--config",
        str(recipe),
        "--out",
        str(folder / "bundle"),
        "--work",
        str(folder / "work"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "vilp_ros", "train", *words],
        stderr=(folder / "train.log").open("w"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    curve, began_s = [], time.monotonic()
    while process.poll() is None:
        sizes = [_memory(pid) for pid in _processes(process.pid)]
        private, resident = (sum(size) for size in zip(*sizes))
        curve.append((time.monotonic() - began_s, private, resident))
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            continue
    return process.returncode, curve


def _processes(pid: int) -> list[int]:
    """A process and all that came from it."""
    found = [pid]
    with contextlib.suppress(OSError):  # it ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _processes(int(child))
    return found


def _memory(pid: int) -> tuple[float, float]:
    """Private and resident GB; what processes share counts in each."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0.0
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    private, resident = (int(sizes.get(k, "0").split()[0]) / 1e6 for k in ("RssAnon", "VmRSS"))
    return private, resident


def against_memory(folder: Path, rounds: int = 4, steps: int = 50) -> dict[str, list[float]]:
    """Steps a second of the smallest autoencoder, which waits the most for its frames."""
    torch.set_num_threads(1)
    write_recipe(folder)
    recipe = load_recipe(folder / "recipe.yaml", ["name=x"])
    work = Work(recipe, folder)
    table, training, held_out = work.table()
    on_disk = work.frames(VIEWS[0])
    sources = {"disk": on_disk, "memory": on_disk[:]}
    optim = replace(recipe.autoencoder.optim, steps=steps, validate_every=10 * steps)
    found: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, frames in sources.items():
            vae = build_autoencoder(recipe.policy.autoencoder, (HEIGHT, WIDTH))
            objective = AutoencoderObjective(
                vae, table, frames, training, held_out, recipe.autoencoder
            )
            with tempfile.TemporaryDirectory() as parts:
                notes = fit("autoencoder", objective, optim, Path(parts), seed=0)
            found[name].append(steps / notes["seconds"])
    work.drop_frames()
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gb", type=float, default=20, help="of frames, unpacked")
    parser.add_argument("--limit-gb", type=float, default=3, help="most that may be allocated")
    parser.add_argument("--out", type=Path, default=Path("runs/big_set"))
    parser.add_argument("--against-memory", action="store_true", help="compare instead")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    frames = write(args.out / "big.hdf5", args.gb)
    wrote_s = time.monotonic() - began_s
    if args.against_memory:
        found = against_memory(args.out)
        ratio = max(found["disk"]) / max(found["memory"])
        write_figures(args.out / "against_memory.json", found | {"frames": frames, "ratio": ratio})
        sys.stdout.write(f"{found}\nbest of disk over best of memory: {ratio:.2f}\n")
        return
    code, curve = train(args.out, args.limit_gb)
    peak = {name: max(row[i] for row in curve) for i, name in enumerate(("private", "resident"), 1)}
    gigabytes = frames * HEIGHT * WIDTH * 3 / 1e9
    figures = {"frames": frames, "gb": gigabytes, "limit_gb": args.limit_gb, "write_s": wrote_s}
    figures |= {"train_s": curve[-1][0], "peak_gb": peak, "exit_code": code}
    sys.stdout.write(f"{figures}\n")
    thinned = curve[:: max(1, len(curve) // 200)]
    write_figures(args.out / "memory.json", figures | {"s_private_resident": thinned})
    sys.exit(code != 0)


if __name__ == "__main__":
    main()
