"""The table of faults in docs/franka_measured.md, from what the tests of faults measured.

    VILP_FAULTS=runs/faults.jsonl make test-slow PYTEST_ARGS="test/franka test/nodes"
    .venv/bin/python tools/fault_table.py runs/faults.jsonl

Of several runs each figure is the worst; what was read is of the last.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = (
    "what happens",
    "what the arm does",
    "held after, s",
    "largest step, mm",
    "the operator reads",
    "how it goes on",
    "n",
)


def worst(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    """Largest figure of the runs, or a dash."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return f"{max(values):.{digits}f}" if values else "-"


def line(fault: str, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """One row of the table."""
    last = rows[-1]
    does, how = last["does"], last["how"]
    if "travel_mm" in last:
        does += f", {worst(rows, 'travel_mm', 0)} mm on"
    if any(row.get("resume_s") is not None for row in rows):
        how += f", after {worst(rows, 'resume_s', 1)} s"
    step = f"{worst(rows, 'step_mm', 1)} ({last['of']})"
    return fault, does, worst(rows, "hold_s", 2), step, f"`{last['read']}`", how, str(len(rows))


def main() -> None:
    """Prints the table."""
    rows = [json.loads(text) for text in Path(sys.argv[1]).read_text().splitlines()]
    faults: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        faults.setdefault(row["fault"], []).append(row)
    table = [COLUMNS, ("---",) * len(COLUMNS), *(line(*fault) for fault in faults.items())]
    load = [row["load"] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    lines += ["", f"Load of the machine {min(load):.1f} to {max(load):.1f}."]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
