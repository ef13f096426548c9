"""One row of the doctor's table."""

from __future__ import annotations

from dataclasses import dataclass

GREEN, YELLOW, RED = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """One row of the table; `cure` is what to do about it, empty where all is well."""

    check: str
    state: str
    found: str
    cure: str = ""
