"""How long inverse kinematics takes and how often it succeeds: a row an arm and way, as Markdown.

    python -m tools.ik_table [--poses 10000]

Each pose is that of joints drawn from the middle 90 % of the contract's ranges; the search begins
that far from them, in each joint, as the heading says. A success is a pose reached to a micrometre
and a microradian without a joint that jumps.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time

import numpy as np

from vilp_ros.contract import Arm, Contract
from vilp_ros.contract.tool import FRANKA_HAND
from vilp_ros.geometry import quat_angle
from vilp_ros.kinematics import Kinematics, KinematicsError, kinematics_of
from vilp_ros.ros.files import find_contract

AWAY_RAD = (0.02, 0.1, 0.3)


def arms() -> list[tuple[str, str, Contract]]:
    """Arm, what computes it, contract."""
    ur5e, fr3 = (Contract.load(find_contract(n)) for n in ("ur5e_ros2_control", "fr3_direct"))
    urdf = Arm("package://vilp_ros/config/urdf/fr3.urdf", "fr3_link0", "fr3_link8")
    chain = dataclasses.replace(fr3, arm=urdf, tool=FRANKA_HAND)
    return [("UR5e, 6", "pin", ur5e), ("FR3, 7", "pin", chain), ("FR3, 7", "frankik", fr3)]


def row(arm: Kinematics, ranges: np.ndarray, away_rad: float, count: int) -> tuple[float, ...]:
    """Success (share), median and 99th percentile (s of the processor) of the searches."""
    rng, (low, high) = np.random.default_rng(0), ranges.T
    middle, half = (low + high) / 2, 0.45 * (high - low)
    took, reached = [], 0
    for _ in range(count):
        joints = middle + half * rng.uniform(-1, 1, len(low))
        pose = arm.forward(joints)
        near = joints + rng.uniform(-away_rad, away_rad, len(low))
        begun_s = time.thread_time()
        try:
            found = arm.inverse(pose, near)
        except KinematicsError:
            found = None
        took.append(time.thread_time() - begun_s)
        if found is not None:
            there = arm.forward(found)
            off = np.linalg.norm(there[:3] - pose[:3])
            reached += bool(off < 1e-6 and quat_angle(there[3:], pose[3:]) < 1e-6)
    return (reached / count, *np.percentile(took, [50, 99]))


def say(line: str) -> None:
    """At once: a row takes minutes on a busy machine."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", type=int, default=10_000)
    count = parser.parse_args().poses
    say("| arm, joints | by | away from the solution | success | median | 99 % |")
    say("|---|---|---|---|---|---|")
    for name, by, contract in arms():
        arm, ranges = kinematics_of(contract), np.array(contract.limits.joint_position)
        for away_rad in AWAY_RAD:
            share, median_s, late_s = row(arm, ranges, away_rad, count)
            figures = f"{100 * share:.2f} % | {1e6 * median_s:.0f} us | {1e6 * late_s:.0f} us"
            say(f"| {name} | {by} | {away_rad:g} rad | {figures} |")
    say(f"\n{count} poses a row; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
