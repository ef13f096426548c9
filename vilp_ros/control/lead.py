"""Where the arm is led now: along the plan in force, or to rest."""

from __future__ import annotations

from collections import Counter

import numpy as np

from vilp_ros.contract import Limits
from vilp_ros.control.action import Array
from vilp_ros.control.horizon import Horizon
from vilp_ros.control.limits import SafetyLimits
from vilp_ros.control.timeline import ActionTimeline, Sample


class Lead:
    """The last command and the next.

    Where the contract gives accelerations and jerks, commands are one motion within them (see
    `Horizon`): rolled out when a plan arrives or the arm must hold. Elsewhere each command is
    clamped to the speed limits, and holding repeats the last. Not thread-safe, but for `news`.

    Args:
        limits: of the contract.
        kind: "ee_pose" or "joint_position".
        lead_s: see `Horizon`.

    Attributes:
        command: what the arm was told last, (7 or J, and the width); None: nothing that counts.
        moving: whether it is led along a plan.
        reason: why it is not.
        acting: limits that changed the last command.
        acted: how often each did.
        holds: how often motion ended in holding.
        late: how often `came_late` found so.
        max_step: longest way from one command to the next, m, or rad over all joints.
        news: a plan is in force that was not rolled out yet.
    """

    def __init__(self, limits: Limits, kind: str, lead_s: float = 0.0) -> None:
        self._kind = kind
        self._horizon = Horizon(limits, kind, lead_s) if limits.dynamic(kind) else None
        self._limits = SafetyLimits(limits, kind)
        self._rolled = False
        self.acted: Counter[str] = Counter()
        self.holds, self.late, self.max_step, self.news = 0, 0, 0.0, False
        self.forget("")

    def forget(self, why: str) -> None:
        """Stand where the arm is: the next command starts there."""
        self.command: Array | None = None
        self.moving, self.reason = False, why
        self.acting: list[str] = []

    def follow(
        self,
        timeline: ActionTimeline,
        sample: Sample,
        measured: Array,
        now_s: float,
        elapsed_s: float,
    ) -> None:
        """One command along the plan in force.

        Args:
            timeline: holds the plan.
            sample: of it, for now.
            measured: where the arm is, as `command`.
            now_s: present time.
            elapsed_s: since the call before.

        Raises:
            UnsafeCommandError: the limits refuse it; hold instead.
        """
        target, acted = sample.action, list[str]()
        if self._horizon is not None:
            anew = self.command is None
            if anew:
                self._horizon.clear()
            start = measured if self.command is None else self.command
            self._horizon.heed_clock(now_s, start)
            if anew or self.news or not self.moving:
                self.news = False
                self._horizon.follow(timeline, now_s, start)
                self._rolled = True
            # Within the limits as it was made; on the clock of the ticks it would seem not to be.
            command = np.append(self._horizon.at(now_s)[:-1], target[-1])
        else:
            command, acted = self._limits.clamp(target, self.command, measured, elapsed_s)
        if self.command is not None:
            part = slice(0, 3) if self._kind == "ee_pose" else slice(0, -1)
            step = float(np.linalg.norm(command[part] - self.command[part]))
            self.max_step = max(self.max_step, step)
        self.command, self.moving, self.reason = command, True, ""
        self.acted.update(acted)
        self.acting = acted

    def hold(self, why: str, now_s: float, brake: bool = True) -> None:
        """One command to rest, or at rest: the arm is told again what it was told last, if it was.

        Args:
            why: it holds.
            now_s: present time.
            brake: stop at once; False: what was rolled out ends in rest, and may go on.
        """
        self.holds += self.moving
        if self._horizon is not None and self.command is not None:
            self._horizon.heed_clock(now_s, self.command)
            if self.moving and brake:
                self._horizon.stop(now_s, self.command)
                self._rolled = True
            self.command = np.append(self._horizon.at(now_s)[:-1], self.command[-1])
        self.moving, self.acting, self.reason = False, [], why

    def rolled_out(self) -> Horizon | None:
        """The motion, if it was rolled out anew since the last call, and is more than standing."""
        rolled, self._rolled = self._rolled, False
        moves = rolled and self._horizon is not None and not self._horizon.stands
        return self._horizon if moves else None

    def came_late(self, now_s: float) -> bool:
        """Whether rolling out took so long that to send it now would make the arm leap.

        Then the motion before stays in force, and the next `follow` tries anew.
        """
        if not self._rolled or self._horizon is None or not self._horizon.late(now_s):
            return False
        self._horizon.undo()
        self._rolled, self.news, self.late = False, True, self.late + 1
        return True

    def rests(self, now_s: float) -> bool:
        """Whether what it was told last is no motion any more."""
        return self.command is None or self._horizon is None or self._horizon.over(now_s)
