"""The simulated arm under joint targets."""

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vilp_ros.ros import qos
from vilp_ros.ros.files import find_contract


def test_it_follows_joint_trajectories_and_refuses_unknown_joints(start, probe, tmp_path):
    contract = tmp_path / "joints.yaml"
    text = find_contract("sim_panda").read_text()
    contract.write_text(text.replace("kind: ee_pose", "kind: joint_position"))
    joints = probe.listen(JointState, "joint_states", profile=qos.STATE_IN)
    topic = probe.node.create_publisher(JointTrajectory, "joint_trajectory", qos.LATEST)
    supervisor, _ = start(f"contract:={contract}", only=("sim",))
    with supervisor:
        probe.spin_until(lambda: joints and topic.get_subscription_count(), "the simulator")
        goal = np.array(joints[-1].position)
        goal[0] += 0.3
        message = JointTrajectory(joint_names=joints[-1].name)
        message.points = [JointTrajectoryPoint(positions=goal.tolist())]
        message.header.stamp = Time()  # now
        topic.publish(message)

        def arrived():
            return np.abs(np.array(joints[-1].position) - goal).max() < 0.02

        probe.spin_until(arrived, "the joints to arrive")

        message.joint_names = ["elbow", *joints[-1].name[1:]]
        topic.publish(message)
        text = "target refused: joint 'panda_joint1' is missing"
        probe.spin_until(lambda: probe.says("sim", text), text)
        assert arrived()
