"""What no command may exceed."""

from __future__ import annotations

from dataclasses import dataclass, field

from vilp_ros.contract.readers import (
    by,
    choice,
    interval,
    named,
    number,
    some,
)

GRIPPER_SLACK_M = 0.005
"""A width that lies past an end of the range by less means the end."""


@dataclass(frozen=True)
class Limits:
    """What no command may exceed. The allowed ranges are loose: they catch millimetres and degrees.

    Attributes:
        workspace: {"x": (lo, hi), "y": ..., "z": ...} of `ee_frame` in `base_frame`, metres.
        ee_speed: m/s.
        ee_angular_speed: rad/s.
        gripper_width: (lo, hi) metres.
        joint_position: (lo, hi) radians for each joint.
        joint_velocity: rad/s for each joint.
        joint_acceleration: rad/s^2 for each joint; with `joint_jerk` commands in joints are smooth.
        joint_jerk: rad/s^3 for each joint.
        ee_acceleration: m/s^2; with the three below commands of poses are smooth.
        ee_angular_acceleration: rad/s^2.
        ee_jerk: m/s^3.
        ee_angular_jerk: rad/s^3.
        precheck: what becomes of a plan that would break a limit: "off" (each command is clamped
            as it leaves), "slow" (stretched in time, held in a range that it grazes, else refused),
            "refuse".
        start_distance_m: how far from the hand a plan may start, with a pre-check.
        start_distance_rad: how far from any joint.
    """

    workspace: dict[str, tuple[float, float]] = field(
        metadata=by(named(interval(-3, 3, "m"), *"xyz"))
    )
    ee_speed: float = field(metadata=by(number(0, 3, "m/s", above=True)))
    ee_angular_speed: float = field(metadata=by(number(0, 10, "rad/s", above=True)))
    gripper_width: tuple[float, float] = field(metadata=by(interval(0, 0.3, "m")))
    joint_position: tuple[tuple[float, float], ...] = field(
        metadata=by(some(interval(-6.3, 6.3, "rad")))
    )
    joint_velocity: tuple[float, ...] = field(metadata=by(some(number(0, 10, "rad/s", above=True))))
    joint_acceleration: tuple[float, ...] | None = field(
        metadata=by(some(number(0, 50, "rad/s^2", above=True))), default=None
    )
    joint_jerk: tuple[float, ...] | None = field(
        metadata=by(some(number(0, 2e4, "rad/s^3", above=True))), default=None
    )
    ee_acceleration: float | None = field(
        metadata=by(number(0, 50, "m/s^2", above=True)), default=None
    )
    ee_angular_acceleration: float | None = field(
        metadata=by(number(0, 100, "rad/s^2", above=True)), default=None
    )
    ee_jerk: float | None = field(metadata=by(number(0, 2e4, "m/s^3", above=True)), default=None)
    ee_angular_jerk: float | None = field(
        metadata=by(number(0, 2e4, "rad/s^3", above=True)), default=None
    )
    precheck: str = field(metadata=by(choice("off", "slow", "refuse")), default="off")
    start_distance_m: float = field(metadata=by(number(0, 1, "m", above=True)), default=0.15)
    start_distance_rad: float = field(metadata=by(number(0, 3, "rad", above=True)), default=0.5)

    def dynamic(self, kind: str) -> bool:
        """Whether accelerations and jerks are given for a kind of action."""
        if kind == "joint_position":
            return self.joint_acceleration is not None and self.joint_jerk is not None
        linear, angular = self.ee_acceleration, self.ee_angular_acceleration
        return None not in (linear, angular, self.ee_jerk, self.ee_angular_jerk)
