"""What an arm is told of the path that trajectories make: where to be soon, and where to rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vilp_ros.contract import Limits
from vilp_ros.control.action import Array
from vilp_ros.control.trajectory import JointPath, Reference

SLOWEST = 1e-4  # rad/s: less is rest


class Aim(NamedTuple):
    """Where to be a little later, and at rest if nothing more is said; rad, rad/s.

    Attributes:
        position: (J,) within the ranges.
        velocity: (J,) to have there.
        rest: (J,) within the ranges; `position` where there is no velocity.
        rate: of the path's time: 1 by its stamps, less while it slows, 0 at its end.
    """

    position: Array
    velocity: Array
    rest: Array
    rate: float


class Follower:
    """Aims along a path. What comes after a silence fades in from where the arm is.

    Not thread-safe.

    Args:
        limits: of the contract.
        bridge_s: as of `JointPath`.
        fade_in_s: how long a fade takes.
    """

    def __init__(self, limits: Limits, bridge_s: float, fade_in_s: float) -> None:
        self.path = JointPath(np.array(limits.joint_velocity), bridge_s)
        self._fastest = np.array(limits.joint_velocity)
        self._low, self._high = np.array(limits.joint_position, dtype=np.float64).T
        self._bridge_s, self._fade_in_s = bridge_s, fade_in_s
        self._began: tuple[float, Array] | None = None  # when the fade began, and where
        self.last: Aim | None = None
        """The newest; None while there is nothing to follow."""

    def clear(self) -> None:
        """Forget the path."""
        self.path.clear()
        self._began = self.last = None

    def aim(self, due_s: float, steady_s: float, present: Array) -> Aim | None:
        """The next one.

        Args:
            due_s: when to be there, on the clock of the path.
            steady_s: of a clock that nobody sets: fades go by it.
            present: (J,) where the arm is.

        Returns:
            None if there is nothing to follow, or nothing new to say: the arm is to stay at rest.
        """
        reference = self.path.at(due_s)
        if reference is None:
            self._began = self.last = None
            return None
        if self._began is None:
            self._began = (steady_s, present)
        reference = self._faded(reference, steady_s)
        if np.abs(reference.velocity).max() < SLOWEST:
            reference = reference._replace(velocity=np.zeros_like(reference.velocity))
        rest = reference.position + reference.velocity * self._bridge_s / 2
        # A reference may lead out of the ranges while it slows after its last point; the arm not.
        position, rest = (np.clip(where, self._low, self._high) for where in (reference[0], rest))
        before, self.last = self.last, Aim(position, reference.velocity, rest, reference.rate)
        stands = before is not None and np.array_equal(before.position, position)
        return None if stands and not reference.velocity.any() else self.last

    def _faded(self, reference: Reference, steady_s: float) -> Reference:
        """Blended in from where the arm was; its velocity is that of the blend."""
        assert self._began is not None
        began_s, origin = self._began
        u = (steady_s - began_s) / max(self._fade_in_s, 1e-3)
        if u >= 1:
            return reference
        weight, slope = u * u * (3 - 2 * u), 6 * u * (1 - u) / self._fade_in_s
        away = reference.position - origin
        velocity = weight * reference.velocity + slope * away
        velocity = np.clip(velocity, -self._fastest, self._fastest)
        return Reference(origin + weight * away, velocity, reference.rate)
