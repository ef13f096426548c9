"""franky's waypoint motions and the arm's account of them, a millisecond a step, as libfranka's FCI
has them: what the arm would trip on is raised.

franky 2.0 begins each motion at its own last command, with the velocity and the acceleration that
the arm says it had (src/motion/joint_waypoint_motion.cpp). The arm takes differences of commands
(libfranka, docs/overview.rst); where none came in time it goes on with the acceleration it had.
A command is heard `IN_TIME`; `LATE`: after the arm gave its account, which is a guess then;
`STALE`: after an account of the command before; or `LOST`: the guess stands for it.
"""

from __future__ import annotations

import numpy as np
from ruckig import InputParameter, OutputParameter, Result, Ruckig, RuckigError

DT_S = 1e-3
IN_TIME, LATE, STALE, LOST = range(4)
FASTEST = np.array([2, 1, 1.5, 1.25, 3, 1.5, 3])  # rad/s
MOST_ACCELERATION, MOST_JERK = 10.0, 5000.0


class TrippedError(AssertionError):
    """What a reflex says."""


class Franky:
    """An arm under its control, at rest at first.

    Args:
        joints: (7,) where.
        limits: (3, 7) rad/s, rad/s^2, rad/s^3 that it is given.
    """

    def __init__(self, joints, limits) -> None:
        self._ruckig, self._out = Ruckig(7, DT_S), OutputParameter(7)
        self._request = InputParameter(7)
        self._request.current_position = joints
        self._request.max_velocity, self._request.max_acceleration = limits[:2]
        self._request.max_jerk = limits[2]
        self._waypoints: list = []
        self._finished, self._news = True, None
        self.command = self._position = joints
        self.velocity, self.acceleration = np.zeros(7), np.zeros(7)
        self.account = self.velocity, self.acceleration
        """What the arm says of its velocity and acceleration."""

    def move(self, waypoints) -> None:
        """Waypoints (position (7,), velocity (7,), least seconds or None); the last is held."""
        self._news = list(waypoints)

    def step(self, heard: int = IN_TIME) -> None:
        """One command, and how it is heard."""
        request = self._request
        if self._news is not None:
            self._waypoints, self._news, self._finished = self._news, None, True
            request.current_position = self.command
            request.current_velocity, request.current_acceleration = self.account
        if self._finished and self._waypoints:
            request.target_position, request.target_velocity, least_s = self._waypoints.pop(0)
            request.minimum_duration = least_s
        try:
            result = self._ruckig.update(request, self._out)
        except RuckigError as error:  # franky ends the motion: no harm to an arm at rest
            if np.abs(self.velocity).max() > 1e-6:
                raise TrippedError(f"franky's planner fails in motion: {error}") from None
            self._waypoints, result = [], Result.Finished
            request.target_position, request.target_velocity = self.command, np.zeros(7)
        self._finished = result == Result.Finished
        self._out.pass_to_input(request)
        self.command = np.array(request.current_position)
        if heard == LOST:
            self.velocity = self.velocity + self.acceleration * DT_S
            self._position = self._position + self.velocity * DT_S
            self.account = self.velocity, self.acceleration
        else:
            self._heed(heard)

    def _heed(self, heard: int) -> None:
        velocity = (self.command - self._position) / DT_S
        acceleration = (velocity - self.velocity) / DT_S
        jerk = (acceleration - self.acceleration) / DT_S
        for name, value, most in (
            ("velocity", velocity, FASTEST),
            ("acceleration", acceleration, MOST_ACCELERATION),
            ("jerk", jerk, MOST_JERK),
        ):
            over = abs(value) > most
            if over.any():
                joint = int(over.argmax())
                raise TrippedError(f"{name} of joint{joint + 1}: {value[joint]:g}")
        self._position, self.velocity, self.acceleration = self.command, velocity, acceleration
        if heard == LATE:
            said, guessed = self.account
            self.account = said + guessed * DT_S, guessed
        elif heard == IN_TIME:
            self.account = velocity, acceleration
