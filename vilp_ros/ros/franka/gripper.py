"""The Franka Hand, in a thread of its own: what takes it seconds must not hold up the arm."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from vilp_ros.control.grip import Goal, Goals

PERIOD_S = 0.05
REST = 4  # periods without motion before the fingers count as still: a grasp takes one to begin
RETRY_S = 2.0
SPEED_M_S = 0.1
MAX_WIDTH_M = 0.08
STALL_M = 0.002  # further from its target than this, and still: something is in between


@dataclass(frozen=True)
class Grip:
    """What the gripper does.

    Attributes:
        width: metres between the fingers; NaN while unknown.
        doing: "idle", "moving", "grasping", "homing".
        holds: whether something is between the fingers: they were closed with force and came to
            rest before their target. The return value of a grasp does not say that: with a wide
            tolerance it is always true.
        problem: what went wrong last, or empty.
    """

    width: float = math.nan
    doing: str = "idle"
    holds: bool = False
    problem: str = ""


class FrankaGripper:
    """Moves to the newest target and says where the fingers are.

    See `Goals` for what is a goal; a grasp is one with `force_n`, which it keeps. A newer goal
    interrupts an older one, but no homing.

    Args:
        host: Address of the control box.
        force_n: Of a grasp.
    """

    def __init__(self, host: str, force_n: float) -> None:
        self._host, self._force_n = host, force_n
        self._lock = threading.Lock()
        self._grip = Grip()
        self._goals = Goals()
        self._homing = False
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="gripper", daemon=True)
        self._thread.start()

    @property
    def grip(self) -> Grip:
        """The newest state."""
        with self._lock:
            return self._grip

    def move(self, width: float) -> str | None:
        """Ask for a width, metres; returns why it was refused, or None."""
        if not math.isfinite(width):
            return f"gripper target refused: {width}"
        with self._lock:
            self._goals.want(min(max(width, 0.0), MAX_WIDTH_M), time.monotonic())
        self._wake.set()
        return None

    def home(self) -> None:
        """Ask for a homing: after the fingers were changed it measures how far they open."""
        with self._lock:
            self._homing = True
        self._wake.set()

    def close(self) -> None:
        """End the thread; a grasp keeps its force."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(2.0)

    def _say(self, **changes: Any) -> None:
        with self._lock:
            self._grip = Grip(**{**vars(self._grip), **changes})

    def _run(self) -> None:
        gripper: Any = None
        while gripper is None and not self._stopped.is_set():
            try:
                import franky

                gripper = franky.Gripper(self._host)
            except Exception as error:
                self._say(problem=f"no gripper: {error}")
                self._stopped.wait(RETRY_S)
        self._say(problem="")
        goal: Goal | None = None
        pending: Any = None
        last_width, rested, judged = math.nan, 0, True
        while not self._stopped.is_set():
            now_s = time.monotonic()
            at_home = pending is None or self.grip.doing != "homing"  # it is never cut short
            with self._lock:
                homing, self._homing = self._homing, False
                news = self._goals.due(now_s) if at_home and not homing else None
            try:
                width = float(gripper.width)
                if pending is not None and pending.wait(0.0):
                    done, pending = pending, None
                    self._say(doing="idle")
                    done.get()
                if homing or news is not None:
                    if pending is not None:
                        gripper.stop()
                        pending = None
                    if news is None:
                        doing, pending, goal = "homing", gripper.homing_async(), None
                    else:
                        goal, judged = news, False
                        doing, pending = self._send(gripper, news)
                    self._say(doing=doing, problem="")
                rested = rested + 1 if abs(width - last_width) < 1e-4 else 0
                still = rested >= REST
                stalled = still and goal is not None and width > goal.width + STALL_M
                closed = stalled and self.grip.doing in ("idle", "grasping")
                self._say(width=width, holds=bool(closed and self._force_n > 0))
                if still and self.grip.doing == "idle" and not self.grip.problem:
                    if goal is not None and not judged:
                        judged = True
                        with self._lock:
                            self._goals.ended(goal, goal.force or not stalled, now_s)
                    self._say(problem=_stuck(width, goal))
                last_width = width
            except Exception as error:
                pending = None
                self._say(problem=f"gripper: {error}", doing="idle")
                if goal is not None and not judged:
                    judged = True
                    with self._lock:
                        self._goals.ended(goal, False, now_s)
            self._wake.wait(PERIOD_S)
            self._wake.clear()

    def _send(self, gripper: Any, goal: Goal) -> tuple[str, Any]:
        if not goal.force:
            return "moving", gripper.move_async(goal.width, SPEED_M_S)
        tolerance = MAX_WIDTH_M  # the grip is judged by the width, not by the answer
        return "grasping", gripper.grasp_async(
            goal.width, SPEED_M_S, self._force_n, tolerance, tolerance
        )


def _stuck(width: float, goal: Goal | None) -> str:
    """What is wrong with fingers at rest, or "": a move, too, is judged by where they got to."""
    if goal is None or goal.force or abs(width - goal.width) <= STALL_M:
        return ""
    return (
        f"gripper: stands at {width:.3f} m, not at {goal.width:.3f}; clear the fingers, and if "
        "they were changed call ~/home_gripper"
    )
