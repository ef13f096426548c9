"""What a gripper's numbers mean in metres between the fingers, and the other way."""

from __future__ import annotations

from typing import NamedTuple


class Width(NamedTuple):
    """Metres between the fingers are `scale` times the gripper's number, plus `offset`.

    A number that grows as the hand closes has a scale below 0.
    """

    scale: float = 1.0
    offset: float = 0.0

    def metres(self, number: float) -> float:
        """Of the gripper's number."""
        return self.scale * number + self.offset

    def number(self, metres: float) -> float:
        """The gripper's, of metres."""
        return (metres - self.offset) / self.scale
