"""The FR3 as the tests know it."""

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.nodes.files import find_contract

FR3 = Contract.load(find_contract("fr3_direct"))
HOME_JOINTS = np.array([0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4])
HOME_POSE = np.array([0.3068907, 0, 0.4868823, 1, 0, 0, 0])  # of the grip site at HOME_JOINTS
