"""A policy beside somebody who drives: what it would have done, against what the arm was told."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vilp_ros.canvas import on_canvas
from vilp_ros.data.commands import Commands
from vilp_ros.data.frames import Frame
from vilp_ros.geometry import quat_angle
from vilp_ros.policy.policy import Policy


@dataclass(frozen=True)
class Agreement:
    """Actions of a bundle against those of a demonstration.

    Attributes:
        steps: inferences.
        position_mm: median distance of the target positions, by actions ahead.
        angle_deg: median angle.
        width_mm: median difference of the gripper widths.
    """

    steps: int
    position_mm: list[float]
    angle_deg: list[float]
    width_mm: list[float]

    def __str__(self) -> str:
        """A line for each action ahead."""
        lines = [f"{self.steps} inferences; median distance from what the arm was told:"]
        for k, figures in enumerate(zip(self.position_mm, self.angle_deg, self.width_mm)):
            lines.append("action +{}: {:.1f} mm, {:.1f} deg, gripper {:.1f} mm".format(k, *figures))
        return "\n".join(lines)


class Shadow:
    """Plans from each frame that it is shown, and remembers.

    Args:
        policy: of the robot that is driven.
        seed: of its sampling noise.
    """

    def __init__(self, policy: Policy, seed: int = 0) -> None:
        self._policy, self._noise = policy, policy.noise(seed)
        self._plans: list[tuple[float, float, np.ndarray]] = []

    def __len__(self) -> int:
        """Frames seen."""
        return len(self._plans)

    def see(self, frame: Frame) -> None:
        """Plans from a frame."""
        policy = self._policy
        images = on_canvas([frame.images[view] for view in policy.spec.views])
        before = frame.before.proprio if frame.before else None
        state = policy.encode(images, frame.state.proprio, before)
        actions = policy.act(policy.plan(state, self._noise), self._noise)
        self._plans.append((frame.stamp_s, frame.state.gripper_width, actions))

    def agreement(self, commands: Commands, until_s: float = math.inf) -> Agreement | None:
        """How far the plans are from what the arm was told.

        Args:
            commands: what it was told.
            until_s: when the commands were cut off; plans that reach further are left out.

        Returns:
            None if no plan can be compared.
        """
        period_s = self._policy.spec.control_period_s
        rows = [
            [
                _distance(action, commands.action(stamp_s + k * period_s, width))
                for k, action in enumerate(actions)
            ]
            for stamp_s, width, actions in self._plans
            if commands.before(stamp_s) and stamp_s + len(actions) * period_s <= until_s
        ]
        if not rows:
            return None
        median = np.median(np.array(rows), axis=0)
        position, angle, width = (median[:, i].tolist() for i in range(3))
        return Agreement(len(rows), position, angle, width)


def _distance(action: np.ndarray, told: np.ndarray) -> tuple[float, float, float]:
    """Millimetres, degrees, millimetres."""
    position = 1e3 * float(np.linalg.norm(action[:3] - told[:3]))
    angle = float(np.rad2deg(quat_angle(action[3:7], told[3:7])))
    return position, angle, 1e3 * abs(float(action[7] - told[7]))
