"""A UR5e with masses and gravity behind its scaled_joint_trajectory_controller: MuJoCo runs its
URDF, and pinocchio takes no part in where its hand is."""

from __future__ import annotations

import mujoco
import numpy as np
from mock_arms import MockTrajectoryController
from ros_rig import Rig

from vilp_ros.contract import Contract
from vilp_ros.data.observe import seconds
from vilp_ros.geometry import matrix_to_quat
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.messages import to_joint_state, to_stamp
from vilp_ros.share import find_shared

# Of the position loop in the arm's own controller: 1/s^2, 1/s, 1/s^3.
STIFFNESS, DAMPING, INTEGRAL = 1600.0, 80.0, 8000.0
LOAD_KG = 0.9  # of the gripper, which that controller does not know


def contract_text() -> str:
    """With small pictures, and a hand that is told by topic: control_msgs is not installed here."""
    text = find_contract("ur5e_ros2_control").read_text()
    for old, new in (
        ("gripper: gripper_action", "gripper: topic"),
        ("height: 96", "height: 16"),
        ("width: 160", "width: 24"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


class Ur5e(MockTrajectoryController):
    """Takes trajectories as the mock does; where it is, MuJoCo says."""

    def __init__(self, node, contract: Contract) -> None:
        super().__init__(node, contract)
        self._model = mujoco.MjModel.from_xml_path(str(find_shared(contract.arm.urdf)))
        self._model.opt.timestep = 0.002
        self._data = mujoco.MjData(self._model)
        self._data.qpos[:] = self._rest = self.joints.copy()
        self._hand = self._model.body("wrist_3_link").id  # tool0 is the same frame
        self._tool_m = contract.tool.xyz[2]
        self._missed = np.zeros(len(self.joints))
        self._begun_s: float | None = None
        self._look()

    def work(self) -> None:
        """Go on to the present."""
        model, data, now_s = self._model, self._data, self.now_s()
        if self._begun_s is None:
            self._begun_s = now_s
        mass = np.zeros((model.nv, model.nv))
        while self._begun_s + data.time < now_s:
            reference = self._path.at(self._begun_s + data.time)
            wanted, speed = self._rest, np.zeros(model.nv)
            if reference is not None:
                wanted = self._rest = reference.position
                speed = reference.velocity
            mujoco.mj_forward(model, data)
            mujoco.mj_fullM(model, mass, data.qM)
            self._missed += (wanted - data.qpos) * model.opt.timestep
            pull = STIFFNESS * (wanted - data.qpos) + DAMPING * (speed - data.qvel)
            pull += INTEGRAL * self._missed
            load = np.zeros((3, model.nv))
            mujoco.mj_jacBody(model, data, load, None, self._hand)
            data.qfrc_applied[:] = data.qfrc_bias + mass @ pull - 9.81 * LOAD_KG * load[2]
            mujoco.mj_step(model, data)
        self._look()
        self.executed.append((now_s, self.joints))

    def _look(self) -> None:
        mujoco.mj_kinematics(self._model, self._data)
        turn = self._data.xmat[self._hand].reshape(3, 3)
        position = self._data.xpos[self._hand] + self._tool_m * turn[:, 2]
        self.joints = self._data.qpos.copy()
        self.pose = np.concatenate([position, matrix_to_quat(turn)])

    def stands(self) -> bool:
        """Whether it has not moved for 0.5 s."""
        recent = [joints for told_s, joints in self.executed if told_s > self.now_s() - 0.5]
        return len(recent) > 2 and bool(np.ptp(recent, axis=0).max() < 2e-4)


class UrRig(Rig):
    """Cameras, and joint states as the drivers of arm and gripper publish them, each its own.

    While it runs may be changed: `names` of the joints (none: silence), `spoil`, what is done to
    their angles, `age_s` of their stamps, `hand_silent`.
    """

    def __init__(self, probe, contract: Contract, arm) -> None:
        self._arm, self.names = arm, list(contract.proprio.joint_names)
        self.spoil, self.hand_silent, self.age_s = (lambda joints: joints), False, 0.0
        super().__init__(probe, contract)

    def state(self, phase: float):
        """Of the arm; no topic tells the pose."""
        return np.array([0, 0, 0, 0, 0, 0, 1.0]), 0.04, self._arm.joints

    def publish_hand(self, width: float, stamp) -> None:
        """By its driver."""
        if not self.hand_silent:
            super().publish_hand(width, stamp)

    def publish_joints(self, joints, stamp) -> None:
        """By the arm's driver."""
        if self.names:
            said = self.spoil(np.array(joints))[: len(self.names)]
            late = to_stamp(seconds(stamp) - self.age_s)
            self._joints.publish(to_joint_state(self.names, said, late))
