"""A scripted expert for franky-sim's cube: one target a control period. Knows no ROS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tools.franky_lift.world import CUBE_M, TASK, lifted
from vilp_ros.contract import Contract
from vilp_ros.control.limits import SafetyLimits
from vilp_ros.control.resampler import Motion, Resampler
from vilp_ros.geometry import quat_multiply, yaw_quat
from vilp_ros.kinematics import KinematicsError, kinematics_of
from vilp_ros.sim.env import Observation
from vilp_ros.sim.motion import object_yaw, towards, wrap
from vilp_ros.sim.noise import NoiseBursts
from vilp_ros.sim.pick_expert import PickExpert, Shape

UP_M = 0.14  # where the expert carries the cube
AFTER_SUCCESS, MOST = 15, 240  # control periods
# The experts call it yaw 0 when the x axis of the hand lies along the base's y: there robosuite's
# fingers open, and the Franka Hand's along y of fr3_hand_tcp.
TO_EXPERT, FROM_EXPERT = yaw_quat(-np.pi / 2), yaw_quat(np.pi / 2)


class CubeExpert(PickExpert):
    """Grasps the cube and carries it up; to be told where it is before each `act`."""

    def __init__(self) -> None:
        super().__init__(TASK, Shape(CUBE_M), "nearest")
        self._cube, self._lag = np.zeros(7), np.zeros(3)

    def see(self, cube: np.ndarray, lag: np.ndarray) -> None:
        """Args: the cube (7,), and (3,) metres by which the hand is behind where it is led."""
        self._cube, self._lag = cube, lag

    def _grasp(self) -> tuple[np.ndarray, float]:
        held = self._lag if self.phase == "carry" else 0.0  # it is then as late as the hand
        return self._cube[:3] + held, wrap(object_yaw(self._cube), np.pi / 2)

    def _carry(self, observation: Observation, position: np.ndarray, yaw: float) -> np.ndarray:
        return towards(observation, np.array([*observation.ee_pose[:2], UP_M]), yaw, 0.0)


class Step(NamedTuple):
    """One control period.

    Attributes:
        pose: (7,) where the hand is to be.
        width: metres between the fingers.
        motion: of the joints, then.
        pushed: whether noise disturbs it.
    """

    pose: np.ndarray
    width: float
    motion: Motion
    pushed: bool


class Demonstration:
    """One episode: the expert, what disturbs it, when it is over.

    The hand is led: each target begins where the last one led to, and what comes out is a motion
    within the limits of the contract, so that the arm is where the targets say when they say it.

    Args:
        contract: of the arm.
        joints: (7,) rad, where it stands.
        seed: of the noise.
        noise: share of disturbed steps.
    """

    def __init__(self, contract: Contract, joints: np.ndarray, seed: int, noise: float) -> None:
        self._contract = contract
        self._arm = kinematics_of(contract)
        self._limits = SafetyLimits(contract.limits, "ee_pose")
        self._resampler = Resampler(contract.limits, "joint_position")
        self._motion = self._resampler.rest(np.append(joints, 0.0))
        self._expert = CubeExpert()
        self._bursts = NoiseBursts(np.random.default_rng([seed, 1]), noise)
        self._steps = self._since_lifted = 0

    @property
    def done(self) -> bool:
        """Whether it is over, well or badly."""
        return self._steps >= MOST or self._since_lifted > AFTER_SUCCESS

    def step(self, joints: np.ndarray, width: float, cube: np.ndarray) -> Step:
        """The next control period.

        Args:
            joints: (7,) rad, measured.
            width: metres between the fingers, measured.
            cube: (7,) pose.
        """
        led = self._arm.forward(self._motion.action[:7])
        self._expert.see(cube, led[:3] - self._arm.forward(joints)[:3])
        here = np.concatenate([led[:3], quat_multiply(led[3:], TO_EXPERT)])
        low = self._expert.phase == "approach"
        action = self._expert.act(Observation({}, here, width, joints, np.zeros(7)))
        action, pushed = self._bursts.apply(action, 1.4 if low else 0.5, fingers=low)
        action[3:7] = quat_multiply(action[3:7], FROM_EXPERT)
        start, period_s = np.append(led, width), self._contract.control_period_s
        action, _ = self._limits.clamp(action, start, start, period_s)
        try:
            goal = self._arm.inverse(action[:7], self._motion.action[:7])
        except KinematicsError:
            if not pushed:
                raise
            goal = self._motion.action[:7]  # noise may point where a joint would have to jump
        # At rest in each target: that far ahead, it is a speed.
        motion = self._resampler.follow(
            self._motion, np.append(goal, action[7]), np.zeros(7), period_s, period_s
        )
        self._motion = motion
        self._steps += 1
        self._since_lifted = self._since_lifted + 1 if lifted(cube) else 0
        return Step(self._arm.forward(motion.action[:7]), float(action[7]), motion, pushed)
