"""Know which input is missing, late or wrong, and say it in words. Pure: the clock is given."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from vilp_ros.data.drift import Drift, words


class Freshness:
    """Watches named inputs on a steady clock.

    Args:
        names: Inputs, in the order in which complaints are listed.
        limit_s: Silence, or age of a stamp, after which an input counts as lost.
        clock: Steady seconds.
        drift_s: By how much stamps may fall behind reception, or run ahead of it.
    """

    def __init__(
        self,
        names: Iterable[str],
        limit_s: float,
        clock: Callable[[], float] = time.monotonic,
        drift_s: float = math.inf,
    ) -> None:
        self._limit_s, self._clock, self._drift_s = limit_s, clock, drift_s
        self._clocks: defaultdict[str, Drift] = defaultdict(Drift)
        self._arrival_s: dict[str, float | None] = dict.fromkeys(names)
        self._stamp_age_s: dict[str, float] = {}
        self._refused: dict[str, str] = {}

    def good(self, name: str, stamp_age_s: float = 0.0) -> None:
        """Note a usable message whose stamp is `stamp_age_s` old."""
        self._arrival_s[name] = self._clock()
        self._stamp_age_s[name] = stamp_age_s
        self._clocks[name].add(self._clock(), stamp_age_s)
        self._refused.pop(name, None)

    def refused(self, name: str, why: str) -> None:
        """Note a message that cannot be used."""
        self._refused[name] = why

    def silence_s(self, name: str) -> float | None:
        """Seconds since the last usable message; None if there never was one."""
        arrival = self._arrival_s[name]
        return None if arrival is None else self._clock() - arrival

    def complaints(self) -> list[str]:
        """One phrase for each input that is not as it should be; empty when all are."""
        return [text for name in self._arrival_s if (text := self._complaint(name))]

    def remarks(self) -> list[str]:
        """One phrase for each input whose clock drifts, long before its stamps are too old."""
        moved = {name: (clock.moved_s or 0.0, clock.span_s) for name, clock in self._clocks.items()}
        return [f"{name}: {words(*by)}" for name, by in moved.items() if abs(by[0]) > self._drift_s]

    def _complaint(self, name: str) -> str | None:
        if name in self._refused:
            return f"{name} refused: {self._refused[name]}"
        silence = self.silence_s(name)
        if silence is None:
            return f"{name}: nothing received yet"
        if silence > self._limit_s:
            return f"{name}: nothing for {silence:.1f} s"
        age = self._stamp_age_s[name]
        if abs(age) > self._limit_s:
            when = f"{age:.1f} s old" if age > 0 else f"{-age:.1f} s in the future"
            return f"{name}: stamps are {when}; compare the clocks"
        return None
