"""The arm holds when it must and goes on when it can: real processes, one fault after another."""

import itertools
import signal
import time

import numpy as np
import pytest
from fault_log import Fault, Track
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_rig import Rig
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from vilp_ros.data.observe import from_pose, seconds

HOLD_WITHIN_S = 1.5  # 0.3 s and what a busy machine adds; the table of faults has the times
NODES = ("observation", "planner", "controller")


class Arm:
    """What the arm was told, and what for."""

    def __init__(self, probe):
        self._probe = probe
        self.targets = probe.listen(PoseStamped, "target_pose")
        self.sources = probe.listen(Header, "controller/command_source")

        self.track = Track(probe)

    def last_change_s(self) -> float:
        """When the last target left that differed from the one before it."""
        poses = np.array([from_pose(m.pose) for m in self.targets])
        moved = np.flatnonzero(np.any(np.diff(poses, axis=0) != 0, axis=1))
        return seconds(self.targets[moved[-1] + 1].header.stamp)

    def wait_until_it_moves(self) -> None:
        count, sources = len(self.targets), len(self.sources)

        def moved():
            recent = {tuple(from_pose(m.pose)) for m in self.targets[count:]}
            return len(recent) > 5 and len(self.sources) > sources + 5

        self._probe.spin_until(moved, "the arm to move")
        self._probe.spin_until(lambda: not self._probe.says("controller", "holding"), "the news")

    def wait_for_still_targets(self, count: int = 25) -> None:
        """Many targets in a row, all alike."""

        def still():
            recent = [tuple(from_pose(m.pose)) for m in self.targets[-count:]]
            return len(recent) == count and len(set(recent)) == 1

        self._probe.spin_until(still, "targets that stay the same")


@pytest.fixture(scope="module")
def rig(probe, contract):
    rig = Rig(probe, contract)
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def nodes(start):
    supervisor, _ = start("sim:=false", only=NODES)
    with supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def listening(probe):
    return Arm(probe)


@pytest.fixture
def arm(listening, rig, nodes):
    """Moving when a test begins, and moving again when it has ended."""
    listening.wait_until_it_moves()
    yield listening
    listening.wait_until_it_moves()


def set_execute(probe, value: bool) -> None:
    parameter = Parameter(name="execute")
    parameter.value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
    answer = probe.call(SetParameters, "controller/set_parameters", parameters=[parameter])
    assert answer.results[0].successful


def test_commands_name_the_image_they_came_from_and_keep_the_speed_limit(arm, contract):
    sources = [seconds(m.stamp) for m in arm.sources]
    assert sources == sorted(sources)
    sent = [(seconds(m.header.stamp), from_pose(m.pose)[:3]) for m in arm.targets]
    for (t0, a), (t1, b) in itertools.pairwise(sent):
        # The limit is kept per tick; ticks are measured on another clock than the stamps.
        assert np.linalg.norm(b - a) <= contract.limits.ee_speed * (t1 - t0 + 0.02)


def test_a_killed_planner_makes_the_arm_hold_until_it_is_back(arm, probe, nodes):
    holds = int(probe.values("controller")["holds"])
    fault = Fault("planner killed", arm.track)
    nodes.signal("planner", signal.SIGKILL)
    killed_s = time.time()
    probe.spin_until(lambda: probe.says("controller", "holding: no plan for"), "the reason")
    arm.wait_for_still_targets()
    assert arm.last_change_s() - killed_s <= HOLD_WITHIN_S
    values = probe.values("controller")
    assert values["holding"] == "True"
    assert int(values["holds"]) > holds
    read = probe.reports["controller"].message
    fault.held("goes on along the plan, slows to a stop, holds", read)
    fault.cured()
    nodes.start("planner")
    arm.wait_until_it_moves()
    fault.over("start it again")
    assert probe.values("controller")["holding"] == "False" or not probe.says("controller", "hold")


def test_a_camera_that_stops_makes_the_arm_hold_until_it_is_back(arm, probe, rig):
    rig.silent.add("eye_in_hand")
    stopped_s = time.time()
    probe.spin_until(lambda: probe.says("observation", "eye_in_hand: nothing for"), "the camera")
    probe.spin_until(lambda: probe.says("controller", "no observation for"), "the reason")
    arm.wait_for_still_targets()
    assert arm.last_change_s() - stopped_s <= HOLD_WITHIN_S
    assert "agentview" not in probe.reports["observation"].message
    rig.silent.clear()


@pytest.mark.parametrize(
    ("size", "encoding", "found"),
    [((48, 80), "rgb8", "48x80 rgb8"), ((96, 160), "bgr8", "96x160 bgr8")],
)
def test_a_camera_that_changes_is_refused_by_name(arm, probe, rig, size, encoding, found):
    before = rig.size["eye_in_hand"], rig.encoding["eye_in_hand"]
    rig.size["eye_in_hand"], rig.encoding["eye_in_hand"] = size, encoding
    changed_s = time.time()
    text = f"eye_in_hand refused: found {found}, the contract promises 96x160 rgb8"
    probe.spin_until(lambda: probe.says("observation", text), text)
    probe.spin_until(lambda: probe.says("controller", "holding: no "), "the reason")
    arm.wait_for_still_targets()
    assert arm.last_change_s() - changed_s <= HOLD_WITHIN_S
    rig.size["eye_in_hand"], rig.encoding["eye_in_hand"] = before


def test_shadow_mode_does_everything_but_send(arm, probe):
    set_execute(probe, False)
    probe.spin_until(lambda: probe.says("controller", "shadow"), "shadow mode")
    sent = len(arm.targets), len(arm.sources)
    before = probe.reports["controller"]
    probe.spin_until(lambda: probe.reports["controller"] is not before, "one more report")
    assert (len(arm.targets), len(arm.sources)) == sent
    assert probe.values("controller")["holding"] == "False"
    set_execute(probe, True)


def test_disabling_silences_and_enabling_takes_only_new_plans(arm, probe):
    assert probe.call(SetBool, "controller/enable", data=False).success
    probe.spin_until(lambda: probe.says("controller", "disabled"), "the report")
    count = len(arm.targets)
    before = probe.reports["controller"]
    probe.spin_until(lambda: probe.reports["controller"] is not before, "one more report")
    assert len(arm.targets) == count
    enabled_s, sources = time.time(), len(arm.sources)
    assert probe.call(SetBool, "controller/enable", data=True).success
    probe.spin_until(lambda: len(arm.sources) > sources + 5, "commands")
    assert all(seconds(m.stamp) >= enabled_s for m in arm.sources[sources:])
