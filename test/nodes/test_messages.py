import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import JointState

from vilp_ros.data.observe import MessageError, from_pose, joints_by_name, seconds
from vilp_ros.data.robot_state import RobotState
from vilp_ros.ros.messages import pack_state, to_markers, to_path, to_pose, to_stamp, unpack_state

JOINTS = [f"panda_joint{i}" for i in range(1, 8)]
STATE = RobotState(np.array([0.4, 0.1, 0.3, 1, 0, 0, 0]), 0.05, np.arange(7.0))


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999))
def test_a_stamp_survives_the_pure_rooms(sec, micro):
    stamp = to_stamp(sec + micro * 1e-6) if sec < 1e6 else None
    if stamp is None:
        from builtin_interfaces.msg import Time

        stamp = Time(sec=sec % 2**31, nanosec=micro * 1000)
    assert to_stamp(seconds(stamp)) == stamp


def test_poses_and_states_survive_the_wire():
    np.testing.assert_array_equal(from_pose(to_pose(STATE.ee_pose)), STATE.ee_pose)
    back = unpack_state(pack_state(STATE, JOINTS, to_stamp(1.0)), JOINTS)
    np.testing.assert_array_equal(back.ee_pose, STATE.ee_pose)
    np.testing.assert_array_equal(back.joint_position, STATE.joint_position)
    assert back.gripper_width == STATE.gripper_width


@given(st.permutations(range(9)))
def test_joints_are_read_by_name_among_others_in_any_order(order):
    names = [*JOINTS, "finger1", "finger2"]
    message = JointState(name=[names[i] for i in order], position=[float(i) for i in order])
    np.testing.assert_array_equal(joints_by_name(message, message.position, JOINTS), np.arange(7.0))


def test_missing_joints_and_values_are_named():
    message = JointState(name=JOINTS[:6], position=[0.0] * 6)
    with pytest.raises(MessageError, match="joint 'panda_joint7' is missing"):
        joints_by_name(message, message.position, JOINTS)
    message.name.append("panda_joint7")
    with pytest.raises(MessageError, match="names 7 joints but carries 6"):
        joints_by_name(message, message.position, JOINTS)


def test_path_and_markers_carry_the_plan():
    poses = np.tile(STATE.ee_pose, (3, 1))
    poses[:, 0] = [0.40, 0.41, 0.42]
    path = to_path(poses, 10.0, 0.05, "base")
    assert [p.pose.position.x for p in path.poses] == [0.40, 0.41, 0.42]
    assert [seconds(p.header.stamp) for p in path.poses] == [10.0, 10.05, 10.1]
    line, *bars = to_markers(poses, np.array([0.08, 0.04, 0.0]), to_stamp(10.0), "base").markers
    assert len(line.points) == len(line.colors) == 3
    assert [bar.scale.y for bar in bars] == [0.08, 0.04, 0.002]
    assert {bar.id for bar in bars} == {0, 1, 2}
    assert {m.header.frame_id for m in (line, *bars)} == {"base"}
