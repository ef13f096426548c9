import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.ros.slot import LatestSlot, Worker

WAIT_S = 20.0


@given(st.lists(st.booleans(), max_size=40))
def test_a_taker_gets_the_newest_value_and_every_other_one_is_counted(script):
    """`True` puts the next number, `False` takes if there is anything."""
    slot, put, taken, full = LatestSlot(), 0, [], False
    for is_put in script:
        if is_put:
            put += 1
            slot.put(put)
            full = True
        elif full:
            taken.append(slot.take())
            assert taken[-1] == put
            full = False
    assert slot.replaced == put - len(taken) - full


def test_close_wakes_a_waiting_taker():
    slot, got = LatestSlot(), []
    taker = threading.Thread(target=lambda: got.append(slot.take()))
    taker.start()
    slot.close()
    taker.join(WAIT_S)
    assert got == [None]


def test_a_slow_job_skips_to_the_newest_value():
    started, release, seen, done = threading.Event(), threading.Event(), [], threading.Event()

    def job(value):
        seen.append(value)
        started.set()
        assert release.wait(WAIT_S)
        if value == 9:
            done.set()

    worker = Worker("slow", job, pytest.fail)
    worker.put(0)
    assert started.wait(WAIT_S)
    for value in range(1, 10):
        worker.put(value)
    release.set()
    assert done.wait(WAIT_S)
    worker.stop()
    assert seen == [0, 9]
    assert worker.replaced == 8


def test_a_failing_job_is_reported_and_the_worker_goes_on():
    errors, done = [], threading.Event()
    worker = Worker("failing", lambda v: done.set() if v else 1 / 0, errors.append)
    worker.put(0)
    while not errors:
        threading.Event().wait(0.001)
    worker.put(1)
    assert done.wait(WAIT_S)
    worker.stop()
    assert isinstance(errors[0], ZeroDivisionError)


def test_stop_waits_for_the_job_in_hand_and_not_for_the_period():
    started, release, ended = threading.Event(), threading.Event(), []

    def job(_):
        started.set()
        assert release.wait(WAIT_S)
        ended.append(True)

    worker = Worker("busy", job, pytest.fail, period_s=lambda: 1000.0)
    worker.put(1)
    assert started.wait(WAIT_S)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    assert stopper.is_alive()
    release.set()
    stopper.join(WAIT_S)
    assert ended == [True]


def test_a_nice_worker_yields_alone():
    found, done = [], threading.Event()

    def job(_):
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        done.set()

    worker = Worker("nice", job, pytest.fail, nice=5)
    worker.put(1)
    assert done.wait(WAIT_S)
    worker.stop()
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert found == [min(mine + 5, 19)]


@pytest.mark.parametrize(("rest", "longest"), [(0.0, False), (1.0, True)])
def test_a_worker_rests_as_long_as_it_worked(rest, longest):
    began, ended = [], []

    def job(_):
        began.append(time.monotonic())
        until = began[-1] + 0.02
        while time.monotonic() < until:
            pass
        ended.append(time.monotonic())

    worker = Worker("resting", job, pytest.fail, rest=rest)
    deadline = time.monotonic() + WAIT_S
    while len(ended) < 5 and time.monotonic() < deadline:
        worker.put(1)
    worker.stop()
    worked = np.subtract(ended, began)[:4]
    rested = np.subtract(began[1:5], ended[:4])
    if longest:
        assert (rested >= worked - 1e-4).all()
    else:
        assert rested.min() < worked.max()
