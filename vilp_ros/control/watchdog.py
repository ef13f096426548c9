"""Notices inputs that stop, on a clock that nobody sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        holding: the arm must hold.
        fired: this check is the first of a lapse, so that it is reported once.
        reason: why it holds, in words; empty while it does not.
    """

    holding: bool
    fired: bool
    reason: str


class Watchdog:
    """Holds while any of its inputs is overdue, and again at every later lapse: it never disarms.

    It holds from the start until every input has come once; that is no lapse, and does not fire.

    Args:
        limits_s: for each input, how long it may stay away.
        clock: a steady clock, seconds; never header stamps or ROS time, which stop and step.
    """

    def __init__(
        self, limits_s: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits_s = dict(limits_s)
        self._clock = clock
        self._fed_s: dict[str, float] = {}
        self._holding = True
        self.lapses = 0
        """How often it has fired."""

    def feed(self, name: str) -> None:
        """Tell that an input has come.

        Raises:
            KeyError: if it is not one of the inputs watched.
        """
        if name not in self._limits_s:
            raise KeyError(f"watchdog knows {list(self._limits_s)}, not '{name}'")
        self._fed_s[name] = self._clock()

    def check(self) -> Verdict:
        """Judge the inputs now; call it at the command rate."""
        now_s = self._clock()
        reasons = []
        for name, limit_s in self._limits_s.items():
            if name not in self._fed_s:
                reasons.append(f"no {name} yet")
            elif (silent_s := now_s - self._fed_s[name]) > limit_s:
                reasons.append(f"no {name} for {silent_s:.2f} s (limit {limit_s:g} s)")
        fired = bool(reasons) and not self._holding
        self.lapses += fired
        self._holding = bool(reasons)
        return Verdict(self._holding, fired, "; ".join(reasons))
