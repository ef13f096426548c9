"""What leads the arm: from where it is, within the limits, to rest when it must hold."""

import numpy as np
import pytest
from robots import FR3

from vilp_ros.contract import Contract
from vilp_ros.control.lead import Lead
from vilp_ros.control.timeline import ActionTimeline
from vilp_ros.ros.files import find_contract

HOME = np.array([0.45, 0, 0.3, 1, 0, 0, 0, 0.04])
CLAMPED = Contract.load(find_contract("sim_panda")).limits
TICK_S = 0.02


def timeline(towards=0.05):
    """A plan stamped 0 that goes so far in x."""
    actions = np.tile(HOME, (8, 1))
    actions[:, 0] += np.linspace(0, towards, 8)
    plan = ActionTimeline("ee_pose", 0.05, 8, slow_s=0.2)
    plan.submit(0.0, actions, 0.0, HOME)
    return plan


@pytest.fixture(params=[FR3.limits, CLAMPED], ids=["smooth", "clamped"])
def lead(request):
    return Lead(request.param, "ee_pose")


def led(lead, plan, begin_s, end_s):
    """Commands (N, 8), one a tick."""
    commands = []
    for now_s in np.arange(begin_s, end_s, TICK_S):
        lead.follow(plan, plan.sample(now_s), HOME, now_s, TICK_S)
        commands.append(lead.command)
    return np.array(commands)


def test_it_follows_from_where_the_arm_is(lead):
    commands = led(lead, timeline(), 0.0, 0.3)
    assert abs(commands[0] - HOME).max() < 2e-3
    assert commands[-1, 0] > HOME[0] + 0.01
    assert lead.moving
    assert lead.max_step == pytest.approx(
        np.linalg.norm(np.diff(commands[:, :3], axis=0), axis=1).max()
    )


def test_holding_comes_to_rest_and_is_counted_once(lead):
    plan = timeline()
    led(lead, plan, 0.0, 0.2)
    rest = []
    for now_s in np.arange(0.2, 1.2, TICK_S):
        lead.hold("no plan", now_s)
        rest.append(lead.command)
    assert (rest[-1] == rest[-2]).all()
    assert lead.rests(1.2)
    assert (lead.holds, lead.reason, lead.moving) == (1, "no plan", False)


def test_a_command_that_does_not_count_is_no_place_to_start_from(lead):
    """In the middle of a motion that was only imagined, execution begins: from the arm."""
    plan = timeline()
    led(lead, plan, 0.0, 0.2)
    lead.command = None
    commands = led(lead, plan, 0.2, 0.24)
    assert abs(commands[0] - HOME)[:3].max() < 0.021  # a tick at 1 m/s, where only speed is limited
    assert (lead.rolled_out() is None) == (lead._horizon is None)
    assert lead.rolled_out() is None


def test_what_was_rolled_out_too_late_to_leave_is_rolled_out_again():
    lead, plan = Lead(FR3.limits, "ee_pose", lead_s := 0.06), timeline(0.2)
    led(lead, plan, 0.0, 0.1)
    assert not lead.came_late(0.1)  # nothing is on its way
    before = lead._horizon.at(1.0).copy()
    lead.news = True
    plan.submit(0.1, np.tile(HOME, (8, 1)), 0.1, HOME)
    lead.follow(plan, plan.sample(0.1), HOME, 0.1, TICK_S)
    assert not lead.came_late(0.1 + lead_s)
    assert abs(lead._horizon.at(1.0) - before)[0] > 0.01
    assert lead.came_late(0.3)
    np.testing.assert_array_equal(lead._horizon.at(1.0), before)  # as the arm was told
    assert lead.rolled_out() is None
    assert lead.late == 1
    lead.follow(plan, plan.sample(0.3), HOME, 0.3, TICK_S)
    assert lead.rolled_out() is not None
    assert abs(lead._horizon.at(1.0) - before)[0] > 0.01
    assert not lead.came_late(0.3 + lead_s)
