"""What a terminal needs of the recorder and the simulator: their statuses in, services out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.executors import TimeoutException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rich.console import Console
from std_srvs.srv import Trigger

from vilp_ros.errors import VilpError
from vilp_ros.ros import qos

WAIT_S = 90.0
SPIN_S = 0.05
"""Pause between two looks at keyboard and topics."""


class Remote(Node):
    """Raises KeyboardInterrupt out of every wait when it is time to end.

    Args:
        stop: set when the user wants to end.
        dead: set when a node ended by itself.
        namespace: of the nodes.
    """

    def __init__(self, stop: threading.Event, dead: threading.Event, namespace: str = "") -> None:
        super().__init__("record_terminal", namespace=namespace)
        self._stop, self._dead = stop, dead
        self.recorder: DiagnosticStatus | None = None
        self.sim: dict[str, str] = {}
        self.on_tick: Callable[[], None] = lambda: None
        status = self.create_subscription
        status(DiagnosticStatus, "recorder/status", self._on_recorder, qos.STATE_IN)
        status(DiagnosticStatus, "sim/status", self._on_sim, qos.STATE_IN)

    def value(self, key: str) -> str:
        """A figure of the recorder's last status."""
        values = self.recorder.values if self.recorder else []
        return next((v.value for v in values if v.key == key), "")

    def spin(self, timeout_s: float = SPIN_S) -> None:
        """Takes what came; raises KeyboardInterrupt when it is time to end."""
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._dead.is_set():
            raise VilpError("a node ended by itself; its last lines are above")
        assert self.executor is not None
        with suppress(TimeoutException):
            while True:
                handler, _, _ = self.executor.wait_for_ready_callbacks(timeout_sec=timeout_s)
                handler()
                handler.result()
                timeout_s = 0.0
        self.on_tick()

    def wait(self, condition: Callable[[], object], what: str, limit_s: float = WAIT_S) -> None:
        """Spins until it holds.

        Raises:
            VilpError: it does not, within `limit_s`.
        """
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                raise VilpError(f"waited {limit_s:.0f} s for {what}")
            self.spin()

    def call(self, kind: type, name: str, **fields: Any) -> Any:
        """Answer of a service."""
        client = self.create_client(kind, name)
        try:
            self.wait(client.service_is_ready, f"service {name}")
            future = client.call_async(kind.Request(**fields))
            self.wait(future.done, f"an answer of {name}")
            return future.result()
        finally:
            self.destroy_client(client)

    def trigger(self, name: str) -> tuple[bool, str]:
        """Success and message of a Trigger."""
        answer = self.call(Trigger, name)
        return answer.success, answer.message

    def demand(self, name: str) -> str:
        """Message of a Trigger that must succeed."""
        done, message = self.trigger(name)
        if not done:
            raise VilpError(f"{name}: {message}")
        return message

    def set(self, node: str, **values: int | float | str) -> None:
        """Sets parameters of a node."""
        parameters = [Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        answer = self.call(SetParameters, f"{node}/set_parameters", parameters=parameters)
        for name, result in zip(values, answer.results):
            if not result.successful:
                raise VilpError(f"{node} refuses {name}: {result.reason}")

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self.recorder = message

    def _on_sim(self, message: DiagnosticStatus) -> None:
        self.sim = {v.key: v.value for v in message.values}


def live(remote: Remote) -> str:
    """The recorder in one line."""
    status = remote.recorder
    if status is None:
        return "waiting for the recorder"
    if remote.value("state") != "recording":
        return f"{remote.value('episodes')} episodes in {remote.value('folder')}  {status.message}"
    rates = [
        f"{v.key.removesuffix(' hz').split('/')[0]} {float(v.value):.0f}"
        for v in status.values
        if v.key.endswith(" hz")
    ]
    trouble = f"  [yellow]{status.message}[/]" if status.level != DiagnosticStatus.OK else ""
    return (
        f"[red]rec[/] {remote.value('episode')}  {float(remote.value('seconds')):.1f} s  "
        f"{float(remote.value('mb')):.0f} MB  {float(remote.value('mb_per_s')):.1f} MB/s  "
        f"Hz: {', '.join(rates)}{trouble}"
    )


def say(console: Console, good: bool, message: str) -> None:
    """Prints a line as it is, in red if it is bad news."""
    style = "none" if good else "red"
    console.print(message, style=style, markup=False, highlight=False, soft_wrap=True)
