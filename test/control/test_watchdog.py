from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.control.watchdog import Watchdog


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def watched(**limits_s: float) -> tuple[Watchdog, Clock]:
    clock = Clock()
    return Watchdog(limits_s, clock), clock


def test_it_holds_until_every_input_has_come_once():
    watchdog, _ = watched(plan=0.3, observation=0.2)
    verdict = watchdog.check()
    assert verdict.holding
    assert not verdict.fired
    assert verdict.reason == "no plan yet; no observation yet"
    watchdog.feed("plan")
    assert watchdog.check().reason == "no observation yet"
    watchdog.feed("observation")
    assert not watchdog.check().holding
    assert watchdog.check().reason == ""
    assert watchdog.lapses == 0


def test_it_fires_once_and_keeps_holding_and_says_why():
    watchdog, clock = watched(plan=0.3, observation=10)
    watchdog.feed("plan")
    watchdog.feed("observation")
    watchdog.check()
    clock.now += 0.29
    assert not watchdog.check().holding
    clock.now += 0.02
    verdict = watchdog.check()
    assert (verdict.holding, verdict.fired) == (True, True)
    assert verdict.reason == "no plan for 0.31 s (limit 0.3 s)"
    clock.now += 100
    verdict = watchdog.check()
    assert (verdict.holding, verdict.fired) == (True, False)
    assert (
        verdict.reason
        == "no plan for 100.31 s (limit 0.3 s); no observation for 100.31 s (limit 10 s)"
    )
    assert watchdog.lapses == 1


def test_it_does_not_disarm():
    watchdog, clock = watched(plan=0.3)
    for lapse in range(1, 5):
        watchdog.feed("plan")
        assert not watchdog.check().holding
        clock.now += 0.5
        assert watchdog.check().fired
        assert watchdog.lapses == lapse


def test_another_input_does_not_stand_in():
    watchdog, clock = watched(plan=0.3, observation=0.3)
    watchdog.feed("plan")
    watchdog.feed("observation")
    for _ in range(10):
        clock.now += 0.1
        watchdog.feed("observation")
    assert watchdog.check().reason.startswith("no plan for 1.00 s")


@settings(deadline=None)
@given(st.lists(st.one_of(st.just("feed"), st.just("check"), st.floats(0.01, 0.5)), max_size=40))
def test_it_agrees_with_a_model(script):
    watchdog, clock = watched(plan=0.3)
    fed, holding, lapses = None, True, 0
    for step in script:
        if step == "feed":
            watchdog.feed("plan")
            fed = clock.now
        elif step == "check":
            late = fed is None or clock.now - fed > 0.3
            lapses += late and not holding
            verdict = watchdog.check()
            assert (verdict.holding, verdict.fired) == (late, late and not holding)
            holding = late
        else:
            clock.now += step
    assert watchdog.lapses == lapses


def test_by_default_its_clock_is_the_steady_one(monkeypatch):
    def wall_clock() -> float:
        pytest.fail("the wall clock may step")

    monkeypatch.setattr(time, "time", wall_clock)
    watchdog = Watchdog({"plan": 0.3})
    before = time.monotonic()
    watchdog.feed("plan")
    assert before <= watchdog._fed_s["plan"] <= time.monotonic()


def test_an_unknown_input_is_refused_with_the_known_ones():
    watchdog, _ = watched(plan=0.3)
    with pytest.raises(KeyError, match=r"knows \['plan'\], not 'paln'"):
        watchdog.feed("paln")
