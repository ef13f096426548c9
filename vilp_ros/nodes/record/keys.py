"""Keys of the terminal to services of the recorder."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.status import Status

from vilp_ros.nodes.record.remote import Remote, live, say

KEYS = {
    " ": "start",
    "s": "success",
    "f": "failure",
    "u": "stop",
    "d": "discard",
    "z": "undo",
    "r": "save",
}
HELP_LINE = (
    "space start  s success  f failure  u unlabelled  d discard  z undo  r save ring  q quit"
)


def listen(remote: Remote, console: Console, line: Status) -> int:
    """Keys to services; without a keyboard, only the line."""
    keys = sys.stdin.isatty()
    console.print(HELP_LINE if keys else "no keyboard here: command recorder/start and its like")
    remote.on_tick = lambda: line.update(live(remote))
    with _cbreak() if keys else nullcontext():
        while True:
            key = _key() if keys else ""
            if key == "q":
                if remote.value("state") == "recording":
                    say(console, *remote.trigger("recorder/stop"))
                return 0
            if service := KEYS.get(key):
                if service == "start" and remote.value("state") == "recording":
                    service = "stop"
                say(console, *remote.trigger(f"recorder/{service}"))
            remote.spin()


@contextmanager
def _cbreak() -> Iterator[None]:
    """Keys come one by one, unseen."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _key() -> str:
    """A key that was pressed, or nothing."""
    ready, _, _ = select.select([sys.stdin], [], [], 0.0)
    return os.read(sys.stdin.fileno(), 1).decode(errors="ignore") if ready else ""
