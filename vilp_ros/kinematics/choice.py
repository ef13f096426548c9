"""Which kinematics a contract's arm has: a Franka's analytic ones, or those of its URDF."""

from __future__ import annotations

from vilp_ros.contract import Arm, Contract
from vilp_ros.errors import VilpError
from vilp_ros.kinematics.base import Kinematics


def kinematics_of(contract: Contract) -> Kinematics:
    """Those of a contract, which names an arm.

    Raises:
        VilpError: It names none, a library is missing, or the URDF cannot be used.
    """
    arm, ranges = contract.arm, contract.limits.joint_position
    if arm is None:
        raise VilpError(
            f"contract {contract.robot} names no arm, and its joints must become poses or poses "
            "joints: that needs `arm: {urdf: ..., base: ..., tip: ...}` in it, or `arm: fr3`"
        )
    if isinstance(arm, Arm):
        from vilp_ros.kinematics.chain import ChainKinematics

        names = contract.proprio.joint_names
        return ChainKinematics(contract.robot, arm, names, ranges, contract.tool)
    from vilp_ros.kinematics.franka import FrankaKinematics

    return FrankaKinematics(arm, ranges, contract.tool)
