"""Faults of an arm with six joints and masses, by real processes: a row each of the table."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fault_log import Fault, Track
from ur5e_arm import Ur5e, UrRig, contract_text
from waves import WavePlanner

from vilp_ros.contract import Contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor

CONTROLLER = Path(__file__).parents[1] / "support/wave_controller.py"


@pytest.fixture(scope="module")
def contract_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ur5e") / "contract.yaml"
    path.write_text(contract_text())
    return path


@pytest.fixture(scope="module")
def contract(contract_file):
    return Contract.load(contract_file)


@pytest.fixture(scope="module")
def arm(probe, contract):
    return Ur5e(probe.node, contract)


@pytest.fixture(scope="module")
def rig(probe, contract, arm):
    rig = UrRig(probe, contract, arm)
    yield rig
    rig.close()


class Chain:
    """A planner in this process; observation and controller in their own; the arm."""

    def __init__(self, probe, contract, rig, arm):
        self.probe, self.rig, self.arm = probe, rig, arm
        names = contract.proprio.joint_names
        self.planner = WavePlanner(probe, arm, names, loss=0.0, observes=False)
        self.track = Track(probe, "commanded_pose", "command of six joints")

    def until(self, condition, what):
        self.planner.until(condition, what)

    def says(self, node, text):
        self.until(lambda: self.probe.says(node, text), f"{node}: {text}")
        return self.probe.reports[node].message

    def moves(self):
        self.probe.reports.pop("controller", None)
        said = lambda: "controller" in self.probe.reports  # noqa: E731
        fine = lambda: said() and not self.probe.says("controller", "holding")  # noqa: E731
        self.until(fine, "a controller that does not hold")
        count = len(self.track.told)
        moving = lambda: (self.track.steps(count) > 1e-5).sum() > 8  # noqa: E731
        self.until(moving, "the arm to move")

    def stands(self):
        count = len(self.track.told)

        def still():
            enough = len(self.track.told) > count + 25
            return enough and self.track.steps(len(self.track.told) - 24).max() <= 1e-9

        self.until(still, "an arm that stands")


@pytest.fixture(scope="module")
def chain(probe, contract, contract_file, rig, arm):
    words = ["sim:=false", f"contract:={contract_file}", f"model:={contract_file.parent}"]
    table = {p.name: p for p in processes(parse(words))}
    controller = table["controller"]
    words = controller.command[controller.command.index("--ros-args") :]
    controller = replace(controller, command=(sys.executable, str(CONTROLLER), *words))
    with Supervisor([table["observation"], controller], write=print):
        chain = Chain(probe, contract, rig, arm)
        chain.planner.begin()
        chain.moves()
        yield chain


FAULTS = {
    "six joints: the arm's driver is silent": (
        lambda rig: setattr(rig, "names", []),
        "observation",
        "joints: nothing for",
    ),
    "six joints: one of them is missing": (
        lambda rig: setattr(rig, "names", rig.names[:5]),
        "observation",
        "joint 'wrist_3_joint' is missing",
    ),
    "six joints: one of them is no number": (
        lambda rig: setattr(rig, "spoil", lambda joints: joints * np.nan),
        "observation",
        "joints refused: not finite",
    ),
    "six joints: the gripper beside them is silent": (
        lambda rig: setattr(rig, "hand_silent", True),
        "observation",
        "gripper: nothing for",
    ),
    "six joints: stamps 1 s old": (
        lambda rig: setattr(rig, "age_s", 1.0),
        "observation",
        "stamps are 1.0 s old",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_arm_makes_it_hold_until_it_is_over(chain, rig, name):
    begin, node, says = FAULTS[name]
    before = {key: getattr(rig, key) for key in ("names", "spoil", "hand_silent", "age_s")}
    chain.moves()
    fault = Fault(name, chain.track)
    begin(rig)
    try:
        read = chain.says(node, says)
        chain.says("controller", "holding: no observation for")
        chain.stands()
        fault.held("brakes, holds", read)
    finally:
        vars(rig).update(before)
    fault.cured()
    chain.moves()
    fault.over("by itself")
    assert chain.arm.refused == []


@pytest.mark.parametrize(
    ("name", "step", "says"),
    [
        ("out of the workspace", (2.0, 0.0, 0.0), "x would reach "),
        ("below the table", (0.0, 0.0, -0.3), "z would reach "),
        ("far from the arm", (0.0, 0.35, 0.0), "starts too far from the arm: hand by "),
    ],
)
def test_a_plan_that_no_six_joints_may_follow_is_refused_by_name(chain, name, step, says):
    chain.moves()
    fault = Fault(f"six joints: a plan {name}", chain.track)
    planner = chain.planner
    planner.step, planner.wanders = np.array(step), False
    try:
        read = chain.says("controller", says)
        chain.stands()
        fault.held("ends the plan in force, holds", read)
    finally:
        planner.step, planner.wanders = np.zeros(3), True
    fault.cured()
    chain.moves()
    fault.over("by itself, with the next good plan")
    assert chain.arm.refused == []
