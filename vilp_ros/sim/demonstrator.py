"""A scripted expert that demonstrates: where it starts, what disturbs it, when it is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vilp_ros.sim.env import Observation, SimEnv
from vilp_ros.sim.experts import Expert, make_expert
from vilp_ros.sim.motion import downward, gripper_yaw
from vilp_ros.sim.noise import NoiseBursts
from vilp_ros.sim.play import Player
from vilp_ros.sim.spoiled import SpoiledExpert

_SPOILED_PERIODS, _PLAY_PERIODS = (50, 100), (80, 120)
_START_PERIODS = 25


@dataclass(frozen=True)
class Job:
    """One episode to record."""

    seed: int
    mode: str
    role: str
    noise: float


class Demonstrator:
    """Resets an environment and demonstrates its task.

    Args:
        env: with `action_kind="ee_pose"`.
        job: what to demonstrate; role `suboptimal` fails on purpose, `play` has no task.
        attempt: varies all but the poses at the start.

    Attributes:
        observation: with which the demonstration begins.
        expert: who drives.
    """

    def __init__(self, env: SimEnv, job: Job, attempt: int = 0) -> None:
        self._env = env
        self._plays = job.role == "play"
        mode = 0 if self._plays else env.spec.modes.index(job.mode)
        rng = np.random.default_rng([job.seed, mode, attempt])
        env.reset(job.seed)
        self.observation = _vary_start(env, np.random.default_rng([job.seed, 1]))
        self.expert: Expert = Player(env, rng) if self._plays else make_expert(env, rng, job.mode)
        self._policy: Expert | SpoiledExpert = self.expert
        self._periods_left = env.max_steps
        if self._plays:
            self._periods_left = int(rng.integers(*_PLAY_PERIODS))
        if job.role == "suboptimal":
            self._policy = SpoiledExpert(self.expert, rng, env.spec.disturbance)
            self._periods_left = int(rng.integers(*_SPOILED_PERIODS))
        noise = 0.0 if self._plays else job.noise  # nobody imitates play: it needs no recovery
        self._bursts = NoiseBursts(rng, noise, env.spec.disturbance)
        self._since_success = 0

    @property
    def done(self) -> bool:
        """Whether the demonstration is over, well or badly."""
        return self._periods_left <= 0 or self._since_success > self._env.spec.after_success

    def act(self, observation: Observation) -> tuple[np.ndarray, bool]:
        """Target (8,) for the next control period, and whether noise disturbs it."""
        # Recovery matters most while the gripper aligns; a grasp is easily lost for good.
        low = self.expert.phase in self._env.spec.disturbance.careful
        action = self._policy.act(observation)
        self._periods_left -= 1
        return self._bursts.apply(action, 1.4 if low else 0.5, fingers=low)

    def after(self, success: bool) -> None:
        """Tells whether the task is done at the end of a control period."""
        self._since_success = self._since_success + 1 if success and not self._plays else 0


def _vary_start(env: SimEnv, rng: np.random.Generator) -> Observation:
    """Moves the arm off its rest pose in half of the episodes; the same for every mode."""
    observation = env.observe()
    if rng.random() < 0.5:
        return observation
    *xyz, turn = env.spec.disturbance.start
    position = observation.ee_pose[:3] + rng.uniform(-1, 1, 3) * xyz
    yaw = gripper_yaw(observation.ee_pose[3:]) + rng.uniform(-1, 1) * turn
    start = downward(position, yaw, observation.gripper_width)
    for _ in range(_START_PERIODS):
        env.apply(start)
    return env.observe()
