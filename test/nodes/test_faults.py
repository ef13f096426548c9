"""Faults that leave everything running: old and frozen pictures, a clock set back, a planner that
stalls. Real processes, on the time of a /clock that the test may set."""

import signal
import time

import numpy as np
import pytest
from fault_log import Fault, Track
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_rig import Rig
from sensor_msgs.msg import Image

from vilp_ros.ros import qos
from vilp_ros.ros.images import to_message

NODES = ("observation", "planner", "controller")


@pytest.fixture(scope="module")
def rig(probe, contract):
    rig = Rig(probe, contract)
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def nodes(start, rig):
    supervisor, _ = start("sim:=false", "use_sim_time:=true", only=NODES)
    with supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def listening(probe):
    return Track(probe)


@pytest.fixture
def hand(listening, nodes, probe, contract):
    """Moving before and after, and never by more than the speed limit allows in a long tick."""
    moves(listening, probe)
    since = len(listening.told)
    yield listening
    moves(listening, probe)
    assert listening.steps(since).max() <= contract.limits.ee_speed * 0.1 + 1e-6


def change(probe, transition):
    """Bring the planner to rest, or back."""
    wanted = Transition(id=transition)
    assert probe.call(ChangeState, "planner/change_state", transition=wanted).success


def moves(hand, probe):
    hand.moves()
    probe.spin_until(lambda: not probe.says("controller", "holding"), "the news")


def test_a_frozen_camera_makes_the_arm_hold_until_it_lives(hand, probe, rig):
    fault = Fault("camera frozen: the same picture, fresh stamps", hand)
    rig.frozen.add("eye_in_hand")
    says = "eye_in_hand refused: frozen: the same picture while the hand moved by"
    probe.spin_until(lambda: probe.says("observation", says), says)
    probe.spin_until(lambda: probe.says("controller", "holding: no "), "the reason")
    hand.stands()
    fault.held("brakes, holds", probe.reports["observation"].message)
    fault.cured()
    rig.frozen.clear()
    moves(hand, probe)
    fault.over("by itself")


def test_pictures_of_a_second_ago_make_it_hold(hand, probe, rig):
    fault = Fault("camera stamps 1 s old", hand)
    rig.image_age_s = 1.0
    probe.spin_until(lambda: probe.says("observation", "stamps are 1.0 s old"), "the cameras")
    probe.spin_until(lambda: probe.says("controller", "holding"), "the reason")
    hand.stands()
    fault.held("brakes, holds", probe.reports["observation"].message)
    fault.cured()
    rig.image_age_s = 0.0
    moves(hand, probe)
    fault.over("by itself")


def test_a_clock_that_is_set_back_is_followed(hand, probe, rig):
    fault = Fault("clock set back by an hour, targets", hand)
    before_s = time.time()
    rig.offset_s -= 3600.0
    for _ in range(3):  # longer than what the old clock had planned
        moves(hand, probe)
    assert time.time() + rig.offset_s < before_s, "it waited until the clock had caught up"
    read = probe.reports["controller"].message
    fault.went_on("holds until the first new plan, if that takes a tick", read)
    fault.over("by itself")


def test_a_planner_that_stalls_for_200_ms_is_bridged(hand, probe, nodes):
    holds = int(probe.values("controller")["holds"])
    fault = Fault("planner stalls for 200 ms, five times", hand)
    for _ in range(5):
        nodes.signal("planner", signal.SIGSTOP)
        stopped_s = time.monotonic()
        probe.spin_until(lambda s=stopped_s: time.monotonic() - s > 0.2, "the stall")
        nodes.signal("planner", signal.SIGCONT)
        moves(hand, probe)
    held = int(probe.values("controller")["holds"]) - holds
    fault.went_on(f"goes on along the plan; {held} holds", probe.reports["controller"].message)
    fault.over("by itself")


@pytest.mark.parametrize(
    ("name", "value", "bundle_name", "says"),
    [
        ("NaN plan", float("nan"), None, "plan is not finite"),
        ("plan for another robot", 0.0, "other", "of bundle 'other', this controller loaded"),
    ],
)
def test_plans_that_may_not_be_executed_make_it_hold(hand, probe, name, value, bundle_name, says):
    """The planner is set to rest, and something else sends plans in its place."""
    last = probe.listen(Image, "planner/plan", profile=qos.NEWEST)
    probe.spin_until(lambda: last, "a plan")
    publisher = probe.node.create_publisher(Image, "planner/plan", qos.LATEST)
    probe.spin_until(lambda: publisher.get_subscription_count() > 1, "the controller")
    change(probe, Transition.TRANSITION_DEACTIVATE)
    fault = Fault(name, hand)
    shape = (last[-1].height, last[-1].width, int(last[-1].encoding.removeprefix("32FC")))
    grid, frame = np.zeros(shape, np.float32), bundle_name or last[-1].header.frame_id
    grid[-1, 0, 0] = value  # one number: networks make a finite action of it

    plan = to_message(grid, last[-1].encoding, last[-1].header.stamp, frame)
    planning = probe.node.create_timer(0.05, lambda: publisher.publish(plan))
    probe.spin_until(lambda: probe.says("controller", says), says)
    hand.stands()
    fault.held("ends the plan in force, holds", probe.reports["controller"].message)
    fault.cured()
    change(probe, Transition.TRANSITION_ACTIVATE)
    probe.node.destroy_timer(planning)
    probe.node.destroy_publisher(publisher)
    moves(hand, probe)
    fault.over("by itself, with the next good plan")
