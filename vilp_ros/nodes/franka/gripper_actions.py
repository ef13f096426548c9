"""The gripper of franka_ros2: actions of franka_msgs, which exist only where it is installed."""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node

from vilp_ros.errors import VilpError
from vilp_ros.nodes.franka.gripper import CLOSED_M, MAX_WIDTH_M, SPEED_M_S, STEP_M

FORCE_N = 20.0


class GripperActions:
    """Closing is a grasp with force, other widths are moves; a newer goal replaces an older one.

    Args:
        node: Owns the clients.
        namespace: Of the actions, such as "franka_gripper".

    Raises:
        VilpError: franka_msgs is not installed.
    """

    def __init__(self, node: Node, namespace: str) -> None:
        try:
            from franka_msgs.action import Grasp, Move
        except ImportError:
            raise VilpError(
                "action.gripper 'franka_actions' needs franka_msgs of franka_ros2: source its "
                "workspace, or use 'topic' in the contract"
            ) from None
        self._goals: dict[str, Any] = {"move": Move, "grasp": Grasp}
        self._clients = {
            name: ActionClient(node, kind, f"{namespace}/{name}")
            for name, kind in self._goals.items()
        }
        self._sent: float | None = None

    def move(self, width: float) -> None:
        """Go to a width, metres, if it differs from the last one."""
        if self._sent is not None and abs(width - self._sent) <= STEP_M:
            return
        name = "move" if width > CLOSED_M else "grasp"
        client = self._clients[name]
        if not client.server_is_ready():
            return  # asked again with the next command
        goal = self._goals[name].Goal(width=float(width), speed=SPEED_M_S)
        if name == "grasp":  # judged by the width, not by the result: see FrankaGripper
            goal.force = FORCE_N
            goal.epsilon.inner = goal.epsilon.outer = MAX_WIDTH_M
        client.send_goal_async(goal)
        self._sent = width

    def destroy(self) -> None:
        """Take the clients back."""
        for client in self._clients.values():
            client.destroy()
