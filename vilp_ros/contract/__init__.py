"""What a robot gives and takes: views, proprioception, action space, rates, latencies, limits.

One YAML file per robot in `config/robots/`. It is read whole and checked before anything starts, so
that a wrong key is a sentence at launch and not a surprise in motion. Poses are in `base_frame`,
metres and radians, quaternions xyzw. Topic names may be relative, so that a namespace moves them.

Each field carries the reader that checks it: the classes are the schema.
"""

from vilp_ros.contract.action import ACTION_KINDS, GRIPPERS, TRANSPORTS, Action
from vilp_ros.contract.arm import Arm
from vilp_ros.contract.limits import Limits
from vilp_ros.contract.proprio import Proprio
from vilp_ros.contract.readers import ContractError
from vilp_ros.contract.robot import Contract
from vilp_ros.contract.tool import Tool
from vilp_ros.contract.view import View

__all__ = [
    "ACTION_KINDS",
    "GRIPPERS",
    "TRANSPORTS",
    "Action",
    "Arm",
    "Contract",
    "ContractError",
    "Limits",
    "Proprio",
    "Tool",
    "View",
]
