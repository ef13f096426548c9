"""Draws docs/images/tasks.png: each task as its cameras see it, in the middle of a demonstration.

python tools/task_pictures.py [--out docs/images/tasks.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from vilp_ros.sim import TASKS
from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.env import SimEnv

SEED = 1000
MOMENTS = {
    "arrange_blocks": 125,
    "can": 70,
    "hanoi": 250,
    "lift": 20,
    "lift_wide": 35,
    "move_stack": 200,
    "push_t": 75,
}
SCALE, BAND = 2, 22


def picture(task: str) -> np.ndarray:
    """Both views of a task, under its name: (H, W, 3) uint8 rgb."""
    with SimEnv(task) as env:
        demonstrator = Demonstrator(env, Job(SEED, env.spec.modes[0], "expert", 0.0))
        observation = demonstrator.observation
        for _ in range(MOMENTS.get(task, 60)):
            env.apply(demonstrator.act(observation)[0])
            observation = env.state()
        images = env.observe().images
    views = np.concatenate([images[view] for view in env.views], axis=1)
    large = cv2.resize(views, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)
    band = np.full((BAND, large.shape[1], 3), 24, np.uint8)
    cv2.putText(band, task, (8, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255,) * 3, 1, cv2.LINE_AA)
    return np.concatenate([band, large])


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/tasks.png"))
    args = parser.parse_args()
    tiles = [picture(task) for task in TASKS]
    tiles += [np.full_like(tiles[0], 24)] * (len(tiles) % 2)
    rows = [np.concatenate(tiles[i : i + 2], axis=1) for i in range(0, len(tiles), 2)]
    cv2.imwrite(str(args.out), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
