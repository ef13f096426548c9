"""Play: an arm that moves about and grasps what lies there, with no task in mind.

What an action does to the arm can be learned from it, what should be done cannot.
"""

from __future__ import annotations

import numpy as np

from vilp_ros.geometry import quat_multiply, yaw_quat
from vilp_ros.sim.env import MAX_WIDTH, Observation, SimEnv
from vilp_ros.sim.motion import gripper_yaw, object_yaw, towards, wrap

REACH = (0.14, 0.16)  # m to each side of the rest pose
HEIGHT = 0.06  # m above the rest pose
PACE = (0.012, 0.05)  # m that a target is ahead of the arm
SEGMENT = (8, 30)  # control periods at most
ASIDE, ASKEW = 0.01, 0.1  # of a grasp: standard deviation, m and rad
THINGS = 0.75  # of the grasps are of things, the others of the air
_RETURN, _KICK = 0.8, (0.003, 0.003, 0.003, 0.03)


class Player:
    """Reaches for random points, grasps, opens: one segment after another, at random paces.

    It knows where things lie, so that the hand meets them, and nothing of what they are for.

    Args:
        env: a task with `action_kind="ee_pose"`, after its reset; axes, yaw and fingers that its
            `disturbance` keeps still, play keeps still too.
        rng: source of all draws.

    Attributes:
        phase: `reach`, `descend`, `close` or `open`.
    """

    PHASES: tuple[str, ...] = ("reach", "descend", "close", "open")

    def __init__(self, env: SimEnv, rng: np.random.Generator) -> None:
        self.mode, self.side = "play", "none"
        self.aim = np.zeros(2)
        self._env, self._rng = env, rng
        may = env.spec.disturbance
        self._moves = np.array(may.position) > 0
        self._turns, self._grasps = may.yaw > 0, may.fingers
        rest = env.state()
        self._rest, self._rest_yaw = rest.ee_pose[:3], gripper_yaw(rest.ee_pose[3:])
        self._width = rest.gripper_width if not self._grasps else MAX_WIDTH
        self._kick = _KICK * np.array([*self._moves, self._turns])
        self._wander = np.zeros(4)
        self._below: np.ndarray | None = None
        self._goal, self._yaw = self._rest, self._rest_yaw
        self._begin("reach")

    def act(self, observation: Observation) -> np.ndarray:
        """Absolute target (8,)."""
        there = float(np.linalg.norm(self._goal - observation.ee_pose[:3])) < 0.01
        if self._left <= 0 or (there and self.phase in ("reach", "descend")):
            self._next()
        self._left -= 1
        pace, turn = self._pace, self._turn
        action = towards(observation, self._goal, self._yaw, self._width, pace, turn)
        self._wander = _RETURN * self._wander + self._rng.normal(size=4) * self._kick
        action[:3] += self._wander[:3]
        action[3:7] = quat_multiply(yaw_quat(self._wander[3]), action[3:7])
        return action

    def _next(self) -> None:
        """Down after a reach above something, closed when down; else anything."""
        if self.phase == "reach" and self._below is not None:
            self._goal = np.where(self._moves, self._below, self._goal)
            self._below = None
            self._begin("descend")
        elif self.phase == "descend":
            self._width = 0.0
            self._begin("close")
        elif self._grasps and self._width < MAX_WIDTH and self._rng.random() < 0.4:
            # Mostly all the way: a hand that opens in part is seldom of use.
            wide = self._rng.random() < 0.7
            self._width = MAX_WIDTH if wide else float(self._rng.uniform(0, MAX_WIDTH))
            self._begin("open")
        else:
            self._reach()
            self._begin("reach")

    def _begin(self, phase: str) -> None:
        rng = self._rng
        self.phase = phase
        self._pace, self._turn = rng.uniform(*PACE), rng.uniform(0.05, 0.3)
        self._left = int(rng.integers(*SEGMENT)) if phase in ("reach", "descend") else 8

    def _reach(self) -> None:
        rng, things = self._rng, list(self._env.truth().values())
        floor = min(pose[2] for pose in things)
        x, y = rng.uniform(-1, 1, 2) * REACH
        point = np.array([*(self._rest[:2] + (x, y)), floor])
        yaw = rng.uniform(-np.pi / 2, np.pi / 2)
        if self._grasps and self._width == MAX_WIDTH and rng.random() < 0.6:
            if rng.random() < THINGS:
                thing = things[rng.integers(len(things))]
                point = thing[:3] + [*rng.normal(0, ASIDE, 2), 0.0]
                yaw = object_yaw(thing) + rng.integers(4) * np.pi / 2 + rng.normal(0, ASKEW)
            self._below = point
            height = point[2] + rng.uniform(0.06, 0.12)
        else:
            height = rng.uniform(floor, self._rest[2] + HEIGHT)
        self._goal = np.where(self._moves, [*point[:2], height], self._rest)
        self._yaw = float(wrap(yaw, np.pi)) if self._turns else self._rest_yaw
