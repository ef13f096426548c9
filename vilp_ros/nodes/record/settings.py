"""What `vilp record` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What the user asked for; see `vilp record --help`."""

    out: Path
    task: str
    role: str
    model: str
    contract: str
    note: str
    expert: bool
    episodes: int
    seed_start: int
    noise: float
    ring_s: float
    json: Path | None
    words: tuple[str, ...]
