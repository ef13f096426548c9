"""The scripted expert of each task."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vilp_ros.sim.block_expert import BlockExpert
from vilp_ros.sim.env import Observation, SimEnv, SimError


class Expert(Protocol):
    """A scripted policy that sees the truth.

    Attributes:
        mode: which of several ways it takes; the same throughout an episode.
        phase: what it is doing, for people.
    """

    mode: str
    phase: str

    def act(self, observation: Observation) -> np.ndarray:
        """Absolute target (8,): xyz, quaternion xyzw in the base frame, gripper width."""


# Modes that are recorded at every pose of the objects; None lets the expert draw one.
MODES: dict[str, tuple[str, ...]] = {"lift": ("nearest",), "lift_wide": ("nearest", "other")}


def make_expert(env: SimEnv, rng: np.random.Generator, mode: str | None = None) -> Expert:
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
    side = None if env.task == "lift_wide" else "none"
    return BlockExpert(env, rng, mode if mode or side is None else "nearest", side)
