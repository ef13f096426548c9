"""Experts for `can` and `square`: carry an object over its goal, lower it, let go, retreat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vilp_ros.geometry import quat_to_matrix
from vilp_ros.sim.env import MAX_WIDTH, Observation, SimEnv
from vilp_ros.sim.motion import gripper_yaw, object_yaw, ramp, towards, wrap
from vilp_ros.sim.pick_expert import PickExpert, Shape


@dataclass(frozen=True)
class Place:
    """Where an object goes, in the robot base frame.

    Attributes:
        xy: (2,) metres, of the object's origin.
        high: height at which it is carried, metres, of its origin.
        low: height at which it is let go, metres.
        xy_gate: it is lowered when nearer than the first, raised when farther than the second, m.
        yaw_gate: the same for its yaw, radians.
        headings: headings it may have there, radians; none when they do not matter.
        inside: below this height and within `caught` of the goal it is in it, and only lowered, m.
        caught: metres.
    """

    xy: np.ndarray
    high: float
    low: float
    xy_gate: tuple[float, float]
    yaw_gate: tuple[float, float]
    headings: tuple[float, ...]
    inside: float
    caught: float


class PlaceExpert(PickExpert):
    """Picks an object at a fixed point of it and places it.

    Args:
        env: the task.
        name: the object, a key of `SimEnv.truth`.
        grip: (3,) where it is grasped, metres, in its own frame.
        shape: how it is grasped.
        place: where it goes.
        mode: name of the way it takes.
    """

    PHASES: tuple[str, ...] = ("approach", "close", "carry", "release")

    def __init__(
        self,
        env: SimEnv,
        name: str,
        grip: np.ndarray,
        shape: Shape,
        place: Place,
        mode: str = "direct",
    ) -> None:
        super().__init__(env, shape, mode)
        self._name, self._grip, self._place = name, grip, place

    def _grasp(self) -> tuple[np.ndarray, float]:
        pose = self._env.truth()[self._name]
        # The gripper looks the same after half a turn; an object whose yaw does not matter is
        # grasped at rest.
        yaw = wrap(object_yaw(pose), np.pi) if self._place.headings else 0.0
        return pose[:3] + quat_to_matrix(pose[3:]) @ self._grip, yaw

    def _carry(self, observation: Observation, position: np.ndarray, yaw: float) -> np.ndarray:
        place, pose = self._place, self._env.truth()[self._name]
        ee, now = observation.ee_pose[:3], gripper_yaw(observation.ee_pose[3:])
        if self.phase == "release":
            return self._release(observation, pose, now)
        off = np.array([*place.xy, 0.0]) - [*pose[:2], 0.0]
        turns = [wrap(heading - object_yaw(pose)) for heading in place.headings]
        turn = min(turns, key=abs, default=-now)
        distance = float(np.hypot(*off[:2]))
        if pose[2] < place.low and distance < place.caught:
            self.phase = "release"
            return self._release(observation, pose, now)
        wrong = max(ramp(distance, *place.xy_gate), ramp(abs(turn), *place.yaw_gate))
        if pose[2] < place.inside and distance < place.caught:
            wrong = 0.0
        height = place.low - 0.01 + wrong * (place.high - place.low)
        # Rise before going sideways.
        free = ramp(pose[2], place.high - 0.06, place.high - 0.02) if wrong == 1 else 1.0
        goal = ee + off * free + [0.0, 0.0, height - pose[2]]
        return towards(observation, goal, now + turn * free, 0.0)

    def _release(self, observation: Observation, pose: np.ndarray, yaw: float) -> np.ndarray:
        ee = observation.ee_pose[:3]
        opened = ramp(observation.gripper_width - self._shape.width, 0.005, 0.015)
        up = np.array([0.0, 0.0, opened * (self._place.high - ee[2])])
        if opened == 1 and ee[2] > self._place.high - 0.02 and not self._env.success():
            self.phase = "approach"
        return towards(observation, ee + up, yaw, MAX_WIDTH)


def can_expert(env: SimEnv, rng: np.random.Generator, mode: str) -> PlaceExpert:
    """Expert for `can`: from its bin to its compartment of the other."""
    goal = env.truth()["goal"]
    place = Place(
        xy=goal[:2] - [0.043, 0.048],  # the near corner: the arm does not reach the middle
        high=goal[2] + 0.13,
        low=goal[2] + 0.012,
        xy_gate=(0.01, 0.03),
        yaw_gate=(1.0, 2.0),
        headings=(),
        inside=goal[2],
        caught=0.03,
    )
    shape = Shape(width=0.05, clear=0.07, hover=0.11, waypoint=0.15)
    return PlaceExpert(env, "can", np.array([0.0, 0.0, 0.01]), shape, place)


def nut_expert(env: SimEnv, rng: np.random.Generator, mode: str) -> PlaceExpert:
    """Expert for `square`: the nut by its handle over the square peg."""
    peg = env.truth()["goal"]
    top = peg[2] + 0.10
    place = Place(
        xy=peg[:2],
        high=top + 0.03,
        low=top - 0.08,
        xy_gate=(0.003, 0.005),
        yaw_gate=(0.02, 0.04),
        headings=(np.pi / 2, np.pi, -np.pi / 2),  # with the handle ahead the arm is too short
        inside=top,
        caught=0.015,
    )
    shape = Shape(width=0.032, clear=0.04, hover=0.08, waypoint=0.10)
    return PlaceExpert(env, "nut", np.array([0.062, 0.0, 0.0]), shape, place)
