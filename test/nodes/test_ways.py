"""The controller over each way to an FR3: the same stream of plans, late, lost and with steps."""

from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from mock_arms import MockCrisp, MockTrajectoryController
from robots import HOME_POSE
from ros_rig import Probe
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.contract import Contract
from vilp_ros.data.robot_state import RobotState
from vilp_ros.nodes import bundle, qos
from vilp_ros.nodes.controller import ControllerNode
from vilp_ros.nodes.files import find_contract
from vilp_ros.nodes.images import to_message
from vilp_ros.nodes.messages import pack_state, to_stamp

SHAPE = (9, 1, 36)
PERIOD_S = 0.05


class WavePolicy:
    """The hand circles; a plan's numbers are its time and a step to one side."""

    def __init__(self):
        self.spec = SimpleNamespace(
            name="fake",
            views={},
            plan_shape=SHAPE,
            n_action_steps=4,
            horizon=8,
            row_period_s=PERIOD_S,
        )

    def noise(self, seed):
        return seed

    def act(self, plan, noise):
        time_s, step = float(plan[0, 0]), plan[0, 1:4].astype(float)
        actions = np.tile(np.append(HOME_POSE, 0.04), (8, 1))
        phases = (time_s + PERIOD_S * np.arange(8)) * 1.5
        reach = np.clip(time_s / 2, 0, 1)
        actions[:, 0] += reach * (0.1 + 0.06 * np.cos(phases)) + step[0]
        actions[:, 1] += reach * 0.06 * np.sin(phases) + step[1]
        actions[:, 2] -= reach * 0.1 - step[2]
        return actions


WAYS = {
    "ros2_control": ("fr3_ros2_control", {"gripper: franka_actions": "gripper: topic"}),
    "crisp_pose": ("fr3_crisp", {}),
    "crisp_joint": (
        "fr3_crisp",
        {"transport: crisp_pose": "transport: crisp_joint\n  joint_topic: target_joint"},
    ),
}


@pytest.fixture(params=sorted(WAYS))
def way(request):
    return request.param


@pytest.fixture
def contract_file(way, tmp_path):
    name, edits = WAYS[way]
    text = find_contract(name).read_text()
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def arm(way, probe):
    if way == "ros2_control":
        return MockTrajectoryController(probe.node)
    return MockCrisp(probe.node, joints=way == "crisp_joint")


@pytest.fixture
def controller(probe, monkeypatch, contract_file):
    monkeypatch.setattr(bundle, "load", lambda *_: WavePolicy())
    words = ["--ros-args", "-p", f"contract:={contract_file}", "-p", "fade_in_s:=0.5"]
    node = ControllerNode(context=probe.context, cli_args=words)
    probe.add(node)
    yield node
    node.close()
    node.destroy_node()


class Planner:
    """Observations of the arm at 20 Hz, and a plan for each: some late, some lost."""

    def __init__(self, probe, arm, contract_file, seed=0, *, loss=0.1, delay_s=0.15):
        self._probe, self._arm, self._rng = probe, arm, np.random.default_rng(seed)
        self._names = Contract.load(contract_file).proprio.joint_names
        self._plan = probe.node.create_publisher(Image, "planner/plan", qos.COMMANDS)
        self._state = probe.node.create_publisher(JointState, "observation/state", qos.LATEST)
        self._loss, self._delay_s = loss, delay_s
        self._start_s = self._next_s = arm.now_s()
        self._flying = []
        self.step = np.zeros(3)

    def connect(self, controller):
        self._probe.spin_until(lambda: controller._phase == "active", "autostart")
        ends = (self._plan, self._state, controller._arm)
        self._probe.spin_until(lambda: all(e.get_subscription_count() for e in ends), "discovery")
        self._start_s = self._next_s = self._arm.now_s()

    @property
    def time_s(self):
        return self._arm.now_s() - self._start_s

    def work(self):
        now_s = self._arm.now_s()
        self._arm.work()
        if now_s >= self._next_s:
            self._next_s += PERIOD_S
            state = RobotState(self._arm.pose, 0.04, self._arm.joints)
            self._state.publish(pack_state(state, self._names, to_stamp(now_s)))
            if self._rng.uniform() < 0.1:
                self.step = self._rng.uniform(-1, 1, 3) * 0.03 / np.sqrt(3)
            if self._rng.uniform() >= self._loss:
                grid = np.zeros(SHAPE, np.float32)
                grid[0, 0, :4] = [now_s - self._start_s, *self.step]
                message = to_message(grid, "32FC36", to_stamp(now_s), "fake")
                self._flying.append((now_s + self._rng.uniform(0, self._delay_s), message))
        for due_s, message in [f for f in self._flying if f[0] <= now_s]:
            self._plan.publish(message)
            self._flying.remove((due_s, message))

    def until(self, condition, what, timeout_s=60.0):
        self._probe.spin_until(lambda: self.work() or condition(), what, timeout_s)


