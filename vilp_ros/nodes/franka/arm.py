"""The arm as the driver knows it: franky between us and libfranka.

franky runs the 1 kHz loop in C++ and shapes what we ask for with ruckig, under the limits that it
is given; Python only says, 25 times a second, where to be a little later and where to come
to rest if it says nothing more. So neither the GIL nor a busy machine can make the arm jump, and a
Python that hangs makes it stop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Limits
from vilp_ros.control.trajectory import Reference
from vilp_ros.errors import VilpError
from vilp_ros.nodes.franka.words import reflexes_in

Array = NDArray[np.float64]
_NO_FILTER_HZ = 1000.0
_ROOM = 1.2  # references keep the contract's limits; on a limit ruckig finds no common duration


class ArmState(NamedTuple):
    """What the arm says of itself: (7,) rad, rad/s, Nm; wrench (6,) N and Nm in the base frame."""

    position: Array
    velocity: Array
    torque: Array
    wrench: Array
    mode: str
    success_rate: float
    errors: tuple[str, ...]


class FrankaArm:
    """A connection to the arm. Not thread-safe: one thread owns it.

    Args:
        host: Address of the control box.
        limits: Of the contract, with accelerations and jerks of the joints.
        realtime: Refuse a kernel that is not real-time.
        collision_torque_nm: Above it a joint stops with a reflex.
        collision_force_n: Above it the hand does.

    Raises:
        VilpError: franky is not installed, the arm does not answer, or a limit exceeds Franka's.
    """

    def __init__(
        self,
        host: str,
        limits: Limits,
        *,
        realtime: bool,
        collision_torque_nm: float,
        collision_force_n: float,
    ) -> None:
        try:
            import franky
        except ImportError as error:
            raise VilpError(
                f"franka_driver needs franky ({error}): pip install '.[franka]' in the checkout"
            ) from None
        self._franky: Any = franky
        self._failure: list[str] = []
        enforce = franky.RealtimeConfig.Enforce if realtime else franky.RealtimeConfig.Ignore
        try:
            self._robot = franky.Robot(host, realtime_config=enforce)
            self._robot.set_collision_behavior(collision_torque_nm, collision_force_n)
        except Exception as error:  # franky's exceptions share no base of their own
            raise VilpError(
                f"no arm at {host}: {error}; is FCI active in Desk, and robot_ip right?"
            ) from None
        for name in ("velocity", "acceleration", "jerk"):
            limit = getattr(self._robot, f"joint_{name}_limit")
            asked = np.array(getattr(limits, f"joint_{name}"))
            over = np.flatnonzero(asked > limit.max)
            if over.size:
                joint = over[0]
                raise VilpError(
                    f"limits.joint_{name}[{joint}] is {asked[joint]:g}; Franka allows "
                    f"{limit.max[joint]:g}"
                )
            limit.set(np.minimum(_ROOM * asked, limit.max))

    def state(self) -> ArmState:
        """The newest state; from the arm itself while nothing moves it.

        Raises:
            VilpError: The connection is lost.
        """
        try:
            state = self._robot.state
        except Exception as error:
            raise VilpError(f"lost the arm: {error}; start the driver again") from None
        return ArmState(
            np.array(state.q),
            np.array(state.dq),
            np.array(state.tau_J),
            np.array(state.O_F_ext_hat_K),
            state.robot_mode.name,
            float(state.control_command_success_rate),
            tuple(_flags(state.current_errors)),
        )

    def follow(self, reference: Reference, ahead_s: float, rest: Array) -> None:
        """Be at a reference in `ahead_s`, and if nothing more is said, at rest at `rest` (7,)."""
        franky = self._franky
        there = franky.JointState(reference.position, reference.velocity)
        soon = franky.Duration(max(1, round(1e3 * ahead_s)))
        waypoints = [
            franky.JointWaypoint(there, minimum_time=soon),
            franky.JointWaypoint(franky.JointState(rest)),
        ]
        self._move(franky.JointWaypointMotion(waypoints, return_when_finished=False))

    def brake(self) -> None:
        """Come to rest as fast as the limits allow, and end the motion."""
        if self._robot.is_in_control:
            self._move(self._franky.JointStopMotion())

    @property
    def moving(self) -> bool:
        """Whether the arm is under our control."""
        return bool(self._robot.is_in_control)

    def failure(self) -> list[str]:
        """What ended the motion since the last call, by the names of reflexes; [] if nothing."""
        try:
            self._robot.poll_motion()
        except Exception as error:
            self._note(error)
        failure, self._failure = self._failure, []
        return failure

    def recover(self) -> bool:
        """Automatic error recovery; whether the arm is ready again."""
        return bool(self._robot.recover_from_errors())

    def close(self) -> None:
        """Stop and wait for it."""
        try:
            self.brake()
            self._robot.join_motion(timeout=2.0)
        except Exception:
            return  # it stopped otherwise

    def _move(self, motion: Any) -> None:
        # Without libfranka's rate limiter: it clips to the very limit, and the float32 in which the
        # arm reports its last command puts that 1 in 1000 beyond it. Without its low-pass filter:
        # the arm's account of the last command would differ from ours.
        try:
            self._robot.move(
                motion, asynchronous=True, limit_rate=False, cutoff_frequency=_NO_FILTER_HZ
            )
        except Exception as error:  # that of the motion before, or that no motion may begin
            self._note(error)

    def _note(self, error: Exception) -> None:
        if "Motion planner failed" in str(error):
            return  # of ruckig, not of the arm, which stopped: the next reference starts it again
        self._failure = reflexes_in(str(error)) or [str(error)]


def _flags(errors: Any) -> list[str]:
    names = [name for name in dir(errors) if not name.startswith("_")]
    return [name for name in names if getattr(errors, name) is True]
