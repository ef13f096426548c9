"""Clocks of two hosts, compared by what two nodes say of each other; any delay between them."""

from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.ros.messages import to_stamp
from vilp_ros.ros.peer_clock import KEY, PeerClock


class Host:
    """A node whose clock is `ahead_s` of the true time."""

    def __init__(self, name, peer, ahead_s):
        self.name, self.ahead_s, self.now_s = name, ahead_s, 100.0
        self.clock = PeerClock(self, peer)

    def get_namespace(self):
        return "/cell"

    def create_subscription(self, kind, topic, callback, depth):
        self.hear = callback

    def get_clock(self):
        nanoseconds = round(1e9 * (self.now_s + self.ahead_s))
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=nanoseconds))

    def say(self, now_s):
        values = [KeyValue(key=k, value=f"{v:.4g}") for k, v in self.clock.values().items()]
        status = DiagnosticStatus(name=f"cell/{self.name}", values=values)
        message = DiagnosticArray(status=[status])
        message.header.stamp = to_stamp(now_s + self.ahead_s)
        return message


def converse(apart_s, delay_s, jitter_s=(0.0,), rounds=5, back_s=None):
    planner = Host("planner", "controller", apart_s)
    controller = Host("controller", "planner", 0.0)
    for second in range(rounds):
        for one, other in ((planner, controller), (controller, planner)):
            way_s = delay_s if back_s is None or one is planner else back_s
            other.now_s = 100.0 + second + way_s + jitter_s[second % len(jitter_s)]
            other.hear(one.say(100.0 + second))
    return planner, controller


@pytest.mark.parametrize("delay_s", [0.002, 0.01, 0.03, 0.08])
@pytest.mark.parametrize("apart_s", [0.05, -0.05])
def test_clocks_apart_are_named_on_both_hosts_whatever_the_delay(apart_s, delay_s):
    planner, controller = converse(apart_s, delay_s, (0.02, 0.0, 0.1))
    way = ("ahead of", "behind")
    said = "this host's clock is 50 ms {} that of the {}'s host"
    assert planner.clock.complaint().startswith(said.format(way[apart_s < 0], "controller"))
    assert controller.clock.complaint().startswith(said.format(way[apart_s > 0], "planner"))


@given(st.floats(0, 0.3), st.lists(st.floats(0, 0.5), min_size=1, max_size=4))
def test_no_delay_is_taken_for_a_clock(delay_s, jitter_s):
    for host in converse(0.0, delay_s, (0.0, *jitter_s)):
        assert host.clock.complaint() == ""
        assert abs(host.clock.ahead_s) < 1e-3


@given(st.floats(-0.2, 0.2), st.floats(0, 0.3), st.floats(0, 0.3))
def test_where_the_way_is_not_as_long_back_the_doubt_says_so(apart_s, there_s, back_s):
    planner, _ = converse(apart_s, there_s, back_s=back_s)
    assert abs(planner.clock.ahead_s - apart_s) <= planner.clock.doubt_s + 1e-3


def test_of_a_node_that_says_nothing_nothing_is_known():
    host = Host("planner", "controller", 0.05)
    assert (host.clock.values(), host.clock.complaint()) == ({}, "")
    other = Host("recorder", "planner", 0.0)
    host.hear(other.say(100.0))
    assert KEY not in host.clock.values()
