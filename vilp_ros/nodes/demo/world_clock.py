"""What time it was in the simulated world when something happened on this computer."""

from __future__ import annotations

import time


class WorldClock:
    """Seconds of the clock that stamps the camera images.

    In real time that is the system's. A slowed world has its own, which /clock tells now and then;
    between, it passes at `speed`.

    Args:
        speed: Simulated seconds per second.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._wall_s = self._world_s = 0.0

    def set(self, wall_s: float, world_s: float) -> None:
        """Note what /clock said, and the system time at which it was sent."""
        self._wall_s, self._world_s = wall_s, world_s

    def at(self, wall_s: float) -> float:
        """World time at a system time."""
        return self._world_s + self.speed * (wall_s - self._wall_s)

    def now(self) -> float:
        """World time now."""
        return self.at(time.time())
