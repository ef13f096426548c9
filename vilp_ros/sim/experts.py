"""The scripted expert of each task."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.block_expert import BlockExpert
from vilp_ros.sim.env import SimEnv, SimError
from vilp_ros.sim.pick_expert import PickExpert
from vilp_ros.sim.place_expert import can_expert, nut_expert

# Modes that are recorded at every pose of the objects; None lets the expert draw one.
MODES: dict[str, tuple[str, ...]] = {
    "lift": ("nearest",),
    "lift_wide": ("nearest", "other"),
    "can": ("direct",),
    "square": ("direct",),
}


def make_expert(env: SimEnv, rng: np.random.Generator, mode: str | None = None) -> PickExpert:
    """Expert for the task of `env`, after its reset.

    Args:
        env: a task with `action_kind="ee_pose"`.
        rng: draws what the mode leaves open.
        mode: one of `MODES[task]`, None to draw it; `mean` (lift tasks) blends the modes.

    Raises:
        SimError: the environment takes joint targets, or the mode is unknown.
    """
    if env.action_kind != "ee_pose":
        raise SimError(f"experts give ee_pose targets; this environment takes {env.action_kind}")
    modes = (*MODES[env.task], *(["mean"] if env.task.startswith("lift") else []))
    if mode is not None and mode not in modes:
        raise SimError(f"unknown mode {mode!r} of {env.task}: choose from {', '.join(modes)}")
    if env.task == "can":
        return can_expert(env)
    if env.task == "square":
        return nut_expert(env)
    if env.task == "lift":
        return BlockExpert(env, rng, mode or "nearest", side="none")
    return BlockExpert(env, rng, mode)
