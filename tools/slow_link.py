"""Two hosts on one machine, and a network between them that is slow, uneven and lossy.

The hosts are network namespaces, `vilp_robot` (10.78.0.1) and `vilp_planner` (10.78.0.2); each has
one interface, a tap whose frames this program carries to the other's. Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

from vilp_ros.nodes.checkup.host import FRAGMENTS_BYTES, FRAGMENTS_S

HOSTS = ("vilp_robot", "vilp_planner")
FRAGMENTS = {"ipfrag_time": FRAGMENTS_S, "ipfrag_high_thresh": FRAGMENTS_BYTES}
"""As docs/scale.md asks of two hosts."""
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def ip(*words: str, check: bool = True) -> None:
    """One command of iproute2."""
    subprocess.run(["ip", *words], check=check, capture_output=True)


def _tap(name: str) -> int:
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return handle


class Link:
    """Carries frames both ways in a thread.

    Attributes:
        delay_s: of every frame, one way.
        jitter_s: standard deviation of the delay; frames of one way never overtake each other.
        loss: share of frames that never arrive.
        up: whether anything does.
    """

    def __init__(self, taps: tuple[int, int], delay_s: float, jitter_s: float, loss: float) -> None:
        self.delay_s, self.jitter_s, self.loss, self.up = delay_s, jitter_s, loss, True
        self._taps, self._chance = taps, random.Random(0)
        self._last = [0.0, 0.0]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="slow link")
        self._thread.start()

    def close(self) -> None:
        """Carries nothing more."""
        self._stop.set()
        self._thread.join()

    def _carry(self) -> None:
        selector = selectors.DefaultSelector()
        for side, tap in enumerate(self._taps):
            selector.register(tap, selectors.EVENT_READ, side)
        waiting: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._stop.is_set():
            until = waiting[0][0] - time.monotonic() if waiting else 0.05
            for ready, _ in selector.select(max(0.0, min(until, 0.05))):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        frame, count = os.read(ready.fd, 65_536), count + 1
                        if self.up and self._chance.random() >= self.loss:
                            heapq.heappush(
                                waiting, (self._due(ready.data), count, ready.data, frame)
                            )
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, side, frame = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # the other side is down
                    os.write(self._taps[1 - side], frame)

    def _due(self, side: int) -> float:
        late = max(0.0, self._chance.gauss(self.delay_s, self.jitter_s))
        self._last[side] = max(self._last[side], time.monotonic() + late)
        return self._last[side]


@contextlib.contextmanager
def two_hosts(delay_s: float, jitter_s: float = 0.0, loss: float = 0.0) -> Iterator[Link]:
    """The two namespaces, joined while the block lasts."""
    taps = []
    try:
        for number, host in enumerate(HOSTS, start=1):
            ip("netns", "del", host, check=False)
            ip("netns", "add", host)
            taps.append(_tap(f"vilp_tap{number}"))
            ip("link", "set", f"vilp_tap{number}", "netns", host)
            inside = ("-n", host)
            ip(*inside, "link", "set", "lo", "up")
            ip(*inside, "addr", "add", f"10.78.0.{number}/24", "dev", f"vilp_tap{number}")
            ip(*inside, "link", "set", f"vilp_tap{number}", "up")
            ip(*inside, "route", "add", "224.0.0.0/4", "dev", f"vilp_tap{number}")
            for name, value in FRAGMENTS.items():
                setting = ("sysctl", "-qw", f"net.ipv4.{name}={value}")
                subprocess.run(on_host(host, *setting), check=True, capture_output=True)
        link = Link((taps[0], taps[1]), delay_s, jitter_s, loss)
        try:
            yield link
        finally:
            link.close()
    finally:
        for tap in taps:
            os.close(tap)
        for host in HOSTS:
            ip("netns", "del", host, check=False)


def on_host(host: str, *command: str) -> tuple[str, ...]:
    """The command, run on one of `HOSTS`."""
    return ("ip", "netns", "exec", host, *command)
