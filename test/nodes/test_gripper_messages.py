"""What a gripper hears of a width, and what is read of it: each kind, scale, offset, inversion."""

import dataclasses
import sys
from types import ModuleType, SimpleNamespace

import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from robots import UR5E
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from vilp_ros.contract import Contract
from vilp_ros.contract.hand import Width
from vilp_ros.data.observe import MessageError, width_of
from vilp_ros.errors import VilpError
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.gripper_messages import gripper_message

STAMP = Time(sec=5)


def robotiq(gripper, **changes):
    return dataclasses.replace(
        UR5E, action=dataclasses.replace(UR5E.action, gripper=gripper, **changes)
    )


def test_joint_states_and_arrays_carry_the_grippers_own_number():
    kind, make = gripper_message(robotiq("topic"))
    message = make(0.0, STAMP)
    assert kind is JointState
    assert list(message.name) == ["robotiq_85_left_knuckle_joint"]
    assert list(message.position) == [pytest.approx(0.793, abs=1e-3)]
    assert message.header.stamp == STAMP
    kind, make = gripper_message(robotiq("float64_array"))
    assert kind is Float64MultiArray
    assert list(make(0.085, STAMP).data) == [pytest.approx(0.0)]


def test_what_is_sent_may_have_a_scale_of_its_own():
    percent = robotiq("float64_array", gripper_scale=-0.00085, gripper_offset=0.085)
    _, make = gripper_message(percent)
    assert list(make(0.0, STAMP).data) == [pytest.approx(100.0)]
    assert list(make(0.085, STAMP).data) == [pytest.approx(0.0)]


def test_a_gripper_command_carries_position_and_effort(monkeypatch):
    messages = ModuleType("control_msgs.msg")
    messages.GripperCommand = SimpleNamespace
    monkeypatch.setitem(sys.modules, "control_msgs", ModuleType("control_msgs"))
    monkeypatch.setitem(sys.modules, "control_msgs.msg", messages)
    _, make = gripper_message(robotiq("gripper_command"))
    assert vars(make(0.085, STAMP)) == {"position": pytest.approx(0.0), "max_effort": 50.0}
    monkeypatch.setitem(sys.modules, "control_msgs.msg", None)
    with pytest.raises(VilpError, match="'gripper_command' needs control_msgs"):
        gripper_message(robotiq("gripper_command"))


@given(st.floats(-10, 10).filter(lambda s: abs(s) > 1e-6), st.floats(-1, 1), st.floats(0, 0.3))
def test_a_width_comes_back_through_any_scale(scale, offset, metres):
    width = Width(scale, offset)
    assert width.metres(width.number(metres)) == pytest.approx(metres, abs=1e-9)


def test_a_width_is_read_by_the_joints_name():
    state = JointState(name=["elbow_joint", "robotiq_85_left_knuckle_joint"], position=[1.0, 0.793])
    assert width_of(state, UR5E) == pytest.approx(0.0, abs=1e-4)
    with pytest.raises(MessageError, match="joint 'robotiq_85_left_knuckle_joint' is missing"):
        width_of(JointState(name=["elbow_joint"], position=[1.0]), UR5E)
    crisp = Contract.load(find_contract("fr3_crisp_robotiq"))
    assert width_of(JointState(name=["gripper_joint"], position=[1.0]), crisp) == 0.085
    nameless = Contract.load(find_contract("fr3_ros2_control"))
    assert width_of(JointState(position=[0.02, 0.02]), nameless) == 0.04
    with pytest.raises(MessageError, match="without position"):
        width_of(JointState(), nameless)


def test_what_has_no_stamp_is_recorded_in_metres():
    crisp = Contract.load(find_contract("fr3_crisp"))
    topic = "gripper/gripper_position_controller/commands"
    assert crisp.action.width_topic == f"{topic}/commanded_width"
    assert crisp.recorded_width == Width()
    assert crisp.commanded_width == Width(0.08)
    assert robotiq("topic").recorded_width == UR5E.measured_width
