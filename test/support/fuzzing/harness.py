"""Runs mutants in workers that are killed when they hang and replaced when they crash."""

import json
import os
import selectors
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzzing.formats import FORMATS

HANG_S = 120.0
"""Without a word from a worker; the slowest mutant takes 3 s on an idle machine."""
START_S = 300.0
WORKER = ("-m", "fuzzing.worker")
FAULTS = ("traceback", "hang", "silent")
WORDS = ("refused", "as written", "as it says", *FAULTS)


@dataclass
class Tally:
    """Of one format.

    Attributes:
        counts: mutants by what became of them.
        faults: `(number, word, detail)` of each that went wrong.
    """

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, word: str, detail: str) -> None:
        self.counts[word] += 1
        if word in FAULTS:
            self.faults.append((number, word, detail))


def fuzz(name: str, count: int, first: int = 0) -> Tally:
    """Reads mutants `first` to `first + count` of a format."""
    tally, number = Tally(name), first
    with TemporaryDirectory() as corpus:
        FORMATS[name].make(Path(corpus))
        while number < first + count:
            number = _watch(tally, Path(corpus), number, first + count)
    return tally


def _watch(tally: Tally, corpus: Path, first: int, end: int) -> int:
    """One worker, until it is done, hangs or dies; returns where the next one begins."""
    command = [sys.executable, *WORKER, tally.name, str(corpus), str(first), str(end)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    began, file = first - 1, ""
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as worker,
        selectors.DefaultSelector() as selector,
    ):
        assert worker.stdout is not None
        assert worker.stderr is not None
        os.set_blocking(worker.stderr.fileno(), False)
        selector.register(worker.stdout, selectors.EVENT_READ)
        pending = b""
        while True:
            if not selector.select(HANG_S if began >= first else START_S):
                worker.kill()
                if began < first:
                    raise RuntimeError(f"a worker does not begin in {START_S:g} s")
                tally.add(began, "hang", file)
                return began + 1
            block = os.read(worker.stdout.fileno(), 1 << 16)
            if not block:
                break
            *lines, pending = (pending + block).split(b"\n")
            for line in lines:
                number, word, detail = json.loads(line)
                if word == "began":
                    began, file = number, detail
                else:
                    tally.add(number, word, detail)
                    file = ""
        worker.wait()
        said = (worker.stderr.read() or b"").decode(errors="replace")
    if worker.returncode == 0:
        return end
    if began < first:
        raise RuntimeError(f"a worker does not begin: {said}")
    tally.add(
        began, "traceback", f"{file}: the process ended with {worker.returncode}: {said[-500:]}"
    )
    return began + 1


def table(tallies: list[Tally]) -> str:
    """Markdown, a row a format."""
    lines = [f"| format | mutants | {' | '.join(WORDS)} |", "|---" * (2 + len(WORDS)) + "|"]
    for tally in tallies:
        cells = [tally.counts[word] for word in WORDS]
        lines.append(f"| {tally.name} | {sum(cells)} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
