"""Draws docs/images/robust.png: looks that training never drew, and what a bundle sees in them.

A column a family; of each view what the camera sees, and below it what the bundle sees, decoded.

python tools/look_pictures.py [--bundle models/ldp_lift_wide] [--out docs/images/robust.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe, encode
from vilp_ros.evaluation.closed_loop.rollout import make_env
from vilp_ros.policy.policy import Policy
from vilp_ros.sim.look import FAMILIES

SEED, STRENGTH, GAP = 1000, 0.5, 4


def column(recipe: PolicyRecipe, policy: Policy, family: str, seed: int) -> np.ndarray:
    """Of each view what is seen, and below what the bundle sees in it: (H, W, 3) uint8 rgb."""
    with make_env(recipe, policy.spec.task, f"{family}@{STRENGTH}") as env:
        observation = env.reset(seed)
        state = encode(policy, observation, None)
        plan = policy.plan(state, policy.noise(seed))
        seen = policy.decode(plan)[0]
    rows = []
    for view, decoded in zip(policy.spec.views, seen, strict=True):
        rows += [observation.images[view], decoded]
    picture = np.concatenate(rows)
    return np.pad(picture, ((0, 0), (0, GAP), (0, 0)), constant_values=255)


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="models/ldp_lift_wide")
    parser.add_argument("--out", type=Path, default=Path("docs/images/robust.png"))
    args = parser.parse_args()
    recipe = PolicyRecipe(args.bundle)
    policy = recipe.load()
    families = (*FAMILIES, "all")
    columns = [column(recipe, policy, family, SEED + i) for i, family in enumerate(families)]
    cv2.imwrite(str(args.out), np.concatenate(columns, axis=1)[:, :-GAP, ::-1])


if __name__ == "__main__":
    main()
