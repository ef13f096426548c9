"""Where the hand sits on the arm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vilp_ros.contract.readers import by, many, number
from vilp_ros.geometry import Array, rpy_to_quat


@dataclass(frozen=True)
class Tool:
    """From the arm's last link (a Franka's flange; `arm.tip` of a URDF) to `ee_frame`.

    Attributes:
        xyz: metres, in the frame of that link.
        rpy: radians: roll, pitch and yaw about its fixed x, y and z.
    """

    xyz: tuple[float, ...] = field(metadata=by(many(number(-2, 2, "m"), 3)))
    rpy: tuple[float, ...] = field(
        metadata=by(many(number(-6.3, 6.3, "rad"), 3)), default=(0.0, 0.0, 0.0)
    )

    @property
    def pose(self) -> Array:
        """(7,) m and quaternion xyzw."""
        return np.concatenate([self.xyz, rpy_to_quat(self.rpy)])


FRANKA_HAND = Tool((0.0, 0.0, 0.1034), (0.0, 0.0, -np.pi / 4))
"""Between the fingertips of a Franka Hand."""
