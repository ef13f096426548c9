"""Which arm it is: what turns joints into poses of the hand and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vilp_ros.contract.names import a_frame
from vilp_ros.contract.readers import Key, by, part, text

FRANKAS = ("fr3", "panda")
FRANKA_JOINTS = 7


@dataclass(frozen=True)
class Arm:
    """An arm that a URDF describes; its joints are `proprio.joint_names`.

    Attributes:
        urdf: a file: "/absolute/path", "~/path", or "package://NAME/path" of a ROS package. Its
            meshes are not read.
        base: its link that `base_frame` is.
        tip: its link on which the tool sits.
    """

    urdf: str = field(
        metadata=by(
            text(r"(/|~/|package://\w+/).+", "/absolute/path, ~/path or package://NAME/path")
        )
    )
    base: str = field(metadata=by(a_frame))
    tip: str = field(metadata=by(a_frame))


def an_arm(key: Key, value: Any) -> str | Arm:
    """Reads a Franka's name, or a mapping."""
    if isinstance(value, dict):
        found: Arm = part(Arm)(key, value)
        return found
    if value not in FRANKAS:
        key.refuse(value, f"one of {list(FRANKAS)}, or a mapping of urdf, base and tip")
    return str(value)
