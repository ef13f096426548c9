"""Do a sensor's stamps keep up with the clock that its messages are received by? Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BINS = 64
LEAST = 5
"""Bins with messages, for a drift to be told from the way's own delays."""


class Drift:
    """Of one channel.

    How late messages are tells delays of the way and the difference of two clocks. The least late
    of each bin had hardly a delay: if those become later and later, or earlier, a clock drifts.

    Args:
        bin_s: duration of a bin; doubles whenever `BINS` are full, so that hours cost no memory.
    """

    def __init__(self, bin_s: float = 1.0) -> None:
        self._bin_s, self._begin_s = bin_s, 0.0
        self._least: dict[int, tuple[float, float]] = {}

    def add(self, received_s: float, late_s: float) -> None:
        """Takes one message.

        Args:
            received_s: when it came, on a clock that never goes back.
            late_s: how much later than its stamp says.
        """
        if not self._least:
            self._begin_s = received_s
        index = int((received_s - self._begin_s) / self._bin_s)
        found = self._least.get(index)
        if found is None or late_s < found[1]:
            self._least[index] = (received_s, late_s)
        if len(self._least) > BINS:
            self._halve()

    @property
    def late_s(self) -> float | None:
        """How late the least late message was; None without any."""
        return min((late for _, late in self._least.values()), default=None)

    @property
    def span_s(self) -> float:
        """From the first bin to the last."""
        times = [at for at, _ in self._least.values()]
        return max(times) - min(times) if times else 0.0

    @property
    def moved_s(self) -> float | None:
        """By how much stamps fell behind over the whole span; negative: ran ahead.

        The median slope between any two bins (Theil 1950, Sen 1968), which nearly a third of them
        may spoil. None where it cannot be told yet.
        """
        if len(self._least) < LEAST:
            return None
        points = np.array(sorted(self._least.values()))
        one, two = np.triu_indices(len(points), 1)
        run, rise = (points[two] - points[one]).T
        return float(np.median(rise / run)) * self.span_s

    def against(self, other: Drift) -> Drift:
        """By how much it is later than another channel at the same times.

        For channels that begin or end at other times: the other's delay is that between its bins,
        and goes on in its course for a bin beyond them.
        """
        found = Drift(self._bin_s)
        if not other._least:
            return found
        at, late = np.array(sorted(other._least.values())).T
        slope = (late[-1] - late[0]) / (at[-1] - at[0]) if len(at) > 1 else 0.0
        for index, (at_s, late_s) in self._least.items():
            inside_s = float(np.clip(at_s, at[0], at[-1]))
            if abs(at_s - inside_s) <= other._bin_s:
                theirs_s = np.interp(inside_s, at, late) + slope * (at_s - inside_s)
                found._least[index] = (at_s, late_s - float(theirs_s))
        return found

    def _halve(self) -> None:
        self._bin_s *= 2
        merged: dict[int, tuple[float, float]] = {}
        for at_s, late_s in self._least.values():
            index = int((at_s - self._begin_s) / self._bin_s)
            if index not in merged or late_s < merged[index][1]:
                merged[index] = (at_s, late_s)
        self._least = merged


def words(moved_s: float, span_s: float) -> str:
    """A drift, as a phrase."""
    way = "fell {:.0f} ms behind" if moved_s > 0 else "ran {:.0f} ms ahead of"
    cure = "synchronise its clock (chrony, ptp4l), or let its driver stamp by this host's"
    return f"its stamps {way.format(1e3 * abs(moved_s))} reception in {span_s:.0f} s: {cure}"


def disagreements(
    channels: Mapping[str, Drift],
    drift_s: float,
    apart_s: float,
    others: Mapping[str, Drift] | None = None,
) -> list[tuple[str, str, str]]:
    """Channels whose clock is not that of most others, as (channel, what, words).

    What all have in common is no fault: stamps may count simulated seconds. Of two channels, or
    two halves, the one is right whose stamps agree with reception; where none or both do, the pair
    is named.

    Args:
        channels: by name.
        drift_s: by which one may move against the others.
        apart_s: by which one may be behind or ahead of them.
        others: are judged too, each while it came, and have no say in what is right: they may all
            come from one program.
    """
    found = []
    moved = {name: m for name, c in channels.items() if (m := c.moved_s) is not None}
    for name, value, than in _odd(moved, drift_s):
        span_s = channels[name].span_s
        if than in channels:
            text = (
                f"its stamps move {1e3 * abs(value):.0f} ms against those of {than} in "
                f"{span_s:.0f} s, and {_UNTOLD}: synchronise the clocks (chrony, ptp4l)"
            )
        else:
            text = words(value, span_s)
        found.append((name, "drift", text))
    late = {name: s for name, c in channels.items() if (s := c.late_s) is not None}
    for name, value, than in _odd(late, apart_s):
        other = f"those of {than}, and {_UNTOLD}" if than in channels else than
        found.append((name, "clock", _apart(value, other)))
    accused = {name for name, *_ in found}
    right = {name: c for name, c in channels.items() if name not in accused}
    if not others or not right:
        return found
    example = max(right.values(), key=lambda clock: clock.span_s)
    # Simulated seconds run unevenly: between bins nobody knows them to a few milliseconds.
    even = abs(example.moved_s or 0.0) <= drift_s
    for name, clock in others.items():
        beside = clock.against(example)
        drifted_s, late_s = beside.moved_s, beside.late_s
        if even and drifted_s is not None and abs(drifted_s) > drift_s:
            found.append((name, "drift", words(drifted_s, beside.span_s)))
        if late_s is not None and abs(late_s) > apart_s:
            found.append((name, "clock", _apart(late_s, "those of most channels")))
    return found


def _apart(value_s: float, than: str) -> str:
    way = "behind" if value_s > 0 else "ahead of"
    return f"its stamps lie {abs(value_s):.2f} s {way} {than}: compare the clocks"


_UNTOLD = "nothing tells which is wrong"


def _odd(values: Mapping[str, float], bound_s: float) -> list[tuple[str, float, str]]:
    """Who is further off than a bound: name, by how much, and off what or whom."""
    ranked = sorted((value, name) for name, value in values.items())
    if not ranked:
        return []
    (low_s, low), (high_s, _) = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    common_s, than = min(low_s, high_s, key=abs), "those of most channels"
    if high_s - low_s > bound_s:
        if (abs(low_s) <= bound_s) == (abs(high_s) <= bound_s):
            apart = [(name, value - low_s, low) for value, name in ranked]
            return [one for one in apart if one[1] > bound_s]
        than = "reception"
    off = [(name, value - common_s, than) for name, value in values.items()]
    return [one for one in off if abs(one[1]) > bound_s]
