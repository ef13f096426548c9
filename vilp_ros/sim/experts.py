"""The scripted experts: what they have in common, and the one of a task."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vilp_ros.sim.env import Observation, SimEnv, SimError


class Expert(Protocol):
    """Drives the arm by what is true of the objects.

    Attributes:
        mode: which of the task's ways is taken.
        side: over which side of the object, where that matters.
        phase: what it does now, one of `PHASES`.
        aim: (2,) metres added to where the object is taken to be; zero, but for spoiled experts.
    """

    PHASES: tuple[str, ...]
    mode: str
    side: str
    phase: str
    aim: np.ndarray

    def act(self, observation: Observation) -> np.ndarray:
        """Next absolute target (8,)."""


def make_expert(env: SimEnv, rng: np.random.Generator, mode: str | None = None) -> Expert:
    """Expert for the task of `env`, after its reset.

    Args:
        env: a task with `action_kind="ee_pose"`.
        rng: draws what the mode leaves open.
        mode: one of the task's `modes` or `blends`, None to draw a mode.

    Raises:
        SimError: the environment takes joint targets, or the mode is unknown.
    """
    if env.action_kind != "ee_pose":
        raise SimError(f"experts give ee_pose targets; this environment takes {env.action_kind}")
    known = (*env.spec.modes, *env.spec.blends)
    if mode is None:
        mode = str(rng.choice(env.spec.modes))
    if mode not in known:
        raise SimError(f"unknown mode {mode!r} of {env.task}: choose from {', '.join(known)}")
    return env.spec.expert(env, rng, mode)
