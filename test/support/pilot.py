"""`vilp teleop` in a process of its own, with a keyboard that the test presses."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from ros_rig import WAIT_S

from vilp_ros.ros.teleop_devices import HELD_S


class Pilot:
    """Args: probe; contract, a file or a name; `work`, called while it waits."""

    def __init__(self, probe, contract, work: Callable[[], object] = lambda: None) -> None:
        self._probe, self.work = probe, work
        self._master, slave = pty.openpty()
        words = ["--ros-args", "-r", "__node:=teleop", "-p", f"contract:={contract}"]
        command = [sys.executable, "-m", "vilp_ros.nodes.teleop", *words]
        self._process = subprocess.Popen(command, stdin=slave, start_new_session=True)
        os.close(slave)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            assert self._process.wait(30) == 0
        os.close(self._master)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, condition: Callable[[], object], what: str, hold: str = "") -> None:
        """Wait for a condition, with keys held down."""
        again_s = 0.0

        def step() -> object:
            nonlocal again_s
            self.work()
            if hold and time.monotonic() >= again_s:
                again_s = time.monotonic() + HELD_S / 3
                self.press(hold)
            return condition()

        self._probe.spin_until(step, what, WAIT_S)

    def until_says(self, text: str, hold: str = "") -> None:
        self.until(lambda: self._probe.says("teleop", text), f"teleop: {text}", hold)