@pytest.fixture
def planner(probe, arm, contract_file, controller):
    planner = Planner(probe, arm, contract_file)
    planner.connect(controller)
    return planner


def test_no_command_is_refused_and_the_arm_moves(planner, arm):
    start = arm.pose.copy()
    planner.until(lambda: planner.time_s > 8, "eight seconds")
    assert arm.refused == []
    assert arm.taken > 40
    assert np.linalg.norm(arm.pose[:3] - start[:3]) > 0.05


def test_plans_that_stop_bring_it_to_rest_and_it_goes_on(planner, arm, probe):
    planner.until(lambda: planner.time_s > 3 and arm.taken > 5, "motion")
    planner._loss = 1.0
    planner.until(lambda: probe.says("controller", "holding"), "the hold")

    def rests():
        poses = np.array([p for _, p in arm.executed[-20:]])
        return len(poses) == 20 and np.ptp(poses, axis=0).max() < 1e-6

    def idle():
        if not arm.executed or arm.now_s() - arm.executed[-1][0] > 1:
            return True
        return rests()

    planner.until(idle, "rest")
    planner._loss = 0.0
    planner.until(lambda: not probe.says("controller", "holding"), "the news")
    taken = arm.taken
    planner.until(lambda: arm.taken > taken + 10, "commands")
    assert arm.refused == []


def test_a_plan_far_from_the_arm_is_refused_by_name(planner, arm, probe):
    planner.until(lambda: planner.time_s > 1 and arm.taken, "commands")
    planner._start_s -= 100.0  # another phase, and a step of half a metre
    planner.step, planner._rng = np.array([0, 0.5, 0]), np.random.default_rng(10)
    says = "starts too far from the arm: hand by"
    planner.until(lambda: probe.says("controller", says), says)
    assert arm.refused == []


def test_a_second_publisher_is_reported(planner, arm, probe):
    planner.until(lambda: arm.taken > 3, "commands")
    kinds = {"target_pose": PoseStamped, "target_joint": JointState}
    rival = probe.node.create_publisher(
        kinds.get(arm.topic, JointTrajectory), arm.topic, qos.COMMANDS
    )
    says = f"1 other publishers on /{arm.topic}"
    planner.until(lambda: probe.says("controller", says), says)
    planner.until(lambda: "2 publishers" in arm.refused, "the refusal")
    probe.node.destroy_publisher(rival)
    planner.until(lambda: not probe.says("controller", "other publishers"), "the news")


def test_disabled_it_comes_to_rest(planner, arm, probe):
    planner.until(lambda: planner.time_s > 3 and arm.taken > 5, "motion")
    client = probe.node.create_client(SetBool, "controller/enable")
    planner.until(client.service_is_ready, "the service")
    future = client.call_async(SetBool.Request(data=False))
    planner.until(future.done, "the answer")
    planner.until(lambda: probe.says("controller", "disabled"), "the report")
    taken = arm.taken
    report = probe.reports["controller"]
    planner.until(lambda: probe.reports["controller"] is not report, "one more report")
    planner.until(lambda: arm.taken <= taken + 100, "silence")
    assert arm.refused == []
