"""A person steers a UR5e with masses by the keyboard."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from pilot import Pilot
from ur5e_arm import Ur5e, UrRig, contract_text

from vilp_ros.contract import Contract
from vilp_ros.data.observe import from_pose
from vilp_ros.geometry import quat_angle
from vilp_ros.ros import qos


@pytest.fixture
def contract_file(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(contract_text())
    return path


@pytest.fixture
def contract(contract_file):
    return Contract.load(contract_file)


@pytest.fixture
def arm(probe, contract):
    return Ur5e(probe.node, contract)


@pytest.fixture
def rig(probe, contract, arm):
    rig = UrRig(probe, contract, arm)
    yield rig
    rig.close()


def test_a_person_leads_it_to_a_pose_within_2_mm(probe, contract_file, rig, arm):
    told = probe.listen(PoseStamped, "commanded_pose", profile=qos.STATE_IN)
    pilot = Pilot(probe, contract_file, arm.work)
    try:
        pilot.until_says("nobody has the arm")
        start = arm.pose.copy()
        pilot.until(lambda: arm.pose[0] > start[0] + 0.12, "the hand ahead", hold="w")
        pilot.until(lambda: arm.pose[2] < start[2] - 0.05, "the hand down, turning", hold="fq")
        pilot.until(lambda: arm.taken > 20 and arm.stands(), "rest")
        wanted = from_pose(told[-1].pose)
        assert 1e3 * np.linalg.norm(arm.pose[:3] - wanted[:3]) < 2.0
        assert quat_angle(arm.pose[3:], wanted[3:]) < 5e-3
        assert quat_angle(arm.pose[3:], start[3:]) > 0.05
        # On a busy machine the short end of a motion may come when it is over.
        assert set(arm.refused) <= {"ended in the past"}
    finally:
        pilot.close()
