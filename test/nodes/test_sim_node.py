"""The simulated arm over its topics, in a namespace."""

import subprocess
import sys
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_rig import Probe
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import Trigger

from vilp_ros.data.observe import from_pose, seconds
from vilp_ros.ros import qos
from vilp_ros.ros.images import to_array
from vilp_ros.ros.messages import to_pose

NAMESPACE = "left"


@pytest.fixture(scope="module")
def probe(domain):
    probe = Probe(domain, NAMESPACE)
    yield probe
    probe.close()


class Arm:
    def __init__(self, probe):
        self.probe = probe
        listen = probe.listen
        self.status = listen(DiagnosticStatus, "sim/status", profile=qos.STATE_OUT)
        self.poses = listen(PoseStamped, "ee_pose", profile=qos.STATE_IN)
        self.joints = listen(JointState, "joint_states", profile=qos.STATE_IN)
        self.widths = listen(JointState, "gripper_state", profile=qos.STATE_IN)
        self.images = listen(Image, "eye_in_hand/image_raw", profile=qos.SENSOR)
        self.infos = listen(CameraInfo, "eye_in_hand/camera_info", profile=qos.SENSOR)
        self.pose_topic = probe.node.create_publisher(PoseStamped, "target_pose", qos.LATEST)
        self.width_topic = probe.node.create_publisher(JointState, "gripper_target", qos.LATEST)

    def wait(self, condition, what):
        return self.probe.spin_until(condition, what)

    def figures(self):
        return {pair.key: pair.value for pair in self.status[-1].values}

    def xyz(self):
        return from_pose(self.poses[-1].pose)[:3]

    def command(self, pose, frame="panda_link0", stamp=None):
        message = PoseStamped(pose=to_pose(pose))
        message.header.stamp = stamp or self.probe.node.get_clock().now().to_msg()
        message.header.frame_id = frame
        self.pose_topic.publish(message)

    def reset(self, seed):
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=seed)
        parameters = [Parameter(name="seed", value=value)]
        assert self.probe.call(SetParameters, "sim/set_parameters", parameters=parameters)
        answer = self.probe.call(Trigger, "sim/reset")
        assert answer.success
        return answer.message


@pytest.fixture(scope="module")
def arm(probe, start):
    supervisor, _ = start(f"namespace:={NAMESPACE}", "seed:=700003", only=("sim",))
    arm = Arm(probe)
    with supervisor:
        arm.wait(lambda: arm.status and arm.poses and arm.images, "the simulator")
        arm.wait(lambda: arm.pose_topic.get_subscription_count(), "the command topic")
        yield arm


def test_it_runs_by_itself_and_stamps_the_parts_of_an_instant_alike(arm):
    begin = len(arm.status)
    arm.wait(lambda: len(arm.status) > begin + 20, "steps without any command")
    now = time.time()
    stamps = {seconds(m.header.stamp) for m in arm.poses[-20:]}
    for messages in (arm.joints, arm.widths, arm.images, arm.infos):
        assert len({seconds(m.header.stamp) for m in messages[-20:]} & stamps) >= 15
    assert max(stamps) == pytest.approx(now, abs=1.0)
    assert np.median(np.diff(sorted(stamps))) >= 0.049
    assert list(arm.joints[-1].name) == [f"panda_joint{i}" for i in range(1, 8)]
    assert len(arm.joints[-1].velocity) == 7
    pixels = to_array(arm.images[-1])
    assert pixels.shape == (96, 160, 3)
    assert pixels.std() > 10
    info = arm.infos[-1]
    assert (info.height, info.width) == (96, 160)
    assert info.k[0] == info.k[4] > 0
    named = {"task", "seed", "episode", "step", "success", "real_time_factor", "expert"}
    assert named == set(arm.figures())


def test_nobody_demonstrates_who_was_not_asked_to_at_the_start(arm):
    answer = arm.probe.call(Trigger, "sim/demonstrate")
    assert (answer.success, arm.figures()["expert"]) == (False, "none")
    assert "start the simulator with expert:=expert" in answer.message


def test_every_name_is_in_the_namespace(arm):
    topics = {name for name, _ in arm.probe.node.get_topic_names_and_types()}
    assert topics - {"/clock", "/rosout", "/parameter_events"} == {
        name for name in topics if name.startswith(f"/{NAMESPACE}/")
    } - {"/parameter_events"}
    assert f"/{NAMESPACE}/target_pose" in topics


def test_it_goes_to_the_last_target_and_stays(arm):
    goal = np.add(from_pose(arm.poses[-1].pose), [0.0, 0.05, 0.05, 0, 0, 0, 0])
    arm.command(goal)
    arm.width_topic.publish(JointState(name=["gripper_width"], position=[0.02]))
    arm.wait(lambda: np.linalg.norm(arm.xyz() - goal[:3]) < 0.01, "the arm to arrive")
    arm.wait(lambda: abs(arm.widths[-1].position[0] - 0.02) < 0.005, "the gripper")
    begin = len(arm.poses)
    arm.wait(lambda: len(arm.poses) > begin + 10, "ten more steps")
    assert np.linalg.norm(arm.xyz() - goal[:3]) < 0.01


def test_a_target_in_another_frame_is_refused_by_name(arm):
    before = arm.xyz()
    arm.command([0.6, 0.2, 0.3, 1, 0, 0, 0], frame="world")
    text = "target refused: frame 'world', not 'panda_link0'"
    arm.wait(lambda: arm.probe.says("sim", text), text)
    assert np.linalg.norm(arm.xyz() - before) < 0.01


def test_a_reset_begins_an_episode_and_forgets_commands_of_the_old_one(arm):
    old_stamp = arm.probe.node.get_clock().now().to_msg()
    episode = int(arm.figures()["episode"])
    assert arm.reset(700_011) == f"episode {episode + 1}, seed 700011"
    arm.wait(lambda: arm.figures()["seed"] == "700011", "the new episode")
    begin = len(arm.poses)
    arm.wait(lambda: len(arm.poses) > begin + 3, "its first steps")
    home = arm.xyz()
    arm.command(np.add(from_pose(arm.poses[-1].pose), [0.1, 0, 0, 0, 0, 0, 0]), stamp=old_stamp)
    arm.wait(lambda: arm.probe.says("sim", "older than the reset"), "the refusal")
    assert np.linalg.norm(arm.xyz() - home) < 0.01
    stamps = [seconds(m.header.stamp) for m in arm.poses]
    assert stamps == sorted(stamps)  # time goes on across the reset


def test_the_same_seed_gives_the_same_scene(arm):
    def first_picture(seed):
        arm.reset(seed)
        arm.wait(lambda: arm.figures()["seed"] == str(seed), "the episode")
        step = int(arm.figures()["step"])
        arm.wait(lambda: int(arm.figures()["step"]) > step + 3, "a picture of it")
        return to_array(arm.images[-1]).astype(int)

    a, b, c = first_picture(700_020), first_picture(700_021), first_picture(700_020)
    assert np.abs(a - c).mean() < 0.5
    assert np.abs(a - b).mean() > 0.5


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("sim", "ur5e_ros2_control has 6 joints; the simulated Panda has 7: sim:=false"),
        ("franka_driver", "contract ur5e_ros2_control needs arm: fr3"),
    ],
)
def test_an_arm_of_six_joints_is_no_panda(domain, node, says):
    words = ["--ros-args", "-p", "contract:=ur5e_ros2_control"]
    command = [sys.executable, "-m", f"vilp_ros.nodes.{node}", *words]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 2
    assert says in told.stderr
