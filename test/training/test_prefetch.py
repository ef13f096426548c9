"""Batches come in order, early, and with their errors."""

import threading

import pytest

from vilp_ros.training.prefetch import AHEAD, prefetched


def test_every_step_once_and_in_order():
    assert list(prefetched(lambda step: step * step, range(7))) == [n * n for n in range(7)]
    assert list(prefetched(str, [])) == []


def test_the_next_ones_are_made_while_one_is_used():
    made = threading.Semaphore(0)
    steps = prefetched(lambda step: made.release(), range(10))
    next(steps)
    assert all(made.acquire(timeout=30) for _ in range(1 + AHEAD))
    steps.close()


def test_an_error_comes_at_its_step():
    def make(step):
        if step == 3:
            raise OSError("row 7 of 23 is cut off")
        return step

    got = []
    with pytest.raises(OSError, match="cut off"):
        got.extend(prefetched(make, range(9)))
    steps = prefetched(make, range(9))
    assert [next(steps) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="cut off"):
        next(steps)


def test_who_leaves_early_waits_for_nobody():
    steps = prefetched(lambda step: step, iter(range(10**9)))
    assert next(steps) == 0
    steps.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]
