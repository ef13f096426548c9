"""Start processes, tell who says what, who died and how, and end them together."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from vilp_ros.errors import VilpError
from vilp_ros.ros.graph import RESPAWN_DELAY_S, Process

SUPERVISOR = "VILP_SUPERVISOR_PID"
"""Environment variable that tells a child whom not to outlive."""

_PATIENCE_S = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


def describe_exit(code: int) -> str:
    """`exit code 2` or `killed by SIGKILL`."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


class Supervisor:
    """Processes that live and end together.

    Each gets a session of its own, so that Ctrl-C in the terminal reaches only us and they are
    asked once, in reverse order of their start. Lines they print come out behind their name.

    Args:
        processes: In the order in which they start.
        respawn: Start a process again when it dies.
        write: Takes each whole line.
    """

    def __init__(
        self,
        processes: Iterable[Process],
        *,
        respawn: bool = False,
        write: Callable[[str], object] = sys.stdout.write,
    ) -> None:
        self._processes = {process.name: process for process in processes}
        self._respawn, self._write = respawn, write
        self._children: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def __enter__(self) -> Supervisor:
        """Start every process."""
        try:
            for name in self._processes:
                self.start(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process."""
        self.stop()

    def start(self, name: str) -> None:
        """Start one process, for the first time or again.

        Raises:
            VilpError: Its program is not installed.
        """
        command = self._processes[name].command
        try:
            child = subprocess.Popen(
                command,
                env={**os.environ, SUPERVISOR: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise VilpError(
                f"{name}: no program '{command[0]}' here; it comes with ROS 2 "
                "(`source /opt/ros/$ROS_DISTRO/setup.bash`), or leave that argument out"
            ) from None
        self._children[name] = child
        reader = threading.Thread(target=self._read, args=(name, child), daemon=True)
        self._readers.append(reader)
        reader.start()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one process."""
        self._children[name].send_signal(number)

    def wait(self, stop: threading.Event) -> int:
        """Watch until `stop` is set or a required process ends by itself.

        Returns:
            Exit code for the shell: 0 after `stop` if every process ended with 0; that of the
            process which ended by itself (128 + number for a signal, 1 if it claims success).
        """
        while not stop.is_set():
            try:
                name, code = self._ended.get(timeout=0.1)
            except queue.Empty:
                continue
            self._write(f"[{name}] ended by itself: {describe_exit(code)}\n")
            if self._respawn:
                stop.wait(RESPAWN_DELAY_S)
                self.start(name)
            elif self._processes[name].required:
                self.stop()
                return (128 - code if code < 0 else code) or 1
        codes = self.stop()
        bad = {name: code for name, code in codes.items() if code != 0}
        for name, code in bad.items():
            self._write(f"[{name}] did not end cleanly: {describe_exit(code)}\n")
        return 1 if bad else 0

    def stop(self) -> dict[str, int]:
        """End what still runs: ask, insist, kill.

        Returns:
            Exit codes of the processes that this call ended.
        """
        running = {n: c for n, c in reversed(self._children.items()) if c.poll() is None}
        for number, patience_s in _PATIENCE_S:
            for child in running.values():
                if child.poll() is None:
                    child.send_signal(number)
            deadline = time.monotonic() + patience_s
            for child in running.values():
                try:
                    child.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    break
            else:
                break
        for reader in self._readers:
            reader.join()
        return {name: child.returncode for name, child in running.items()}

    def _read(self, name: str, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                self._write(f"[{name}] {line.rstrip()}\n")
        self._ended.put((name, child.wait()))
