"""Quality of service, in one place."""

from __future__ import annotations

from rclpy.qos import QoSProfile, ReliabilityPolicy

from vilp_ros.contract import View

LATEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""Commands and observations: only the newest counts, but that one must arrive."""

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Plans, and observations read from another host: who insists on what a network lost gets it with
the next heartbeat, seconds later, and the next one comes after 50 ms."""

COMMANDS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""Trajectories: each replaces the one before from its first point on."""

SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Images that a driver publishes: better lost than late."""

STATE_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""Robot state as a driver publishes it, so that any subscriber matches."""

STATE_IN = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Robot state as we read it: matches reliable and best effort drivers alike."""


def camera(view: View) -> QoSProfile:
    """Profile with which the contract wants a view to be read."""
    return QoSProfile(depth=view.depth, reliability=ReliabilityPolicy[view.reliability.upper()])
