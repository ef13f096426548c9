import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.ros.pacer import Pacer

PERIOD = 0.05


class FakeClock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def wait(self, duration):
        assert duration >= 0
        self.now += duration


def run(work):
    """Ends of the periods, when period k takes `work[k]` seconds."""
    clock = FakeClock()
    pacer, ends = Pacer(PERIOD, clock.wait, clock), [clock.now]
    for duration in work:
        clock.now += duration
        pacer.wait()
        ends.append(clock.now)
    return ends, pacer


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=50))
def test_never_faster_than_real_time_and_never_slower_than_the_work(work):
    ends, pacer = run(work)
    for start, end, duration in zip(ends, ends[1:], work):
        assert end - start == pytest.approx(max(PERIOD, duration), abs=1e-6)
    assert pacer.on_schedule <= 1 + 1e-6
    assert pacer.on_schedule == pytest.approx(len(work) * PERIOD / (ends[-1] - ends[0]))


def test_a_restart_forgets_what_took_long():
    clock = FakeClock()
    pacer = Pacer(PERIOD, clock.wait, clock)
    clock.now += 30.0
    pacer.restart()
    pacer.wait()
    assert pacer.on_schedule == pytest.approx(1.0)
