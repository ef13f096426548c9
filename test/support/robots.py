"""The FR3 as the tests know it, and a UR5e."""

import dataclasses

import numpy as np

from vilp_ros.contract import Arm, Contract, Tool
from vilp_ros.contract.tool import FRANKA_HAND
from vilp_ros.kinematics import Kinematics, kinematics_of
from vilp_ros.ros.files import find_contract

FR3 = Contract.load(find_contract("fr3_direct"))
HOME_JOINTS = np.array([0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4])
HOME_POSE = np.array([0.3068907, 0, 0.4868823, 1, 0, 0, 0])  # of the grip site at HOME_JOINTS
FR3_CHAIN = dataclasses.replace(
    FR3,
    arm=Arm("package://vilp_ros/config/urdf/fr3.urdf", "fr3_link0", "fr3_link8"),
    tool=FRANKA_HAND,
)
"""The FR3 by its URDF."""
UR5E = Contract.load(find_contract("ur5e_ros2_control"))
UR5E_HOME = np.array([-0.3, -1.8, 2.0, -1.77, -np.pi / 2, 0])  # before it, the hand down


def home_joints(contract: Contract) -> np.ndarray:
    """(J,) rad from which its workspace is reached."""
    return HOME_JOINTS if len(contract.proprio.joint_names) == 7 else UR5E_HOME


def home_pose(contract: Contract) -> np.ndarray:
    """(7,) of the hand there."""
    if contract.arm is None:
        return HOME_POSE
    return kinematics_of(contract).forward(home_joints(contract))


def fr3_with_hand(length_m: float) -> Kinematics:
    """An FR3 whose hand is so long, from flange to fingertips."""
    tool = Tool((0.0, 0.0, length_m), FRANKA_HAND.rpy)
    return kinematics_of(dataclasses.replace(FR3, tool=tool))
