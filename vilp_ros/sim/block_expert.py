"""Expert for `lift` and `lift_wide`: comes over one side, grasps one pair of faces, lifts."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.env import Observation, SimEnv, SimError
from vilp_ros.sim.motion import object_yaw, towards, wrap
from vilp_ros.sim.pick_expert import SIDES, PickExpert, Shape

LIFT_HEIGHT = 0.12
FACES = ("nearest", "other", "mean")


class BlockExpert(PickExpert):
    """Lifts a block, whose opposite faces can be grasped two ways.

    Args:
        env: a lift task.
        rng: draws what `faces` or `side` leaves open.
        faces: `nearest` grasps the pair of faces that asks for the least turn from the rest pose,
            `other` the pair 90 degrees apart, `mean` between both (it fails on a wide block: a
            check that the two modes do not blend). None draws one of the first two.
        side: the approach passes 8 cm `left` or `right` of the block (y of the base frame), or
            goes straight (`none`). None draws left or right.

    Raises:
        SimError: unknown faces or side.
    """

    def __init__(
        self,
        env: SimEnv,
        rng: np.random.Generator,
        faces: str | None = None,
        side: str | None = None,
    ) -> None:
        faces = str(rng.choice(FACES[:2])) if faces is None else faces
        side = str(rng.choice(["left", "right"])) if side is None else side
        if faces not in FACES or side not in SIDES:
            known = f"{', '.join(FACES)} and {', '.join(SIDES)}"
            raise SimError(f"mode {faces!r}, side {side!r}: choose from {known}")
        width = 2 * float(env.model.geom("cube_g0").size[0])
        super().__init__(env, Shape(width), faces, side)
        block = env.truth()["cube"]
        self._lifted = block[2] + LIFT_HEIGHT
        self._yaw = _grasp_yaw(object_yaw(block), faces)
        self._block_yaw = object_yaw(block)

    def _grasp(self) -> tuple[np.ndarray, float]:
        block = self._env.truth()["cube"]
        turned = wrap(object_yaw(block) - self._block_yaw, np.pi / 2)  # it may have been bumped
        self._block_yaw += turned
        self._yaw += turned
        return block[:3], self._yaw

    def _carry(self, observation: Observation, position: np.ndarray, yaw: float) -> np.ndarray:
        goal = np.array([*observation.ee_pose[:2], self._lifted])
        return towards(observation, goal, yaw, 0.0)


def _grasp_yaw(block_yaw: float, faces: str) -> float:
    """Gripper yaw for a mode, at most 90 degrees from rest: a gripper and a box are symmetric."""
    nearest = wrap(block_yaw, np.pi / 2)
    other = nearest - np.copysign(np.pi / 2, nearest)
    return {"nearest": nearest, "other": other, "mean": (nearest + other) / 2}[faces]
