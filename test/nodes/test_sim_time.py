"""The whole graph on simulated time."""

import itertools

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

from vilp_ros.data.observe import seconds
from vilp_ros.ros import qos


def test_every_node_takes_its_time_from_the_simulator(start, probe):
    """At a quarter of real time, so that a slow machine keeps up."""
    poses = probe.listen(PoseStamped, "ee_pose", profile=qos.STATE_IN)
    targets = probe.listen(PoseStamped, "target_pose")
    sources = probe.listen(Header, "controller/command_source")
    statuses = probe.listen(DiagnosticStatus, "sim/status", profile=qos.STATE_IN)
    clock = probe.listen(Clock, "/clock", profile=qos.SENSOR)
    supervisor, _ = start("speed:=0.25")
    with supervisor:
        probe.spin_until(lambda: len(sources) > 40 and len(poses) > 40, "commands")
        now = seconds(clock[-1].clock)
        probe.spin_until(lambda: "plan_rate_hz" in probe.values("planner"), "its report")
        count = len(poses)
        probe.spin_until(lambda: len(poses) > count + 20, "a second of the world")
    assert now < 1000  # seconds since the simulator began, not since 1970
    stamps = [seconds(m.header.stamp) for m in poses]
    np.testing.assert_allclose([b - a for a, b in itertools.pairwise(stamps)], 0.05, atol=1e-6)
    status = {value.key: value.value for value in statuses[-1].values}
    assert float(status["real_time_factor"]) <= 0.26
    ticks = [seconds(m.clock) for m in clock]
    assert ticks == sorted(ticks)
    assert np.median(np.diff(ticks)) < 0.03  # finer than the steps: commands are timed well
    assert {seconds(m.stamp) for m in sources} <= set(np.round(np.arange(0, 1000, 0.05), 6))
    assert all(0 < seconds(m.header.stamp) < 1000 for m in targets)
    # One clock for all: one that hears of it late is not told to synchronise its host.
    assert not {"peer_late_ms", "clock_ahead_ms"} & {*probe.values("planner")}
