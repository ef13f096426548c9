"""A chunk of actions is judged before the first of them is sent.

The limits behind it would clamp each command, and the arm would then do something else than was
planned. Here the whole chunk is judged, while it can still be refused, or mended so that it breaks
no limit. Every finding names the joint or the axis, the value and the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.contract import Limits
from vilp_ros.control.action import Array, components, difference, moved

MAX_SLOWDOWN = 4.0
GRAZE = {"m": 0.01, "rad": 0.02}
"""How far out of a range is held at its end. A plan made again from the same place leaves it again:
refused for a millimetre, the arm would stand there for good."""
_ORDERS = ("velocity", "acceleration", "jerk")


@dataclass(frozen=True)
class Judgement:
    """What became of a chunk.

    Attributes:
        actions: (N, A) to execute at the same period; None if the chunk is refused.
        slowdown: how many times slower than planned they are, at least 1.
        findings: what would have been broken, in words, worst first; empty if nothing.
    """

    actions: Array | None
    slowdown: float
    findings: tuple[str, ...]


@dataclass(frozen=True)
class _Bound:
    names: tuple[str, ...]
    columns: slice
    limits: Array  # (3, 1) of a length, or (3, n) one per name
    units: str
    length: bool = False


class PreCheck:
    """Judges chunks against the contract.

    Too fast, too sudden: the chunk is stretched in time, up to `MAX_SLOWDOWN`, or refused. Out of a
    range by no more than `GRAZE`: held at its end, or refused. Further out, or a start that is far
    from the arm: refused, since going there slower helps nobody.

    Args:
        limits: of the contract. Accelerations and jerks are judged where it has them.
        kind: "ee_pose" or "joint_position".
        period_s: duration of one action.
        slow: stretch what is too fast and hold what grazes a range; False refuses both.
    """

    def __init__(self, limits: Limits, kind: str, period_s: float, slow: bool = True) -> None:
        self._limits, self._kind, self._period_s, self._slow = limits, kind, period_s, slow
        if kind == "joint_position":
            count = len(limits.joint_position)
            names = components(kind, count + 1)[:-1]
            rows = (limits.joint_velocity, limits.joint_acceleration, limits.joint_jerk)
            table = np.array([_or_inf(row, count) for row in rows])
            self._bounds = [_Bound(names, slice(0, count), table, "rad")]
            self._ranges = list(zip(names, limits.joint_position, ["rad"] * count))
        else:
            linear = (limits.ee_speed, limits.ee_acceleration, limits.ee_jerk)
            angular = (
                limits.ee_angular_speed,
                limits.ee_angular_acceleration,
                limits.ee_angular_jerk,
            )
            self._bounds = [
                _Bound((name,), columns, np.array([_or_inf(v, 1) for v in row]), unit, True)
                for name, columns, row, unit in (
                    ("hand", slice(0, 3), linear, "m"),
                    ("turn of the hand", slice(3, 6), angular, "rad"),
                )
            ]
            self._ranges = [(axis, limits.workspace[axis], "m") for axis in "xyz"]

    def judge(self, actions: ArrayLike, first: int, present: ArrayLike) -> Judgement:
        """Judge a chunk.

        Args:
            actions: (N, A), finite; action k is due k periods after the first.
            first: the action that is due now; those before it are past and not judged.
            present: (A,) where the arm is.
        """
        actions = np.array(actions, dtype=np.float64)
        ahead = actions[min(first, len(actions) - 1) :]  # a view: what is held, is so in `actions`
        grazes = self._hold_within(ahead) if self._slow else []
        if misplaced := self.misplaced(ahead, present):
            return Judgement(None, 1.0, tuple(misplaced))
        worst, fast = self._too_fast(ahead)
        findings = (*fast, *grazes)
        if not fast:
            return Judgement(actions, 1.0, findings)
        if not self._slow:
            return Judgement(None, 1.0, findings)
        scale, past = worst, actions[: len(actions) - len(ahead)]
        while scale <= MAX_SLOWDOWN:
            stretched = self._stretched(ahead, scale)
            if not self._too_fast(stretched)[1]:
                return Judgement(np.vstack([past, stretched]), scale, findings)
            scale *= 1.1  # straight pieces have corners, which slowness softens less than speed
        return Judgement(None, scale, findings)

    def _hold_within(self, actions: Array) -> list[str]:
        """Moves what grazes a range to its end, in place; what that was, in words."""
        findings = []
        for column, (name, (low, high), unit) in enumerate(self._ranges):
            values = actions[:, column]
            held = values.clip(low, high)
            if 0 < (out := abs(held - values).max()) <= GRAZE[unit]:
                findings.append(f"{name} would be out of its range by {out:.4f} {unit}: held in it")
                actions[:, column] = held
        return findings

    def misplaced(self, actions: Array, present: ArrayLike) -> list[str]:
        """What no slowness cures, in words: a start (A,) far from the arm, leaving a range."""
        start = self._start(actions[0], np.asarray(present, dtype=np.float64))
        return start + self._out_of_range(actions)

    def _start(self, start: Array, present: Array) -> list[str]:
        change = difference(self._kind, present, start)
        if self._kind == "joint_position":
            index = int(np.argmax(np.abs(change[:-1])))
            name, value, unit = f"joint{index + 1}", abs(change[index]), "rad"
            limit = self._limits.start_distance_rad
        else:
            name, value, unit = "hand", float(np.linalg.norm(change[:3])), "m"
            limit = self._limits.start_distance_m
        if value <= limit:
            return []
        return [f"starts too far from the arm: {name} by {value:.3f}, limit {limit:g} {unit}"]

    def _out_of_range(self, actions: Array) -> list[str]:
        findings = []
        for column, (name, (low, high), unit) in enumerate(self._ranges):
            values = actions[:, column]
            for value, limit, out in (
                (values.min(), low, low - values.min()),
                (values.max(), high, values.max() - high),
            ):
                if out > 1e-9:
                    text = f"{name} would reach {value:.3f}, limit {limit:g} {unit}"
                    findings.append((out, text))
        return [text for _, text in sorted(findings, reverse=True)]

    def _too_fast(self, actions: Array) -> tuple[float, list[str]]:
        """The time scale that would break nothing, and what breaks at scale 1."""
        found = []
        rates = np.array([difference(self._kind, a, b) for a, b in zip(actions, actions[1:])])
        for order, what in enumerate(_ORDERS):
            if not len(rates):
                break
            rates = rates / self._period_s
            for bound in self._bounds:
                part = rates[:, bound.columns]
                values = np.linalg.norm(part, axis=1, keepdims=True) if bound.length else abs(part)
                for name, value, limit in zip(bound.names, values.max(axis=0), bound.limits[order]):
                    if value > limit * (1 + 1e-9):
                        unit = f"{bound.units}/s" + ("", "^2", "^3")[order]
                        excess = (value / limit) ** (1 / (order + 1))
                        text = f"{what} of {name} would be {value:.3g}, limit {limit:g} {unit}"
                        found.append((excess, text))
            rates = np.diff(rates, axis=0)
        found.sort(reverse=True)
        return (found[0][0] if found else 1.0), [text for _, text in found]

    def _stretched(self, actions: Array, scale: float) -> Array:
        """The chunk on the same path, `scale` times slower; its end falls off."""
        rows = []
        for place in np.arange(len(actions)) / scale:
            index = min(int(place), len(actions) - 1)
            start, end = actions[index], actions[min(index + 1, len(actions) - 1)]
            change = difference(self._kind, start, end)
            rows.append(moved(self._kind, start, (place - index) * change))
        return np.array(rows)


def _or_inf(value: object, size: int) -> Array:
    return np.full(size, np.inf) if value is None else np.atleast_1d(np.array(value, np.float64))
