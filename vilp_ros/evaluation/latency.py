"""How late arm, gripper and cameras are, from a recorded bag in which the arm moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Contract
from vilp_ros.control.latency import MAX_LAG_S, Lag, lag
from vilp_ros.data.bag import Bag
from vilp_ros.data.observe import STATES, Observer, from_pose, joints_by_name, seconds
from vilp_ros.data.pixels import rgb_pixels

Samples = tuple[list[float], list[Any]]  # header stamps (s), values
UNKNOWN = Lag(0.0, 0.0)
GRID_S = 0.01


def latencies(contract: Contract, path: str | Path) -> dict[str, Lag]:
    """Shifts at which measurements follow commands best, and cameras the hand.

    A human, a script or a policy that moves the arm to and fro will do; the axis that moved most
    counts. Commands must come as a stream: of a trajectory, its first point is taken.

    Args:
        contract: of the robot.
        path: of the bag.

    Returns:
        Lags of `action`, `gripper` and each view, `views.<name>`; those of views beyond the stamps.

    Raises:
        VilpError: It is no bag, or a message is not what the contract promises.
    """
    with Bag(path) as bag:
        return _Recorded(contract, bag).lags()


class _Recorded:
    def __init__(self, contract: Contract, bag: Bag) -> None:
        self._contract, action = contract, contract.action
        self._by_pose = action.sends == "ee_pose"
        self._samples: dict[str, Samples] = {}
        told = action.pose_topic if self._by_pose else action.joint_topic
        observer = Observer(contract)
        named: dict[Any, str] = {told: "told", action.width_topic: "told width"}
        named.update(observer.topics)
        channels = {bag.topic(topic): name for topic, name in named.items() if topic}
        recorded = [topic for topic in channels if topic in bag.kinds]
        before: dict[str, tuple[float, NDArray]] = {}
        for topic, _, message in bag.messages(recorded):
            name = channels[topic]
            if name in contract.views:
                pixels = rgb_pixels(contract.views[name], message)[::2, ::2].astype(np.int16)
                stamp_s = seconds(message.header.stamp)
                if name in before:
                    last_s, last = before[name]
                    self._note(name, (stamp_s + last_s) / 2, float(abs(pixels - last).mean()))
                before[name] = (stamp_s, pixels)
            elif name in STATES:
                for part, value in observer.read(name, message)[1].items():
                    if part == "ee_pose":
                        value = value[:3]
                    self._note(part, seconds(message.header.stamp), value)
            else:
                self._note(name, *self._told(name, message))

    def _note(self, name: str, time_s: float, value: Any) -> None:
        times, values = self._samples.setdefault(name, ([], []))
        if not times or time_s > times[-1]:
            times.append(time_s)
            values.append(value)

    def _told(self, name: str, message: Any) -> tuple[float, Any]:
        stamp_s = seconds(message.header.stamp)
        if hasattr(message, "pose"):
            return stamp_s, from_pose(message.pose)[:3]
        if name == "told width":
            return stamp_s, self._contract.recorded_width.metres(float(message.position[0]))
        names = self._contract.proprio.joint_names
        if hasattr(message, "points"):
            first = message.points[0]
            after = first.time_from_start
            stamp_s += after.sec + 1e-9 * after.nanosec
            return stamp_s, joints_by_name(message, first.positions, names)
        return stamp_s, joints_by_name(message, message.position, names)

    def _get(self, name: str, late_s: float = 0.0) -> tuple[NDArray, NDArray]:
        times, values = self._samples.get(name, ([], []))
        return np.array(times) - late_s, np.array(values)

    def lags(self) -> dict[str, Lag]:
        late_s = self._contract.proprio.latency_s
        hand = self._get("ee_pose", late_s)
        moved = hand if self._by_pose else self._get("joints", late_s)
        found = {
            "action": _largest(self._get("told"), moved),
            "gripper": _largest(self._get("told width"), self._get("gripper", late_s)),
        }
        for name in self._contract.views:
            found[f"views.{name}"] = _seen(hand, self._get(name))
        return found


def _largest(cause: tuple[NDArray, NDArray], effect: tuple[NDArray, NDArray]) -> Lag:
    """Of the axis that moved most."""
    if min(len(cause[0]), len(effect[0])) < 2 / MAX_LAG_S:
        return UNKNOWN
    told, seen = (values.reshape(len(values), -1) for values in (cause[1], effect[1]))
    axis = int(np.argmax(np.ptp(seen, axis=0)))
    return lag(cause[0], told[:, axis], effect[0], seen[:, axis])


def _seen(hand: tuple[NDArray, NDArray], picture: tuple[NDArray, NDArray]) -> Lag:
    """Pictures change as much as the hand is fast."""
    if min(len(hand[0]), len(picture[0])) < 2 / MAX_LAG_S:
        return UNKNOWN
    grid = np.arange(hand[0][0], hand[0][-1], GRID_S)
    path = np.stack([np.interp(grid, hand[0], axis) for axis in hand[1].T], axis=1)
    return lag(grid, np.linalg.norm(np.gradient(path, grid, axis=0), axis=1), *picture)
