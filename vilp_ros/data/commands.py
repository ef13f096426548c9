"""What the arm was told, and by whom: from a bag or from live topics."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.observe import MessageError, joints_by_name, pose_in, seconds
from vilp_ros.data.synchroniser import SAME_S

COMMANDER, SOURCE = "commander", "controller/command_source"
HUMAN, POLICY, NOISE = "teleop", "policy", "expert+noise"


class Commands:
    """Takes commands as they come, tells which was in force when.

    Args:
        contract: of the robot.

    Attributes:
        topics: what comes on each topic of the contract: `arm`, `gripper`, `commander` or `source`.
        stamps: when each command of the arm acts; of a whole trajectory each point, until the next
            trajectory takes over.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract, action = contract, contract.action
        arm = action.pose_topic if action.kind == "ee_pose" else action.joint_topic
        named = {arm: "arm", action.width_topic: "gripper", COMMANDER: "commander"}
        self.topics = {topic: what for topic, what in {**named, SOURCE: "source"}.items() if topic}
        self.stamps: list[float] = []
        self._arm: list[np.ndarray] = []
        self._told_s: list[float] = []  # stamps of the messages that they came with
        self._gripper_stamps: list[float] = []
        self._gripper: list[float] = []
        self._who: dict[float, str] = {}
        self._by_policy = False

    def add(self, what: str, message: Any) -> None:
        """Takes a message of one of `topics`.

        Raises:
            MessageError: it bears no stamp, is of another frame, or lacks a joint.
        """
        if what in ("arm", "gripper") and seconds(message.header.stamp) == 0:
            raise MessageError("the header bears no stamp: make who commands set it")
        if what == "source":
            self._by_policy = True
        elif what == "commander":
            self._who[self._acts_s(message.stamp)] = message.frame_id
        elif what == "arm":
            self._add_arm(message)
        elif len(message.position):
            acts_s = self._acts_s(message.header.stamp)
            self._gripper_stamps.append(_rising(acts_s, self._gripper_stamps))
            width = self._contract.recorded_width
            self._gripper.append(width.metres(float(message.position[0])))

    def before(self, stamp_s: float) -> int:
        """How many arm commands were sent before a time.

        Strictly: one with the stamp of a frame was made from that frame, and acts after it.
        """
        return bisect.bisect_left(self.stamps, stamp_s - SAME_S)

    def grips(self, stamp_s: float) -> bool:
        """Whether the gripper had been told anything before a time."""
        return bool(self._gripper_stamps) and self._gripper_stamps[0] < stamp_s - SAME_S

    def action(self, stamp_s: float, width: float) -> np.ndarray:
        """(8,) in force at a time; the width stands in where the gripper was told nothing."""
        number = bisect.bisect_left(self._gripper_stamps, stamp_s - SAME_S)
        told = self._gripper[number - 1] if number else width
        return np.append(self._arm[self.before(stamp_s) - 1], told)

    def commander(self, stamp_s: float) -> str:
        """Who gave the command in force at a time."""
        told_s = self._told_s[self.before(stamp_s) - 1]
        return self._who.get(told_s, POLICY if self._by_policy else "unknown")

    def _add_arm(self, message: Any) -> None:
        told_s = self._acts_s(message.header.stamp)
        targets = self._targets(message)
        if len(targets) > 1:  # whole: what is left of the one before is not done
            first = bisect.bisect_left(self.stamps, told_s + SAME_S)
            del self.stamps[first:], self._arm[first:], self._told_s[first:]
        for after_s, target in targets:
            self._arm.append(target)
            self.stamps.append(_rising(told_s + after_s, self.stamps))
            self._told_s.append(told_s)

    def _targets(self, message: Any) -> list[tuple[float, np.ndarray]]:
        """Targets with how many seconds after the message's stamp each acts."""
        if self._contract.action.kind == "ee_pose":
            return [(0.0, pose_in(message, self._contract.base_frame))]
        names = self._contract.proprio.joint_names
        if not hasattr(message, "points"):
            return [(0.0, joints_by_name(message, message.position, names))]
        # The one point of a stream is reached a period later, as a streamed pose is.
        whole = len(message.points) > 1
        return [
            (
                seconds(point.time_from_start) if whole else 0.0,
                joints_by_name(message, point.positions, names),
            )
            for point in message.points
        ]

    def _acts_s(self, stamp: Any) -> float:
        return seconds(stamp) + self._contract.action.latency_s


def _rising(stamp_s: float, before: list[float]) -> float:
    """A command never acts before the one before it."""
    return max(stamp_s, before[-1]) if before else stamp_s
