"""What an arm does at a fault, measured: a row of the table in docs/franka_measured.md.

With VILP_FAULTS=file.jsonl each fault appends its row there, and `tools/fault_table.py` makes the
table.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy

from vilp_ros.data.observe import from_pose

REST_M = 1e-3  # a hand this near to where it came to rest is held
EVERY = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


class Track:
    """Where a hand is led, or is: every pose of a topic, on a steady clock.

    Args:
        probe: Listens.
        topic: Of PoseStamped.
        of: What these poses are, for the table.
        noise_m: Of a hand that stands, from one message to the next; 0: it is told the same.
    """

    def __init__(self, probe, topic="target_pose", of="command", noise_m=0.0) -> None:
        self._probe, self.of, self._noise_m = probe, of, noise_m
        self.told: list[tuple[float, np.ndarray]] = []
        probe.listen(PoseStamped, topic, self._on_pose, EVERY)

    def _on_pose(self, message: PoseStamped) -> None:
        self.told.append((time.monotonic(), from_pose(message.pose)))

    def hand(self, since: int) -> np.ndarray:
        """(N, 3) positions from a message on, and the one before it."""
        return np.array([pose[:3] for _, pose in self.told[max(0, since - 1) :]]).reshape(-1, 3)

    def steps(self, since: int) -> np.ndarray:
        """(N,) metres from each message to the next."""
        return np.linalg.norm(np.diff(self.hand(since), axis=0), axis=1)

    def moves(self) -> None:
        """Wait for motion."""
        count = len(self.told)
        moving = lambda: (self.steps(count) > self._noise_m).sum() > 8  # noqa: E731
        self._probe.spin_until(moving, "the arm to move")

    def stands(self) -> None:
        """Wait for rest, of half a second at 50 Hz."""
        count = len(self.told)

        def still():
            recent = self.steps(len(self.told) - 24)
            return len(self.told) > count + 25 and recent.max() <= self._noise_m

        self._probe.spin_until(still, "an arm that stands")


class Fault:
    """Begins when it is made; `held`, `cured` and `over` are told when the arm has got there.

    Args:
        name: Of its row.
        track: Of the arm.
    """

    def __init__(self, name: str, track: Track) -> None:
        self._track, self._since = track, len(track.told)
        self._row: dict[str, object] = {"fault": name, "of": track.of}
        self._began_s = self._cured_s = time.monotonic()
        self._rest: np.ndarray | None = None

    def held(self, does: str, read: str, hold_s: float | None = None) -> None:
        """The arm stands: what it did, what the operator reads, and how long it took if the track
        does not know."""
        hand = self._track.hand(self._since)
        self._rest = hand[-1]
        away = np.flatnonzero(np.linalg.norm(hand - self._rest, axis=1) > REST_M)
        if hold_s is None:
            last = max(0, self._since - 1) + (away[-1] + 1 if away.size else 0)
            hold_s = max(0.0, self._track.told[last][0] - self._began_s)
        travel_mm = 1e3 * float(np.linalg.norm(hand[0] - self._rest))
        self._row |= {"does": does, "hold_s": hold_s, "travel_mm": travel_mm, "read": read}

    def went_on(self, does: str, read: str) -> None:
        """The arm did not stand, and need not."""
        self._row |= {"does": does, "read": read}

    def cured(self) -> None:
        """The cause is gone, or the operator has answered."""
        self._cured_s = time.monotonic()

    def over(self, how: str) -> None:
        """The arm moves again, and how that came."""
        self._row |= {"how": how, "step_mm": 1e3 * float(self._track.steps(self._since).max())}
        if self._rest is not None:
            began = [
                told_s
                for told_s, pose in self._track.told
                if told_s > self._cured_s and np.linalg.norm(pose[:3] - self._rest) > REST_M
            ]
            self._row["resume_s"] = began[0] - self._cured_s if began else None
        self._row["load"] = os.getloadavg()[0]
        if path := os.environ.get("VILP_FAULTS"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with Path(path).open("a") as file:
                file.write(json.dumps(self._row) + "\n")
