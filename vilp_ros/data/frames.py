"""One observation a control period, from cameras of any rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Contract
from vilp_ros.data.bag import BagError
from vilp_ros.data.observe import Observation
from vilp_ros.data.pace import Pace
from vilp_ros.data.robot_state import Past, RobotState, blend_state
from vilp_ros.data.synchroniser import SAME_S

LATE = 0.2
"""Of the time from one picture to the next, by which one may be late and is not taken for lost."""


class Frame(NamedTuple):
    """An observation as an episode has it.

    Attributes:
        stamp_s: see `Observation`.
        images: see `Observation`.
        state: see `Observation`.
        before: the state of one control period earlier, as the planner would have known it; None
            if it would have known none.
        repeated: whether a picture is the one of the frame before.
        lost: whether it stands in for one that was lost.
    """

    stamp_s: float
    images: dict[str, NDArray[np.uint8]]
    state: RobotState
    before: RobotState | None
    repeated: bool = False
    lost: bool = False


class Frames:
    """Makes frames that lie one control period apart.

    Cameras at the control rate give every frame, as the planner sees it. Of any other rate a
    picture belongs to the frame nearest to it; a frame with several is given the nearest, one
    without shows the picture before, as the robot would see it. Its state is that of its own time.
    Up to `staleness_s` a gap is bridged as the robot would bridge it:
    the picture stays, the state goes on.

    Args:
        contract: of the robot.
        where: names the bag in errors.
        pace: of the observations to come.
        state: of the arm at a time between the last two observations; None if not known.
    """

    def __init__(
        self,
        contract: Contract,
        where: object,
        pace: Pace,
        state: Callable[[float], RobotState | None],
    ) -> None:
        self._period_s, self._limit_s = contract.control_period_s, contract.staleness_s
        self._where, self._pace, self._state = where, pace, state
        camera_s, half_s = pace.period_s, self._period_s / 2
        self._longest_s = max(camera_s / 2, camera_s - half_s) + LATE * camera_s
        self._past = Past(self._period_s)
        self._last: Frame | None = None
        self._newest: Frame | None = None
        self._begin_s = 0.0
        self._count = 0

    def add(self, observation: Observation) -> Iterator[Frame]:
        """The frames that an observation completes.

        Raises:
            BagError: the clock was set back, or a gap is too long.
        """
        if self._newest is not None:
            self._check(observation.stamp_s - self._newest.stamp_s)
        self._past.add(observation.stamp_s, observation.state)
        frame = Frame(*observation, self._past.before(observation.stamp_s))
        if self._newest is None or self._last is None:
            self._begin_s = frame.stamp_s
            yield self._take(frame)
        elif self._pace.steady:
            yield from self._bridge(self._last, frame)
            yield self._take(frame)
        else:
            yield from self._between(self._newest, frame)
        self._newest = frame

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
            stamp_s = last.stamp_s + u * span_s
            state = self._state(stamp_s) or blend_state(last.state, frame.state, u)
            yield self._take(Frame(stamp_s, last.images, state, before, lost=True))
            before = state

    def _between(self, one: Frame, two: Frame) -> Iterator[Frame]:
        """Frames after the time of one observation, up to that of the next."""
        while (due_s := round(self._begin_s + self._count * self._period_s, 6)) <= two.stamp_s:
            after_s, ahead_s = due_s - one.stamp_s, two.stamp_s - due_s
            shown, off_s = one, after_s
            if ahead_s <= self._period_s / 2 and ahead_s < after_s - 2 * SAME_S:
                shown, off_s = two, ahead_s
            state = shown.state
            if off_s > SAME_S:
                u = after_s / (after_s + ahead_s)
                state = self._state(due_s) or blend_state(one.state, two.state, u)
            before = self._past.before(due_s)
            lost = off_s > self._longest_s
            yield self._take(Frame(due_s, shown.images, state, before, lost=lost))

    def _take(self, frame: Frame) -> Frame:
        last, self._count = self._last, self._count + 1
        if last is not None and any(frame.images[v] is last.images[v] for v in frame.images):
            frame = frame._replace(repeated=True)
        self._last = frame
        return frame
