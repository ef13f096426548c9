"""One observation a control period, from cameras of any rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Contract
from vilp_ros.data.bag import BagError
from vilp_ros.data.observe import Observation
from vilp_ros.data.robot_state import Past, RobotState, blend_state

_SAME_RATE = 0.1


class Frame(NamedTuple):
    """An observation as an episode has it.

    Attributes:
        stamp_s: see `Observation`.
        images: see `Observation`.
        state: see `Observation`.
        before: the state of one control period earlier, as the planner would have known it; None
            if it would have known none.
        filler: whether it stands in for one that was lost.
    """

    stamp_s: float
    images: dict[str, NDArray[np.uint8]]
    state: RobotState
    before: RobotState | None
    filler: bool = False


class Frames:
    """Picks one observation a control period.

    A camera that runs at the control rate gives every frame; any other rate gives the frame nearest
    to each period's end. Up to `staleness_s` a gap is bridged as the robot would bridge it: the
    picture stays, the state is interpolated.

    Args:
        contract: of the robot.
        where: names the bag in errors.
    """

    def __init__(self, contract: Contract, where: object) -> None:
        self._period_s, self._limit_s = contract.control_period_s, contract.staleness_s
        rates = [view.rate_hz * self._period_s for view in contract.views.values()]
        self._every = all(abs(rate - 1) < _SAME_RATE for rate in rates)
        self._where = where
        self._past = Past(self._period_s)
        self._last: Frame | None = None
        self._pending: Frame | None = None
        self._begin_s = 0.0
        self._count = 0

    def add(self, observation: Observation) -> Iterator[Frame]:
        """The frames that an observation completes.

        Raises:
            BagError: the clock was set back, or a gap is too long.
        """
        if newest := self._pending or self._last:
            self._check(observation.stamp_s - newest.stamp_s)
        self._past.add(observation.stamp_s, observation.state)
        frame = Frame(*observation, self._past.before(observation.stamp_s))
        if self._last is None:
            self._begin_s = frame.stamp_s
            yield self._take(frame)
        elif self._every:
            yield from self._bridge(self._last, frame)
            yield self._take(frame)
        else:
            while frame.stamp_s >= (due_s := self._begin_s + self._count * self._period_s):
                best = self._pending or self._last
                if abs(frame.stamp_s - due_s) <= abs(best.stamp_s - due_s):
                    best = frame
                again = best is self._last
                yield self._take(best)._replace(filler=again)
            self._pending = frame

    def _check(self, gap_s: float) -> None:
        at_s = self._last.stamp_s - self._begin_s if self._last else 0.0
        if gap_s <= 0:
            raise BagError(
                f"{self._where}: the stamps go back by {-gap_s:.1f} s at {at_s:.1f} s: "
                "a clock was set while it was recorded; record it again"
            )
        if gap_s > self._limit_s:
            raise BagError(
                f"{self._where}: no observation for {gap_s:.2f} s at {at_s:.1f} s, the contract "
                f"allows {self._limit_s:g} s: record it again"
            )

    def _bridge(self, last: Frame, frame: Frame) -> Iterator[Frame]:
        span_s, before = frame.stamp_s - last.stamp_s, last.state
        missing = round(span_s / self._period_s) - 1
        for k in range(1, missing + 1):
            u = k / (missing + 1)
            state = blend_state(last.state, frame.state, u)
            yield self._take(Frame(last.stamp_s + u * span_s, last.images, state, before, True))
            before = state

    def _take(self, frame: Frame) -> Frame:
        self._last, self._count = frame, self._count + 1
        return frame
