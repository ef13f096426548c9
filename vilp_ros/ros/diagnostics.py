"""A node's own account of itself on diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)

PERIOD_S = 1.0
LOG_PERIOD_S = 1.0
START_S = 20.0
"""Until a node was well for the first time, and so long at most, what it waits for is no error."""


@dataclass
class Report:
    """What a node says: one sentence that a tired operator understands, and figures."""

    level: bytes = OK
    message: str = "ok"
    values: dict[str, object] = field(default_factory=dict)

    def to_message(self, name: str, hardware_id: str) -> DiagnosticStatus:
        """Status message; floats with four digits."""
        values = [
            KeyValue(key=key, value=f"{value:.4g}" if isinstance(value, float) else str(value))
            for key, value in self.values.items()
        ]
        return DiagnosticStatus(
            level=self.level,
            name=name,
            message=self.message,
            hardware_id=hardware_id,
            values=values,
        )


class Diagnostics:
    """Asks `report` ten times a second, publishes once a second and whenever the level changes.

    A change of level is logged too, for whoever watches a terminal; while a node starts, what it
    waits for is information. Runs on a steady clock, so that it speaks even when nothing publishes
    /clock.

    Args:
        node: Publishes on its relative topic `diagnostics`, under its full name.
        report: Called in the executor.
        hardware_id: The robot.
    """

    def __init__(self, node: Node, report: Callable[[], Report], hardware_id: str = "") -> None:
        self._node, self._report, self._hardware_id = node, report, hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, "diagnostics", 10)
        self._name = node.get_fully_qualified_name().lstrip("/")
        self._last_level: bytes | None = None
        self._last_s = 0.0
        self._starting_until_s = time.monotonic() + START_S
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(0.1, self._poll, clock=steady)

    def _poll(self) -> None:
        report, now = self._report(), time.monotonic()
        if report.level != self._last_level:
            self._log(report)
        if report.level != self._last_level or now - self._last_s >= PERIOD_S:
            self._last_level, self._last_s = report.level, now
            message = DiagnosticArray(status=[report.to_message(self._name, self._hardware_id)])
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(message)

    def _log(self, report: Report) -> None:
        logger = self._node.get_logger()
        if report.level == OK:
            self._starting_until_s = 0.0
        # rclpy ties a line of code to one severity
        if report.level == OK or time.monotonic() < self._starting_until_s:
            logger.info(report.message, throttle_duration_sec=LOG_PERIOD_S)
        elif report.level == WARN:
            logger.warning(report.message, throttle_duration_sec=LOG_PERIOD_S)
        else:
            logger.error(report.message, throttle_duration_sec=LOG_PERIOD_S)


class Rate:
    """Events per second over the last few seconds, on a steady clock."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._times: list[float] = []

    def tick(self) -> None:
        """Count one event."""
        now = time.monotonic()
        self._times = [t for t in self._times if now - t < self._window_s] + [now]

    @property
    def hz(self) -> float:
        """Events per second; 0.0 when the last one is older than the window."""
        now = time.monotonic()
        recent = [t for t in self._times if now - t < self._window_s]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0
