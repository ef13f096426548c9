import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.data.drift import BINS, Drift, disagreements


def channel(drift, seconds, hz=20.0, late_s=0.01, bursts=0.0, seed=0):
    """Of a channel whose messages are late by some milliseconds, and in bursts by seconds."""
    rng, found, last_s = np.random.default_rng(seed), Drift(), 0.0
    for k in range(int(seconds * hz)):
        taken_s = k / hz
        if rng.random() >= bursts or not last_s:
            last_s = taken_s + late_s + 0.003 * rng.exponential()
        else:
            last_s = max(last_s, taken_s + 3 * rng.random())
        found.add(max(last_s, taken_s), max(last_s, taken_s) - taken_s * (1 - drift))
    return found


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.01, 0.01), st.floats(6.0, 400.0), st.integers(0, 5))
def test_a_drift_is_measured_through_delays(drift, seconds, seed):
    found = channel(drift, seconds, seed=seed)
    assert found.moved_s == pytest.approx(
        drift * found.span_s, abs=0.004 + 0.02 * abs(drift) * seconds
    )
    assert found.span_s == pytest.approx(seconds, abs=0.05 * seconds + 2.0)
    assert len(found._least) <= BINS


def test_messages_that_come_in_bursts_do_not_drift():
    assert abs(channel(0.0, 60.0, bursts=0.01).moved_s) < 0.02


def test_too_short_a_look_says_nothing():
    assert channel(0.01, 3.0).moved_s is None
    assert Drift().late_s is None


def test_who_is_not_like_the_others_is_named():
    channels = {
        "a": channel(0.0, 30.0),
        "b": channel(0.005, 30.0),
        "c": channel(0.0, 30.0, late_s=0.5),
        "d": channel(0.0, 30.0),
    }
    found = {(name, what) for name, what, _ in disagreements(channels, 0.025, 0.3)}
    assert found == {("b", "drift"), ("c", "clock")}
    assert disagreements(dict(list(channels.items())[::3]), 0.025, 0.3) == []
    together = {name: channel(0.005, 30.0, late_s=9e8) for name in "abc"}
    assert disagreements(together, 0.025, 0.3) == []


def late(seconds):
    """Of a channel of 4 s whose messages are late by so much."""
    found = Drift()
    for k in range(80):
        found.add(k / 20, seconds)
    return found


@pytest.mark.parametrize("off_s", [0.4, 0.55, 5.0, -0.4, -5.0])
def test_of_two_the_one_is_named_that_reception_denies(off_s):
    """And by all that it is off."""
    two = {"a": late(0.002), "b": late(off_s)}
    ((name, what, text),) = disagreements(two, 0.025, 0.3)
    assert (name, what) == ("b", "clock")
    way = "behind" if off_s > 0 else "ahead of"
    assert text.startswith(f"its stamps lie {abs(off_s):.2f} s {way} reception: ")
    drifting = {"a": channel(0.0, 10.0), "b": channel(0.004, 10.0)}
    assert [found[:2] for found in disagreements(drifting, 0.025, 0.3)] == [("b", "drift")]


def test_a_pair_is_named_where_reception_decides_nothing():
    """Both count simulated seconds, or both lie as near to reception."""
    for one_s, two_s in ((9e8, 9e8 + 0.4), (-0.2, 0.25)):
        two = {"a": late(one_s), "b": late(two_s)}
        ((name, what, text),) = disagreements(two, 0.025, 0.3)
        assert (name, what) == ("b", "clock")
        assert "s behind those of a, and nothing tells which is wrong: compare" in text
    two = {"a": channel(0.1, 10.0), "b": channel(0.2, 10.0)}
    ((name, what, text),) = disagreements(two, 0.025, 1e9)
    assert (name, what) == ("b", "drift")
    assert "ms against those of a in " in text


def test_commands_have_no_say_in_what_is_right():
    right = {"a": late(0.0), "b": late(0.01)}
    commands = {name: late(-1.0) for name in "cde"}
    found = disagreements(right, 0.025, 0.3, commands)
    assert [name for name, *_ in found] == ["c", "d", "e"]


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_commands_that_begin_late_beside_simulated_seconds_are_no_fault(share):
    """Where stamps run at another pace than reception, who comes later is later or earlier."""
    arm, commands, off = Drift(), Drift(), Drift()
    for k in range(600):
        at_s = k / 20
        arm.add(at_s, at_s - share * at_s)
        if 130 <= k < 470:
            commands.add(at_s + 0.004, at_s + 0.004 - share * at_s)
            off.add(at_s, at_s - share * at_s - 1.0)
    assert disagreements({"a": arm, "b": arm}, 0.025, 0.3, {"c": commands}) == []
    ((name, what, text),) = disagreements({"a": arm, "b": arm}, 0.025, 0.3, {"c": off})
    assert (name, what) == ("c", "clock")
    assert text.startswith("its stamps lie 1.00 s ahead of those of most channels")


def test_commands_whose_clock_drifts_are_named():
    right = {"a": channel(0.0, 20.0), "b": channel(0.0, 20.0, seed=1)}
    found = disagreements(right, 0.025, 0.3, {"c": channel(0.005, 20.0), "d": channel(0.0, 12.0)})
    assert [one[:2] for one in found] == [("c", "drift")]
