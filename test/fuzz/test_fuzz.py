"""At least 2,000 mutants of each format: no traceback, no hang, no number that changes silently."""

import pytest
from fuzzing import harness
from fuzzing.formats import FORMATS, Format
from fuzzing.harness import fuzz, table

MUTANTS = 2000


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_no_mutant_is_more_than_a_sentence(name):
    tally = fuzz(name, MUTANTS)
    print(table([tally]))
    assert sum(tally.counts.values()) == MUTANTS
    assert not tally.faults, tally.faults[:3]
    assert tally.counts["refused"] > MUTANTS / 20  # or nothing was mutated


def test_a_few_mutants_of_what_is_quick():
    for name in ("contracts", "HDF5"):
        tally = fuzz(name, 10)
        assert sum(tally.counts.values()) == 10
        assert not tally.faults, tally.faults


BAD = """
import os, signal, sys, time
from fuzzing import formats, worker

class Bad(formats.Format):
    name, count = "bad", 0
    def read(self, folder):
        self.count += 1
        if self.count == 2: return {"x": 2}
        if self.count == 3: raise ValueError("odd")
        if self.count == 4: os.kill(os.getpid(), signal.SIGSEGV)
        return {"x": 1}

formats.FORMATS["bad"] = Bad()
worker.main()
"""


class Bad(Format):
    def make(self, folder):
        (folder / "a").write_bytes(bytes(100))


def test_a_worker_that_dies_hangs_or_lies_is_counted(monkeypatch):
    monkeypatch.setitem(FORMATS, "bad", Bad())
    monkeypatch.setattr(harness, "WORKER", ("-c", BAD))
    tally = fuzz("bad", 5)
    # a second worker begins at the fourth, and lies and stumbles again
    assert [word for _, word, _ in tally.faults] == ["silent", "traceback", "traceback"] + [
        "silent",
        "traceback",
    ]
    monkeypatch.setattr(harness, "HANG_S", 5.0)
    hanging = BAD.replace(
        'if self.count == 2: return {"x": 2}', "if self.count == 2: time.sleep(600)"
    )
    monkeypatch.setattr(harness, "WORKER", ("-c", hanging))
    assert fuzz("bad", 1).faults == [(0, "hang", "a")]
