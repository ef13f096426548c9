"""Goals of franka_msgs and control_msgs, which are not installed here: stand-ins of their types."""

import sys
import time
from types import ModuleType, SimpleNamespace

import pytest
from action_msgs.msg import GoalStatus
from robots import UR5E

from vilp_ros.contract import Contract
from vilp_ros.control import grip
from vilp_ros.errors import VilpError
from vilp_ros.ros import gripper_actions
from vilp_ros.ros.files import find_contract

FRANKA = Contract.load(find_contract("fr3_ros2_control"))
OK, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED


class Later:
    """A future that has come."""

    def __init__(self, result):
        self._result = result

    def result(self):
        return self._result

    def add_done_callback(self, callback):
        callback(self)


class FrankaGoal:
    """Move and Grasp: width, speed; force, epsilon."""

    def __init__(self, width, speed):
        self.width, self.speed, self.force = width, speed, 0.0
        self.epsilon = SimpleNamespace(inner=0.0, outer=0.0)


class CommandGoal:
    """GripperCommand: command of position and max_effort."""

    def __init__(self):
        self.command = SimpleNamespace(position=0.0, max_effort=0.0)


@pytest.fixture
def server(monkeypatch):
    """`answers` to the next goals: "rejected", "stalled" or a status; `goals` received."""
    server = SimpleNamespace(answers=[], goals=[])

    class Client:
        def __init__(self, node, kind, name):
            self._name = name

        def server_is_ready(self):
            return True

        def send_goal_async(self, goal):
            said = getattr(goal, "command", None)
            numbers = (said.position, said.max_effort) if said else (goal.width, goal.force)
            server.goals.append((self._name, *numbers))
            answer = server.answers.pop(0) if server.answers else OK
            result = SimpleNamespace(success=answer == OK, stalled=answer == "stalled")
            status = ABORTED if answer == "stalled" else answer
            end = SimpleNamespace(status=status, result=result)
            handle = SimpleNamespace(accepted=answer != "rejected")
            handle.get_result_async = lambda: Later(end)
            return Later(handle)

    for package, goals in (
        ("franka_msgs", {"Grasp": FrankaGoal, "Move": FrankaGoal}),
        ("control_msgs", {"GripperCommand": CommandGoal}),
    ):
        actions = ModuleType(f"{package}.action")
        for name, goal in goals.items():
            setattr(actions, name, SimpleNamespace(Goal=goal))
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.action", actions)
    monkeypatch.setattr(gripper_actions, "ActionClient", Client)
    return server


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now_s)
    return clock


def stream(hand, clock, widths):
    for width in widths:
        hand.move(width)
        clock.now_s += 0.02


def test_a_rejected_goal_is_said_and_sent_again(server, clock):
    hand = gripper_actions.FrankaActions(None, FRANKA)
    server.answers = ["rejected"]
    stream(hand, clock, [0.0] * 10)
    assert len(server.goals) == 1
    assert "goal of 0.000 m failed (rejected); it is sent again" in hand.problem
    stream(hand, clock, [0.0] * round(1.5 * grip.RETRY_S / 0.02))
    assert server.goals == 2 * [("franka_gripper/grasp", 0.0, 20.0)]
    assert hand.problem == ""


def test_an_object_that_stops_the_fingers_is_grasped(server, clock):
    hand = gripper_actions.FrankaActions(None, FRANKA)
    stream(hand, clock, [0.08] * 10)
    server.answers = [ABORTED]
    stream(hand, clock, [0.03] * 20)
    assert server.goals[1:] == [
        ("franka_gripper/move", 0.03, 0.0),
        ("franka_gripper/grasp", 0.03, 20.0),
    ]
    assert hand.problem == ""


def test_a_robotiq_is_told_the_angle_of_its_knuckle(server, clock):
    hand = gripper_actions.CommandAction(None, UR5E)
    stream(hand, clock, [0.085] * 10)
    stream(hand, clock, [0.0] * 20)
    name = "robotiq_gripper_controller/gripper_cmd"
    assert server.goals == [
        (name, pytest.approx(0.0), 50.0),
        (name, pytest.approx(0.793, abs=1e-3), 50.0),
    ]
    assert hand.problem == ""


def test_fingers_that_stall_on_something_hold_it(server, clock):
    hand = gripper_actions.CommandAction(None, UR5E)
    stream(hand, clock, [0.085] * 10)
    server.answers = ["stalled"]
    stream(hand, clock, [0.0] * 200)
    assert len(server.goals) == 2
    assert hand.problem == ""
    server.answers = [ABORTED]
    stream(hand, clock, [0.085] * 10)
    assert "goal of 0.085 m failed (it did not get there); it is sent again" in hand.problem


@pytest.mark.parametrize(
    ("make", "contract", "package"),
    [
        (gripper_actions.FrankaActions, FRANKA, "franka_msgs"),
        (gripper_actions.CommandAction, UR5E, "control_msgs"),
    ],
)
def test_a_package_that_is_missing_is_named(make, contract, package, monkeypatch):
    monkeypatch.setitem(sys.modules, f"{package}.action", None)
    with pytest.raises(VilpError, match=f"needs {package} of .*: source its workspace"):
        make(None, contract)
