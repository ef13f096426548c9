"""Few goals, none forgotten, and force on whatever is in between."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.control.grip import RETRY_S, STEP_M, Goal, Goals

DT_S = 0.02


def sent(widths, goals=None, start_s=0.0):
    """Goals (time, goal) that a stream of widths makes, at 50 Hz, and half a second after it."""
    goals, found = goals or Goals(), []
    for k, width in enumerate([*widths, *[widths[-1]] * 25]):
        now_s = start_s + k * DT_S
        goals.want(width, now_s)
        if (goal := goals.due(now_s)) is not None:
            found.append((now_s, goal))
    return found


def test_a_leap_is_a_goal_at_once():
    assert sent([0.08] * 10 + [0.0] * 10) == [
        (0.0, Goal(0.08, False)),
        (10 * DT_S, Goal(0.0, True)),
    ]


def test_a_fade_is_three_goals_at_most():
    for seconds in (0.3, 1.0, 1.5):
        fade = sent([0.08] * 5 + list(np.linspace(0.08, 0, round(seconds / DT_S))))
        assert len(fade) <= 2 + seconds / 0.6
        assert fade[-1][1] == Goal(0.0, True)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 0.08), min_size=1, max_size=60))
def test_the_last_target_is_always_met(widths):
    last = sent(widths)[-1][1]
    assert abs(last.width - widths[-1]) <= STEP_M


def test_an_object_of_any_width_is_held_with_force():
    goals = Goals()
    _, (_, goal) = sent([0.08] * 5 + [0.03] * 5, goals)
    assert goal == Goal(0.03, False)
    goals.ended(goal, False, 5.0)  # fingers stand at 0.045
    assert goals.due(5.0) == Goal(0.03, True)
    assert goals.due(9.0) is None
    assert goals.problem == ""


def test_what_is_rejected_is_said_and_sent_again():
    goals = Goals()
    ((_, goal),) = sent([0.0], goals)
    goals.ended(goal, False, 1.0, "rejected")
    assert "goal of 0.000 m failed (rejected); it is sent again" in goals.problem
    assert goals.due(1.0 + RETRY_S / 2) is None
    again = goals.due(1.0 + RETRY_S)
    assert again == goal
    goals.ended(again, True, 3.0)
    assert goals.problem == ""
    assert goals.due(9.0) is None


def test_an_older_goal_is_of_no_interest():
    goals = Goals()
    (_, first), (_, second) = sent([0.08] * 5 + [0.0] * 5, goals)
    goals.ended(first, False, 1.0, "canceled")
    assert goals.due(9.0) is None
    assert goals.goal is second
