"""Joints to poses of the hand and back, of the arm that a contract names; no torch, no ROS."""

from vilp_ros.kinematics.base import Kinematics, KinematicsError
from vilp_ros.kinematics.choice import kinematics_of

__all__ = ["Kinematics", "KinematicsError", "kinematics_of"]
