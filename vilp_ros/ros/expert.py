"""The scripted expert of the simulator, on the command topics of a policy."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node

from vilp_ros.contract import Contract
from vilp_ros.control.limits import SafetyLimits
from vilp_ros.errors import VilpError
from vilp_ros.ros.demonstrated import DemonstratedCommands
from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.env import Observation, SimEnv

EXPERT, NOISE = "expert", "expert+noise"
"""What `commander` says: the expert, or the noise that pushes it off so that it shows recovery."""


class ExpertDriver:
    """Knows where the objects are, but moves the arm as everybody does: by topics, within limits.

    Args:
        node: publishes.
        contract: of the robot; its action kind must be `ee_pose`.
        role: `expert`, or `suboptimal` to fail on purpose.

    Attributes:
        state: `waiting`, `driving` or `done`.
    """

    def __init__(self, node: Node, contract: Contract, role: str) -> None:
        if role not in ("expert", "suboptimal"):
            raise VilpError(f"expert is {role!r}: choose from expert, suboptimal")
        self._contract, self._role, self.state = contract, role, "waiting"
        self._commands = DemonstratedCommands(node, contract, 1.0 / contract.control_period_s)
        self._limits = SafetyLimits(contract.limits, "ee_pose")

    def reset(self, env: SimEnv, seed: int, mode: int, noise: float) -> Observation:
        """A new scene; drives when it is told to."""
        modes = env.spec.modes
        job = Job(seed, modes[mode % len(modes)], self._role, noise)
        self._demonstrator = Demonstrator(env, job)
        self._command: np.ndarray | None = None
        self.state = "waiting"
        return self._demonstrator.observation

    def begin(self) -> None:
        """Drive from now on."""
        self.state = "driving"

    def drive(self, observation: Observation, success: bool, stamp: Time) -> None:
        """Commands, if it is driving; to be called after every control period."""
        if self.state != "driving" or self._commands.claim():
            return
        if self._command is not None:
            self._demonstrator.after(success)
        if self._demonstrator.done:
            self.state = "done"
            return
        action, pushed = self._demonstrator.act(observation)
        measured = np.append(observation.ee_pose, observation.gripper_width)
        period_s = self._contract.control_period_s
        self._command, _ = self._limits.clamp(action, self._command, measured, period_s)
        whose = NOISE if pushed else EXPERT
        self._commands.send(self._command, self._command, stamp, whose)
