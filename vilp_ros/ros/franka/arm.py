"""The arm as the driver knows it: franky between us and libfranka.

franky runs the 1 kHz loop in C++ and shapes what we ask for with ruckig, under the limits that it
is given; Python only says, 25 times a second, where to be a little later and where to come
to rest if it says nothing more. So neither the GIL nor a busy machine can make the arm jump, and a
Python that hangs makes it stop.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Limits
from vilp_ros.control.follower import Aim
from vilp_ros.errors import VilpError
from vilp_ros.ros.franka.words import reflexes_in

Array = NDArray[np.float64]
PERIOD_S = 0.01
"""How often the arm's state is to be read."""
_NO_FILTER_HZ = 1000.0
_ROOM = 1.2  # references keep the contract's limits; on a limit ruckig finds no common duration
MOST_ACCELERATION, MOST_JERK = 1.6, 100.0
"""rad/s^2, rad/s^3. Where up to six commands in a row come too late, or one is lost when a motion
begins on what the arm said before it, the arm finds nothing with them that it would trip on."""
_SLOWEST = 0.3  # of real time may a simulated arm's time go; slower, states and commands pile up
_LATE_S = 0.004  # that a caller who comes every PERIOD_S may be late on a machine that is calm


class ArmState(NamedTuple):
    """What the arm says of itself: (7,) rad, rad/s, Nm; wrench (6,) N and Nm in the base frame.

    `tool` (4, 4) is from the flange to the end effector that is set in Desk; None if none is.
    """

    position: Array
    velocity: Array
    torque: Array
    wrench: Array
    tool: Array | None
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
        self._seen_s = self._told_s = self._rate = 0.0
        self._steady = False
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
            most = {"acceleration": MOST_ACCELERATION, "jerk": MOST_JERK}.get(name, limit.max)
            limit.set(np.minimum(_ROOM * asked, most))

    def state(self) -> ArmState:
        """The newest state; from the arm itself while nothing moves it.

        Raises:
            VilpError: The connection is lost.
        """
        try:
            state = self._robot.state
        except Exception as error:
            raise VilpError(f"lost the arm: {error}; start the driver again") from None
        now_s, rate = time.monotonic(), float(state.control_command_success_rate)
        told_s = state.time.to_sec()
        elapsed_s = now_s - self._seen_s
        in_time = elapsed_s < PERIOD_S + _LATE_S and told_s - self._told_s > _SLOWEST * elapsed_s
        self._steady = in_time and rate >= self._rate
        self._seen_s, self._told_s, self._rate = now_s, told_s, rate
        return ArmState(
            np.array(state.q),
            np.array(state.dq),
            np.array(state.tau_J),
            np.array(state.O_F_ext_hat_K),
            None if np.allclose(state.F_T_EE.matrix, np.eye(4)) else state.F_T_EE.matrix,
            state.robot_mode.name,
            rate,
            tuple(_flags(state.current_errors)),
        )

    def follow(self, aim: Aim, ahead_s: float) -> None:
        """Be where it says in `ahead_s`, and if nothing more is said, at its rest."""
        franky = self._franky
        there = franky.JointState(aim.position, aim.velocity)
        soon = franky.Duration(max(1, round(1e3 * ahead_s)))
        waypoints = [franky.JointWaypoint(there, minimum_time=soon)]
        if aim.velocity.any():  # ruckig finds no way from rest to where it is already
            waypoints.append(franky.JointWaypoint(franky.JointState(aim.rest)))
        self._move(franky.JointWaypointMotion(waypoints, return_when_finished=False))

    def brake(self) -> None:
        """Come to rest as fast as the limits allow, and end the motion."""
        if self._robot.is_in_control:
            self._move(self._franky.JointStopMotion())

    @property
    def steady(self) -> bool:
        """Whether, as far as the last two states tell, commands come in time.

        A motion begins from the arm's account of the last command. That is a guess while commands
        come late, and on a wrong one it trips the arm, while the motion in force does not.
        """
        return self._steady or not self._robot.is_in_control

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
