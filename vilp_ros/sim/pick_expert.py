"""Grasping with a funnel: what the experts of all tasks share.

The height that the approach aims for is a function of how well the gripper is aligned with the
object: it sinks while it aligns, stays up until it is aligned, and rises again when disturbed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vilp_ros.sim.env import MAX_WIDTH, Observation, SimEnv
from vilp_ros.sim.motion import gripper_yaw, ramp, towards

# (aligned enough to be down, so bad that it must be up)
XY_GATE = (0.006, 0.015)  # m
YAW_GATE = (np.deg2rad(4), np.deg2rad(12))
OPEN_GATE = (0.004, 0.020)  # m short of fully open
# Within these the fingers close.
GRASP_XY, GRASP_HEIGHT, GRASP_YAW = 0.010, 0.008, np.deg2rad(8)
STALL_STEPS = 4
SIDES = {"left": 0.08, "right": -0.08, "none": 0.0}  # m, along y of the base frame


@dataclass(frozen=True)
class Shape:
    """How an object is grasped; heights are of the fingertips' middle above the grasp point.

    Attributes:
        width: metres between the fingers when they hold it.
        clear: height at which the fingertips pass over it, metres.
        hover: height at which the gripper aligns, metres.
        waypoint: height of the way there, metres.
    """

    width: float
    clear: float = 0.05
    hover: float = 0.09
    waypoint: float = 0.15


class PickExpert:
    """Approaches, closes, and carries; a task says where and what then.

    Args:
        env: the task.
        shape: how its object is grasped.
        mode: which of the task's ways is taken.
        side: the way there passes `left` or `right` of the object, or straight to it (`none`).

    Attributes:
        aim: (2,) metres added to where the object is taken to be; zero, but for spoiled experts.
    """

    PHASES: tuple[str, ...] = ("approach", "close", "carry")

    def __init__(self, env: SimEnv, shape: Shape, mode: str, side: str = "none") -> None:
        self.mode, self.side = mode, side
        self.phase = "approach"
        self.aim = np.zeros(2)
        self._env = env
        self._shape = shape
        self._lateral = SIDES[side]
        self._stalled = 0

    def act(self, observation: Observation) -> np.ndarray:
        """Next absolute target (8,)."""
        position, yaw = self._grasp()
        position[:2] += self.aim
        self._choose_phase(observation, position, yaw)
        if self.phase == "approach":
            return self._approach(observation, position, yaw)
        if self.phase == "close":
            return towards(observation, position, yaw, 0.0)
        return self._carry(observation, position, yaw)

    def _grasp(self) -> tuple[np.ndarray, float]:
        """Where the object is grasped now: (3,) metres and the gripper's yaw."""
        raise NotImplementedError

    def _carry(self, observation: Observation, position: np.ndarray, yaw: float) -> np.ndarray:
        """Next absolute target (8,) with the object in hand, or after."""
        raise NotImplementedError

    def _choose_phase(self, observation: Observation, position: np.ndarray, yaw: float) -> None:
        off = observation.ee_pose[:3] - position
        if self.phase == "approach":
            turned = abs(yaw - gripper_yaw(observation.ee_pose[3:]))
            if np.hypot(*off[:2]) < GRASP_XY and abs(off[2]) < GRASP_HEIGHT and turned < GRASP_YAW:
                self.phase = "close"
                self._stalled = 0
        elif self.phase in ("close", "carry"):
            width = observation.gripper_width
            if width < self._shape.width - 0.012 or np.linalg.norm(off) > 0.04:
                self.phase = "approach"  # closed on nothing, or lost the object
                return
            self._stalled = self._stalled + 1 if width < self._shape.width + 0.003 else 0
            if self._stalled >= STALL_STEPS:
                self.phase = "carry"

    def _approach(self, observation: Observation, position: np.ndarray, yaw: float) -> np.ndarray:
        shape, ee = self._shape, observation.ee_pose[:3]
        height = ee[2] - position[2]
        now = gripper_yaw(observation.ee_pose[3:])
        distance = float(np.hypot(*(ee - position)[:2]))
        # The way past the side is a function of height: off to it above the hover height, over
        # the object at it.
        outside = ramp(height, shape.hover + 0.015, shape.waypoint - 0.01)
        aim = position[:2] + np.array([0.0, self._lateral * outside])
        misaligned = max(
            ramp(distance, *XY_GATE),
            ramp(abs(yaw - now), *YAW_GATE),
            ramp(MAX_WIDTH - observation.gripper_width, *OPEN_GATE),
        )
        if misaligned < 1:
            target_height = misaligned * shape.hover
        else:
            far = ramp(float(np.hypot(*(ee[:2] - aim))), 0.02, 0.05)
            target_height = shape.hover + far * (shape.waypoint - shape.hover)
        # Low beside the object or askew around it, first rise clear of it.
        free = ramp(height, shape.clear / 2, shape.clear)
        xy = ee[:2] + (aim - ee[:2]) * (free if distance > XY_GATE[1] else 1.0)
        goal_yaw = yaw if abs(yaw - now) < YAW_GATE[1] or free > 0 else now
        goal = np.array([*xy, position[2] + target_height])
        return towards(observation, goal, goal_yaw, MAX_WIDTH)
