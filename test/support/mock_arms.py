"""Arms that speak exactly the topics of ros2_control and crisp_controllers, and refuse what those
would refuse: another publisher, wrong joints, limits broken, a leap."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from robots import home_joints
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.control.horizon import PERIOD_S
from vilp_ros.control.trajectory import JointPath
from vilp_ros.data.observe import from_pose, joints_by_name, seconds
from vilp_ros.geometry import quat_angle
from vilp_ros.kinematics import kinematics_of
from vilp_ros.ros import qos
from vilp_ros.ros.commands import LEAD_S

SAME_S = LEAD_S + PERIOD_S


class MockArm:
    """Common to both: where the arm is, and what was refused."""

    def __init__(self, node: Node, contract, kind, topic: str, profile) -> None:
        self.node, self.topic, self.contract = node, topic, contract
        self.names = list(contract.proprio.joint_names)
        self.joints = home_joints(contract).copy()
        self.kinematics = kinematics_of(contract)
        self.pose = self.kinematics.forward(self.joints)
        self.taken, self.refused = 0, []
        self.alone = (
            True  # ros2_control minds no second publisher, as long as one of them is silent
        )
        node.create_subscription(kind, topic, self._on_command, profile)

    def now_s(self) -> float:
        return self.node.get_clock().now().nanoseconds * 1e-9

    def _on_command(self, message) -> None:
        publishers = self.node.count_publishers(self.topic)
        crowded = self.alone and publishers > 1  # 0: it left after its last word
        refusal = f"{publishers} publishers" if crowded else self.take(message)
        if refusal:
            self.refused.append(refusal)
        else:
            self.taken += 1


class MockTrajectoryController(MockArm):
    """A joint_trajectory_controller, scaled or not, with the checks that it makes, and twice the
    contract's limits, which are half of the maker's, on what would be executed."""

    def __init__(self, node: Node, contract) -> None:
        limits = contract.limits
        self._velocity = 2 * np.array(limits.joint_velocity)
        self.acceleration = 2 * np.array(limits.joint_acceleration)
        self._path = JointPath(self._velocity, 0.05)
        self.executed: list = []
        topic = contract.action.joint_topic
        super().__init__(node, contract, JointTrajectory, topic, qos.COMMANDS)

    def take(self, message: JointTrajectory) -> str:
        if list(message.joint_names) != self.names:
            return f"joints {list(message.joint_names)}"
        points = message.points
        times = np.array([p.time_from_start.sec + 1e-9 * p.time_from_start.nanosec for p in points])
        if not len(times) or (np.diff(times) <= 0).any():
            return "times do not rise"
        if abs(np.array(points[-1].velocities)).max() > 1e-9:
            return "velocity at the end of the trajectory is not zero"
        positions = np.array([joints_by_name(message, p.positions, self.names) for p in points])
        velocities = np.array([p.velocities for p in points])
        accelerations = np.array([p.accelerations for p in points])
        low, high = np.array(self.contract.limits.joint_position).T
        if (positions < low).any() or (positions > high).any():
            return "position limits"
        if (abs(velocities) > self._velocity).any():
            return "velocity limits"
        if (abs(accelerations) > self.acceleration).any():
            return "acceleration limits"
        now_s, stamp_s = self.now_s(), seconds(message.header.stamp)
        if stamp_s + times[-1] < now_s:
            return "ended in the past"
        # What a trajectory promises is to go on with the one before for `SAME_S`: one that comes
        # later than that came over a machine that was too busy, and is judged by its promise.
        at_s = max(stamp_s + times[0], min(now_s, stamp_s + SAME_S))
        here = self._path.at(at_s)
        if here is not None:
            new = JointPath(self._velocity, 0.05)
            new.submit(stamp_s, times, positions, velocities, now_s)
            there = new.at(at_s)
            if abs(there.position - here.position).max() > 0.01:
                return f"leap of {abs(there.position - here.position).max():.3f} rad"
        return self._path.submit(stamp_s, times, positions, velocities, now_s) or ""

    def work(self) -> None:
        reference = self._path.at(self.now_s())
        if reference is not None:
            self.joints = reference.position
            self.pose = self.kinematics.forward(self.joints)
            self.executed.append((self.now_s(), self.joints))


class MockCrisp(MockArm):
    """cartesian_controller with target_pose or target_joint; no target further from the one before
    than the limits allow in the time between them."""

    def __init__(self, node: Node, contract) -> None:
        self.executed: list = []
        self._stamp_s = 0.0
        joints = contract.action.transport == "crisp_joint"
        self._take = self._joints if joints else self._pose
        kind, topic = (JointState, "target_joint") if joints else (PoseStamped, "target_pose")
        super().__init__(node, contract, kind, topic, qos.LATEST)

    def take(self, message) -> str:
        return self._take(message)

    def _pose(self, message: PoseStamped) -> str:
        pose = from_pose(message.pose)
        if message.header.frame_id != "base":
            return f"frame {message.header.frame_id}"
        leap, turn = np.linalg.norm(pose[:3] - self.pose[:3]), quat_angle(pose[3:], self.pose[3:])
        between_s, limits = self._between_s(message), self.contract.limits
        fast = leap > limits.ee_speed * between_s or turn > limits.ee_angular_speed * between_s
        if fast or not np.isfinite(pose).all():
            return f"leap of {leap:.3f} m, {turn:.3f} rad in {between_s:.3f} s"
        self.pose = pose
        self.executed.append((self.now_s(), pose))
        return ""

    def _joints(self, message: JointState) -> str:
        if list(message.name) != self.names:
            return f"joints {list(message.name)}"
        joints = np.array(message.position)
        between_s = self._between_s(message)
        leap = abs(joints - self.joints)
        if not (leap <= np.array(self.contract.limits.joint_velocity) * between_s).all():
            return f"leap of {leap.max():.3f} rad in {between_s:.3f} s"
        self.joints, self.pose = joints, self.kinematics.forward(joints)
        self.executed.append((self.now_s(), joints))
        return ""

    def _between_s(self, message) -> float:
        """From the target before, and what two clocks in one process may differ by."""
        stamp_s, before_s = seconds(message.header.stamp), self._stamp_s
        self._stamp_s = stamp_s
        return stamp_s - before_s + 0.02

    def work(self) -> None:
        pass
