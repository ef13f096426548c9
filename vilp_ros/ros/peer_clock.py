"""Is the clock of the host where another node runs the one of this host?"""

from __future__ import annotations

import math
from collections import deque

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from vilp_ros.data.observe import seconds

APART_S = 0.025
"""Half a control period of 50 ms."""
HEARD = 10
"""Diagnostics of the other, one a second: the least late had the least of delay."""
LEAST = 5
"""Before, nothing is said: nodes that start hear each other late."""
KEY = "peer_late_ms"


class PeerClock:
    """Compares clocks as NTP does, by what two nodes say of each other on diagnostics.

    Each tells how late the other's diagnostics come, by its own clock and the other's stamp. The
    delay of the way is in both, the difference of the clocks once more and once less: half the
    difference of the two is how far the clocks are apart, as far as the way is as long there as
    back. Where it is not, as between busy hosts, that is off by half of there and back at most.

    Args:
        node: Its diagnostics have `values`.
        peer: Name of the other, in the same namespace.
    """

    def __init__(self, node: Node, peer: str) -> None:
        self._node, self._short = node, peer
        self._peer = f"{node.get_namespace()}/{peer}".lstrip("/")
        self._late_s: deque[float] = deque(maxlen=HEARD)
        self._theirs_s = math.nan
        node.create_subscription(DiagnosticArray, "diagnostics", self._hear, HEARD)

    def _hear(self, message: DiagnosticArray) -> None:
        now_s = self._node.get_clock().now().nanoseconds * 1e-9
        for status in message.status:
            if status.name == self._peer:
                self._late_s.append(now_s - seconds(message.header.stamp))
                said = {pair.key: pair.value for pair in status.values}
                self._theirs_s = 1e-3 * float(said.get(KEY, "nan"))

    def values(self) -> dict[str, object]:
        """For the node's own diagnostics."""
        found: dict[str, object] = {}
        if self._late_s:
            found[KEY] = 1e3 * min(self._late_s)
        if math.isfinite(self.ahead_s):
            found["clock_ahead_ms"] = 1e3 * self.ahead_s
        return found

    @property
    def ahead_s(self) -> float:
        """How far this clock is ahead of the other's; NaN while that is unknown."""
        known = len(self._late_s) >= LEAST
        return (min(self._late_s) - self._theirs_s) / 2 if known else math.nan

    @property
    def doubt_s(self) -> float:
        """How far `ahead_s` may be off."""
        return max(min(self._late_s) + self._theirs_s, 0.0) / 2 if self._late_s else math.nan

    def complaint(self) -> str:
        """What is wrong, empty if nothing is."""
        ahead_s = self.ahead_s
        if not abs(ahead_s) > APART_S:
            return ""
        way = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"this host's clock is {1e3 * abs(ahead_s):.0f} ms {way} that of the {self._short}'s "
            f"host, give or take {math.ceil(1e3 * self.doubt_s)} ms: synchronise both (chrony, "
            "ptp4l)"
        )
