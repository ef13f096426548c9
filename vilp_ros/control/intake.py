"""A plan as it may be executed: checked, slowed, in the coordinates that the arm is sent."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.control.action import Array
from vilp_ros.control.precheck import PreCheck
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import Kinematics


class Intake:
    """Checks plans, as they are given and again in joints where poses are sent as such.

    Args:
        contract: its limits, and what is planned and sent.
        kinematics: where joints are sent for poses, else None.

    Attributes:
        slowed: how many plans were changed.
        finding: why the last one was.
    """

    def __init__(self, contract: Contract, kinematics: Kinematics | None) -> None:
        limits, period_s = contract.limits, contract.control_period_s
        self._planned, self._sent = contract.action.kind, contract.action.sends
        self._period_s, self._kinematics = period_s, kinematics
        kinds = {self._planned, self._sent} if limits.precheck != "off" else set[str]()
        slow = limits.precheck == "slow"
        self._checks = {kind: PreCheck(limits, kind, period_s, slow) for kind in kinds}
        self.slowed, self.finding = 0, ""

    def take(
        self, actions: Array, age_s: float, here: Callable[[str], Array], near: Array
    ) -> Array:
        """What of a plan may be executed.

        Args:
            actions: (N, 8) or (N, J + 1) of the kind that is planned, finite.
            age_s: of the observation that it was made from.
            here: where the arm is, as an action of a kind.
            near: (J,) where its joints were led last, or are.

        Returns:
            Actions of the kind that is sent.

        Raises:
            VilpError: it may not be executed; the message says why.
        """
        first = max(0, math.ceil(age_s / self._period_s))
        checked = self._checked(self._planned, actions, first, here(self._planned))
        if self._kinematics is None:
            return checked
        joints = self._kinematics.inverse_path(checked[:, :-1], near)
        return self._checked(
            self._sent, np.hstack([joints, checked[:, -1:]]), first, here(self._sent)
        )

    def _checked(self, kind: str, actions: Array, first: int, here: Array) -> Array:
        if kind not in self._checks:
            return actions
        judgement = self._checks[kind].judge(actions, first, here)
        if judgement.actions is None:
            raise VilpError(f"plan: {'; '.join(judgement.findings)}")
        if judgement.findings:
            self.slowed, self.finding = self.slowed + 1, judgement.findings[0]
        return judgement.actions
