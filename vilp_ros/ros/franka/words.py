"""What a Franka says when it stops, in words, and what to do about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

MODES = {
    "Other": "busy with something else",
    "Idle": "ready",
    "Move": "under our control",
    "Guiding": "being guided by hand",
    "Reflex": "stopped by a reflex; call ~/recover",
    "UserStopped": "stopped by the user: release the button, or activate FCI in Desk",
    "AutomaticErrorRecovery": "recovering",
}

_DISCONTINUOUS = (
    "the commands jumped, which the driver's own limits rule out: did more than six in a row come "
    "too late (a busy host, no real-time kernel: `vilp doctor`), is the contract's joint_{} above "
    "Franka's, or does another program command the arm?"
)
REFLEXES = {
    "joint_motion_generator_velocity_discontinuity": _DISCONTINUOUS.format("acceleration"),
    "joint_motion_generator_acceleration_discontinuity": _DISCONTINUOUS.format("jerk"),
    "joint_motion_generator_velocity_limits_violation": (
        "a joint was commanded too fast for where it is; lower joint_velocity, or keep it further "
        "from its end stops (limits.joint_position)"
    ),
    "joint_motion_generator_position_limits_violation": (
        "a joint was commanded past its end stop; narrow limits.joint_position"
    ),
    "joint_position_motion_generator_start_pose_invalid": (
        "the first command was not where the arm is; was it moved by hand? call ~/recover"
    ),
    "joint_position_limits_violation": (
        "a joint is beyond its end stop; guide it back by hand, then ~/recover"
    ),
    "joint_velocity_violation": "a joint moved too fast; was it pushed?",
    "joint_reflex": (
        "a joint felt a torque like a collision; clear the way, or raise collision_torque_nm"
    ),
    "cartesian_reflex": (
        "the hand felt a force like a collision; clear the way, or raise collision_force_n"
    ),
    "communication_constraints_violation": (
        "20 commands in a row came too late; use a real-time kernel, a cable straight to the "
        "control box and the performance governor (`vilp doctor`)"
    ),
    "self_collision_avoidance_violation": (
        "the arm would have hit itself; keep the elbow away from the body, then ~/recover"
    ),
    "power_limit_violation": "too much power; lower joint_velocity and joint_acceleration",
    "tau_j_range_violation": "too much torque on a joint; is the load set in Desk too light?",
    "instability_detected": "the arm oscillated; is the load set in Desk right?",
    "controller_torque_discontinuity": "the controller's torque jumped; call ~/recover",
}


def explain(names: Iterable[str]) -> str:
    """One phrase a reflex: its name, what it means, what to do."""
    return "; ".join(
        f"{name}: {REFLEXES.get(name, 'see the Franka documentation, then ~/recover')}"
        for name in names
    )


def reflexes_in(text: str) -> list[str]:
    """Names of the reflexes in a message of libfranka, such as '... reflex! ["joint_reflex"]'."""
    found = re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text)
    return list(dict.fromkeys(name for name in found if name in REFLEXES or "violation" in name))
