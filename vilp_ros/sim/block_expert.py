"""Expert for `lift` and `lift_wide`: comes over one side, aligns, descends, grasps, lifts.

The approach is a funnel: the height it aims for is a function of how well the gripper is aligned,
so it sinks while it aligns, stays up until it is aligned, and rises again when disturbed.
"""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.env import MAX_WIDTH, Observation, SimEnv, SimError
from vilp_ros.sim.motion import gripper_yaw, object_yaw, towards, wrap

HOVER = 0.09  # m, all heights are of the fingertips' middle above the block's centre
WAYPOINT = 0.15
SIDE_OFFSET = 0.08
LIFT_HEIGHT = 0.12
CLEAR = 0.05  # at this height the fingertips pass over the block
# (aligned enough to be down, so bad that it must be up)
XY_GATE = (0.006, 0.015)  # m
YAW_GATE = (np.deg2rad(4), np.deg2rad(12))
OPEN_GATE = (0.004, 0.020)  # m short of fully open
STALL_STEPS = 4
FACES = ("nearest", "other", "mean")
SIDES = ("left", "right", "none")


class BlockExpert:
    """Lifts a block whose opposite faces can be grasped two ways.

    Args:
        env: a lift task.
        rng: draws what `faces` or `side` leaves open.
        faces: `nearest` grasps the pair of faces that asks for the least turn from the rest pose,
            `other` the pair 90 degrees apart, `mean` between both (it fails on a wide block: a
            check that the two modes do not blend). None draws one of the first two.
        side: the approach passes 8 cm `left` or `right` of the block (y of the base frame), or
            goes straight (`none`). None draws left or right.

    Attributes:
        aim: (2,) metres added to where the block is taken to be; zero, but for spoiled experts.

    Raises:
        SimError: unknown faces or side.
    """

    PHASES = ("approach", "close", "lift")

    def __init__(
        self,
        env: SimEnv,
        rng: np.random.Generator,
        faces: str | None = None,
        side: str | None = None,
    ) -> None:
        self.mode = str(rng.choice(FACES[:2])) if faces is None else faces
        self.side = str(rng.choice(SIDES[:2])) if side is None else side
        if self.mode not in FACES or self.side not in SIDES:
            raise SimError(
                f"mode {self.mode!r}, side {self.side!r}: choose from {FACES} and {SIDES}"
            )
        self.phase = "approach"
        self.aim = np.zeros(2)
        self._env = env
        self._lateral = {"left": SIDE_OFFSET, "right": -SIDE_OFFSET, "none": 0.0}[self.side]
        block = env.truth()["cube"]
        self._width = 2 * float(env.model.geom("cube_g0").size[0])
        self._rest_height = block[2]
        self._yaw = _grasp_yaw(object_yaw(block), self.mode)
        self._block_yaw = object_yaw(block)
        self._stalled = 0

    def act(self, observation: Observation) -> np.ndarray:
        """Next absolute target (8,)."""
        block = self._env.truth()["cube"]
        turned = wrap(object_yaw(block) - self._block_yaw, np.pi / 2)  # it may have been bumped
        self._block_yaw += turned
        self._yaw += turned
        block[:2] += self.aim
        self._choose_phase(observation, block)
        ee = observation.ee_pose[:3]
        if self.phase == "lift":
            goal = np.array([ee[0], ee[1], self._rest_height + LIFT_HEIGHT])
            return towards(observation, goal, self._yaw, 0.0)
        if self.phase == "close":
            return towards(observation, block[:3], self._yaw, 0.0)
        return self._approach(observation, block)

    def _choose_phase(self, observation: Observation, block: np.ndarray) -> None:
        ee, width = observation.ee_pose[:3], observation.gripper_width
        off = ee - block[:3]
        if self.phase == "approach":
            yaw_error = abs(self._yaw - gripper_yaw(observation.ee_pose[3:]))
            aligned = np.hypot(*off[:2]) < 0.010 and yaw_error < np.deg2rad(8)
            if aligned and abs(off[2]) < 0.008:
                self.phase = "close"
                self._stalled = 0
            return
        if width < self._width - 0.012 or np.linalg.norm(off) > 0.04:
            self.phase = "approach"  # closed on nothing, or lost the block
            return
        self._stalled = self._stalled + 1 if width < self._width + 0.003 else 0
        if self._stalled >= STALL_STEPS:
            self.phase = "lift"

    def _approach(self, observation: Observation, block: np.ndarray) -> np.ndarray:
        ee = observation.ee_pose[:3]
        height = ee[2] - block[2]
        yaw_error = abs(self._yaw - gripper_yaw(observation.ee_pose[3:]))
        distance = float(np.hypot(*(ee - block[:3])[:2]))
        # The way past the waypoint is a function of height: off to the side above the hover
        # height, over the block at it.
        outside = _ramp(height, HOVER + 0.015, WAYPOINT - 0.01)
        aim = block[:2] + [0.0, self._lateral * outside]
        misaligned = max(
            _ramp(distance, *XY_GATE),
            _ramp(yaw_error, *YAW_GATE),
            _ramp(MAX_WIDTH - observation.gripper_width, *OPEN_GATE),
        )
        if misaligned < 1:
            target_height = misaligned * HOVER
        else:
            far = _ramp(float(np.hypot(*(ee[:2] - aim))), 0.02, 0.05)
            target_height = HOVER + far * (WAYPOINT - HOVER)
        # Low beside the block or askew around it, first rise clear of it.
        free = _ramp(height, CLEAR / 2, CLEAR)
        xy = ee[:2] + (aim - ee[:2]) * (free if distance > XY_GATE[1] else 1.0)
        now = gripper_yaw(observation.ee_pose[3:])
        yaw = self._yaw if yaw_error < YAW_GATE[1] or free > 0 else now
        goal = np.array([*xy, block[2] + target_height])
        return towards(observation, goal, yaw, MAX_WIDTH)


def _grasp_yaw(block_yaw: float, faces: str) -> float:
    """Gripper yaw for a mode, at most 90 degrees from rest: a gripper and a box are symmetric."""
    nearest = wrap(block_yaw, np.pi / 2)
    other = nearest - np.copysign(np.pi / 2, nearest)
    return {"nearest": nearest, "other": other, "mean": (nearest + other) / 2}[faces]


def _ramp(value: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, linear between."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))
