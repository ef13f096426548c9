"""Ctrl-C at a given moment of a program's imports."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence


def interrupted(words: Sequence[str], module: str) -> tuple[int, list[str]]:
    """Runs `python words...`, sends SIGINT as soon as it has imported a module.

    Returns:
        Exit code, and what it said from then on that is no list of imports.
    """
    command = [sys.executable, "-v", *words]  # -v: says every import
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    said = None
    for line in child.stderr:
        if said is not None:
            said.append(line)
        elif line.startswith(f"import '{module}' "):
            child.send_signal(signal.SIGINT)
            said = []
    code = child.wait()
    assert said is not None, f"{module} was not imported"
    return code, [line for line in said if not line.startswith(("#", "import "))]
