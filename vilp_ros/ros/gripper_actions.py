"""Grippers that are moved by actions: those of franka_ros2, and GripperCommand of ros2_control.

Their packages exist only where they are installed.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.node import Node

from vilp_ros.contract import Contract
from vilp_ros.control.grip import MISSED, Goal, Goals
from vilp_ros.errors import VilpError
from vilp_ros.ros.franka.gripper import MAX_WIDTH_M, SPEED_M_S


class GripperActions(ABC):
    """Sends the goals that a stream of widths makes, and again what is rejected or aborted.

    Args:
        node: Owns the clients.
        contract: Names the actions, and what a width is in their words.
        kinds: Types of the actions by the name of each.
    """

    def __init__(self, node: Node, contract: Contract, kinds: dict[str, Any]) -> None:
        self._effort_n, self._width = contract.action.gripper_effort, contract.commanded_width
        self._kinds = kinds
        self._clients = {name: ActionClient(node, kind, name) for name, kind in kinds.items()}
        self._ready, self._lock = True, threading.Lock()
        self._goals = Goals()

    @abstractmethod
    def _request(self, goal: Goal) -> tuple[str, Any]:
        """Name of the action, and what it is asked."""

    @abstractmethod
    def _reached(self, answer: Any) -> bool:
        """Whether the fingers are where they were sent, or hold what is in between."""

    @property
    def problem(self) -> str:
        """What is wrong with the newest goal, or empty."""
        with self._lock:
            missing = f"gripper: nobody serves {' and '.join(self._clients)}"
            return self._goals.problem if self._ready else missing

    def move(self, width: float) -> None:
        """Ask for a width, metres."""
        now_s = time.monotonic()
        with self._lock:
            self._goals.want(width, now_s)
            self._ready = all(client.server_is_ready() for client in self._clients.values())
            goal = self._goals.due(now_s) if self._ready else None
        if goal is not None:
            self._send(goal)

    def _send(self, goal: Goal) -> None:
        name, request = self._request(goal)

        def on_result(future: Any) -> None:
            answer = future.result()
            canceled = answer.status == GoalStatus.STATUS_CANCELED
            self._ended(goal, self._reached(answer), "canceled" if canceled else MISSED)

        def on_answer(future: Any) -> None:
            handle = future.result()
            if handle.accepted:
                handle.get_result_async().add_done_callback(on_result)
            else:
                self._ended(goal, False, "rejected")

        self._clients[name].send_goal_async(request).add_done_callback(on_answer)

    def _ended(self, goal: Goal, ok: bool, why: str) -> None:
        with self._lock:
            self._goals.ended(goal, ok, time.monotonic(), why)

    def destroy(self) -> None:
        """Take the clients back."""
        for client in self._clients.values():
            client.destroy()


class FrankaActions(GripperActions):
    """Move and grasp of franka_ros2, below the namespace that the contract names.

    Args:
        node: Owns the clients.
        contract: Of the robot.

    Raises:
        VilpError: franka_msgs is not installed.
    """

    def __init__(self, node: Node, contract: Contract) -> None:
        try:
            from franka_msgs.action import Grasp, Move
        except ImportError:
            raise VilpError(
                "action.gripper 'franka_actions' needs franka_msgs of franka_ros2: source its "
                "workspace, or use 'topic' in the contract"
            ) from None
        self._move, self._grasp = (
            f"{contract.action.gripper_topic}/{name}" for name in ("move", "grasp")
        )
        super().__init__(node, contract, {self._move: Move, self._grasp: Grasp})

    def _request(self, goal: Goal) -> tuple[str, Any]:
        name = self._grasp if goal.force else self._move
        width = float(self._width.number(goal.width))
        request = self._kinds[name].Goal(width=width, speed=SPEED_M_S)
        if goal.force:  # judged by the width, not by the result: see FrankaGripper
            request.force = self._effort_n
            request.epsilon.inner = request.epsilon.outer = MAX_WIDTH_M
        return name, request

    def _reached(self, answer: Any) -> bool:
        return bool(answer.status == GoalStatus.STATUS_SUCCEEDED and answer.result.success)


class CommandAction(GripperActions):
    """control_msgs' GripperCommand, which every gripper controller of ros2_control serves.

    Args:
        node: Owns the client.
        contract: Of the robot.

    Raises:
        VilpError: control_msgs is not installed.
    """

    def __init__(self, node: Node, contract: Contract) -> None:
        try:
            from control_msgs.action import GripperCommand
        except ImportError:
            raise missing_control_msgs("gripper_action") from None
        super().__init__(node, contract, {contract.action.gripper_topic: GripperCommand})

    def _request(self, goal: Goal) -> tuple[str, Any]:
        ((name, kind),) = self._kinds.items()
        request = kind.Goal()
        request.command.position = float(self._width.number(goal.width))
        request.command.max_effort = self._effort_n
        return name, request

    def _reached(self, answer: Any) -> bool:
        # Fingers that were stopped hold on with that effort, whether that counts as success or not.
        return bool(answer.status == GoalStatus.STATUS_SUCCEEDED or answer.result.stalled)


def missing_control_msgs(gripper: str) -> VilpError:
    """Says what a kind of gripper needs."""
    return VilpError(
        f"action.gripper '{gripper}' needs control_msgs of ros2_control: source its workspace "
        "(ros-jazzy-control-msgs), or use 'topic' or 'float64_array' in the contract"
    )
