"""Poses of a URDF's links against arithmetic by hand, and what cannot be used."""

import numpy as np
import pytest

from vilp_ros.geometry import continuous_quats, quat_to_matrix, rpy_to_quat
from vilp_ros.share import share_dir
from vilp_ros.urdf import Chain, UrdfError

CR5 = share_dir() / "config/urdf/cr5.urdf"
JOINTS = [f"joint{k}" for k in range(1, 7)]
# Dobot's table: a and d in m, alpha and offset in rad (standard Denavit-Hartenberg).
DH = [
    (0, 0.147, np.pi / 2, 0),
    (-0.427, 0, 0, -np.pi / 2),
    (-0.357, 0, 0, 0),
    (0, 0.141, np.pi / 2, -np.pi / 2),
    (0, 0.116, -np.pi / 2, 0),
    (0, 0.105, 0, 0),
]


UR5E = share_dir() / "config/urdf/ur5e.urdf"
UR5E_JOINTS = ["shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint"]
UR5E_JOINTS += [f"wrist_{k}_joint" for k in (1, 2, 3)]
UR5E_DH = [
    (0, 0.1625, np.pi / 2, 0),
    (-0.425, 0, 0, 0),
    (-0.3922, 0, 0, 0),
    (0, 0.1333, np.pi / 2, 0),
    (0, 0.0997, -np.pi / 2, 0),
    (0, 0.0996, 0, 0),
]
TURNED = np.diag([-1.0, -1, 1, 1])
"""From base_link to the frame of Universal Robots' own table, in which the arm faces backwards."""


def by_hand(angles, table=DH):
    pose = np.eye(4)
    for (a, d, alpha, offset), angle in zip(table, angles, strict=True):
        c, s, ca, sa = np.cos(angle + offset), np.sin(angle + offset), np.cos(alpha), np.sin(alpha)
        pose = pose @ [
            [c, -s * ca, s * sa, a * c],
            [s, c * ca, -c * sa, a * s],
            [0, sa, ca, d],
            [0, 0, 0, 1],
        ]
    return pose


@pytest.mark.parametrize(
    ("urdf", "tip", "joints", "table", "turned"),
    [
        (CR5, "flange", JOINTS, DH, np.eye(4)),
        (UR5E, "tool0", UR5E_JOINTS, UR5E_DH, TURNED),
    ],
    ids=["cr5", "ur5e"],
)
def test_a_shipped_arm_has_the_makers_lengths(urdf, tip, joints, table, turned):
    pytest.importorskip("pinocchio")
    angles = np.random.default_rng(0).uniform(-3, 3, (20, 6))
    poses = Chain(urdf, "base_link", tip, joints).forward(angles)
    for pose, row in zip(poses, angles, strict=True):
        wanted = turned @ by_hand(row, table)
        np.testing.assert_allclose(pose[:3], wanted[:3, 3], atol=1e-9)
        np.testing.assert_allclose(quat_to_matrix(pose[3:]), wanted[:3, :3], atol=1e-9)


def test_angles_are_those_of_the_names_in_any_order():
    pytest.importorskip("pinocchio")
    angles = np.random.default_rng(2).uniform(-3, 3, (5, 6))
    straight = Chain(UR5E, "base_link", "tool0", UR5E_JOINTS).forward(angles)
    turned = Chain(UR5E, "base_link", "tool0", UR5E_JOINTS[::-1]).forward(angles[:, ::-1])
    np.testing.assert_allclose(turned, straight, atol=1e-12)


def test_joints_beside_the_way_from_base_to_tip_are_named():
    pytest.importorskip("pinocchio")
    Chain(UR5E, "base_link", "tool0", UR5E_JOINTS).check_complete()
    for base, tip, joint in (
        ("base_link", "forearm_link", "wrist_1_joint"),
        ("forearm_link", "tool0", "shoulder_pan_joint"),
    ):
        with pytest.raises(UrdfError, match=f"'{joint}' does not lie between '{base}' and '{tip}'"):
            Chain(UR5E, base, tip, UR5E_JOINTS).check_complete()


def test_a_joint_that_is_left_out_is_named():
    pytest.importorskip("pinocchio")
    with pytest.raises(UrdfError, match="'wrist_3_joint' lies between 'base_link' and 'tool0' and"):
        Chain(UR5E, "base_link", "tool0", UR5E_JOINTS[:5]).check_complete()


def test_a_tool_stands_on_the_tip_and_poses_are_of_the_base():
    pytest.importorskip("pinocchio")
    angles = np.array([[0.3, -0.4, 1.0, 0.2, -1.5, 0.1]])
    tool = [0, 0, 0.15, 0, 0, 0, 1]
    tipped = Chain(CR5, "base_link", "flange", JOINTS, tool).forward(angles)[0]
    wanted = by_hand(angles[0]) @ np.array([0, 0, 0.15, 1])
    np.testing.assert_allclose(tipped[:3], wanted[:3], atol=1e-9)
    own = Chain(CR5, "flange", "flange", JOINTS).forward(angles)[0]
    np.testing.assert_allclose(own, [0, 0, 0, 0, 0, 0, 1], atol=1e-12)


def test_joints_that_turn_without_end(tmp_path):
    pytest.importorskip("pinocchio")
    path = tmp_path / "turn.urdf"
    path.write_text(
        '<robot name="r"><link name="a"/><link name="b"/><joint name="turn" type="continuous">'
        '<parent link="a"/><child link="b"/><origin xyz="1 0 0"/><axis xyz="0 0 1"/>'
        "</joint></robot>"
    )
    pose = Chain(path, "a", "b", ["turn"]).forward([[np.pi / 2]])[0]
    np.testing.assert_allclose(pose, [1, 0, 0, 0, 0, np.sqrt(0.5), np.sqrt(0.5)], atol=1e-12)


def test_what_a_urdf_lacks_is_named(tmp_path):
    pytest.importorskip("pinocchio")
    with pytest.raises(UrdfError, match=r"no link 'tool0'; it has .*flange"):
        Chain(CR5, "base_link", "tool0", JOINTS)
    with pytest.raises(UrdfError, match=r"no moving joint 'shoulder'; it has joint1"):
        Chain(CR5, "base_link", "flange", ["shoulder"])
    with pytest.raises(UrdfError, match="no URDF at"):
        Chain(tmp_path / "x.urdf", "a", "b", [])
    (tmp_path / "x.urdf").write_text("<robot")
    with pytest.raises(UrdfError, match="is no URDF"):
        Chain(tmp_path / "x.urdf", "a", "b", [])


def test_turns_about_fixed_axes():
    np.testing.assert_allclose(
        quat_to_matrix(rpy_to_quat([0.1, 0.2, 0.3])),
        quat_to_matrix(rpy_to_quat([0, 0, 0.3]))
        @ quat_to_matrix(rpy_to_quat([0, 0.2, 0]))
        @ quat_to_matrix(rpy_to_quat([0.1, 0, 0])),
        atol=1e-12,
    )


def test_signs_that_do_not_jump():
    angle = np.linspace(0, 7, 60)
    smooth = np.stack([np.sin(angle), 0 * angle, 0 * angle, np.cos(angle)], axis=1)
    jumping = np.where(smooth[:, 3:] < 0, -smooth, smooth)
    np.testing.assert_allclose(continuous_quats(jumping), smooth, atol=1e-12)
