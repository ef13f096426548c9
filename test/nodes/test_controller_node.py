"""The controller around a policy that the test controls."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from fault_log import EVERY
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from ros_rig import Probe
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from vilp_ros.data.observe import from_pose, seconds
from vilp_ros.data.robot_state import RobotState
from vilp_ros.nodes.controller import ControllerNode
from vilp_ros.ros import bundle, qos
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.images import to_message
from vilp_ros.ros.messages import pack_state, to_stamp

SHAPE = (9, 1, 36)
HOME = np.array([0.4, 0, 0.3, 1, 0, 0, 0])


class FakePolicy:
    """Actions that go straight to the x that the plan's first number says."""

    def __init__(self):
        views = {"agentview": (96, 160)}
        self.spec = SimpleNamespace(
            name="fake", views=views, plan_shape=SHAPE, n_action_steps=4, horizon=8
        )

    def noise(self, seed):
        return seed

    def act(self, plan, noise):
        goal = np.append(HOME, 0.04)
        goal[0] = plan[0, 0]
        return np.tile(goal, (8, 1))


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def words():
    """Further arguments of the node."""
    return []


@pytest.fixture
def controller(probe, monkeypatch, words):
    monkeypatch.setattr(bundle, "load", lambda *_: FakePolicy())
    node = ControllerNode(context=probe.context, cli_args=["--ros-args", *words])
    probe.add(node)
    yield node
    node.close()
    node.destroy_node()


class Feed:
    """Plans and states, now."""

    def __init__(self, probe, contract, controller):
        self.probe, self._joints = probe, contract.proprio.joint_names
        self.home = RobotState(HOME, 0.04, np.zeros(7))
        self._plan = probe.node.create_publisher(Image, "planner/plan", qos.LATEST)
        self._state = probe.node.create_publisher(JointState, "observation/state", qos.LATEST)
        self.targets = probe.listen(PoseStamped, "target_pose", profile=EVERY)
        self.widths = probe.listen(JointState, "gripper_target")
        self.sources = probe.listen(Header, "controller/command_source")
        probe.spin_until(lambda: controller._phase == "active", "autostart")
        ends = (self._plan, self._state, controller._commands.arm, controller._source)
        probe.spin_until(lambda: all(e.get_subscription_count() for e in ends), "discovery")

    def state(self):
        state = self.home
        stamp = self.probe.node.get_clock().now().to_msg()
        self._state.publish(pack_state(state, self._joints, stamp))

    def plan(self, x, age_s=0.0, channels=SHAPE[2], name="fake"):
        now_s = self.probe.node.get_clock().now().nanoseconds * 1e-9 - age_s
        grid = np.full((*SHAPE[:2], channels), x, np.float32)
        message = to_message(grid, f"32FC{channels}", to_stamp(now_s), name)
        self._plan.publish(message)
        return seconds(message.header.stamp)

    def until(self, condition, what, x=0.4, **kwargs):
        """Publish states and plans until the condition holds."""

        def fed():
            self.state()
            self.plan(x, **kwargs)
            return condition()

        self.probe.spin_until(fed, what)

    def xs(self):
        return np.array([from_pose(m.pose)[0] for m in self.targets])


@pytest.fixture
def feed(probe, contract, controller):
    return Feed(probe, contract, controller)


def test_it_executes_the_plan_within_the_limits(feed, contract):
    feed.until(lambda: len(feed.xs()) and feed.xs()[-1] > 0.499, "the goal", x=0.5)
    assert feed.xs()[0] < 0.45  # it began where the arm was
    steps = np.diff(feed.xs())
    assert steps.max() <= contract.limits.ee_speed * 0.1 + 1e-9
    assert feed.widths[-1].position[0] == pytest.approx(0.04, abs=1e-6)
    assert feed.targets[-1].header.frame_id == contract.base_frame


def test_the_workspace_is_never_left_and_the_limit_is_named(feed, contract, probe):
    feed.until(lambda: probe.says("controller", "limited by workspace.x"), "the limit", x=2.0)
    assert feed.xs().max() <= contract.limits.workspace["x"][1] + 1e-9
    assert "workspace.x" in probe.values("controller")["limits_acted"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"x": float("nan")}, "plan is not finite"),
        (
            {"channels": 12},
            "plan is 9x1 32FC12 of bundle 'fake', this controller loaded 9x1 32FC36",
        ),
        ({"name": "other"}, "of bundle 'other', this controller loaded 9x1 32FC36 of 'fake'"),
        ({"age_s": 0.3}, "plan is stale: 0.3"),
        ({"age_s": -5.0}, "s in the future: compare the clocks"),
    ],
)
def test_a_bad_plan_is_refused_by_name_and_the_arm_holds(feed, probe, plan, message):
    feed.until(lambda: len(feed.sources) > 3, "commands", x=0.45)
    feed.until(lambda: probe.says("controller", message), message, **{"x": 0.6, **plan})
    assert probe.says("controller", "holding: ")
    held = feed.xs()[-1]
    count = len(feed.targets)
    probe.spin_until(lambda: len(feed.targets) > count + 10, "commands while holding")
    assert set(feed.xs()[count:]) == {held}
    feed.until(lambda: feed.xs()[-1] != held, "it to go on", x=0.5)
    feed.until(lambda: not probe.says("controller", "holding"), "the news", x=0.5)


def test_without_a_plan_nothing_is_sent(feed, probe):
    def reported():
        feed.state()
        return probe.says("controller", "holding: no plan yet")

    probe.spin_until(reported, "the report")
    assert not feed.targets


def test_without_the_state_of_the_arm_nothing_is_sent(feed, probe):
    def reported():
        feed.plan(0.5)
        return probe.says("controller", "holding: no observation yet")

    probe.spin_until(reported, "the report")
    assert not feed.targets


def test_deactivated_it_is_silent_and_activated_it_starts_from_the_arm(feed, probe, controller):
    feed.until(lambda: len(feed.xs()) and feed.xs()[-1] > 0.55, "the goal", x=0.6)
    controller.trigger_deactivate()
    feed.until(lambda: probe.says("controller", "inactive"), "the report", x=0.6)
    since_s = time.time()  # one that was sent before may still be on its way
    controller.trigger_activate()

    def first():
        late = (m for m in feed.targets if seconds(m.header.stamp) >= since_s)
        return next(late, None)

    feed.until(first, "the first command", x=0.6)
    assert first().pose.position.x < 0.55


def test_leaving_shadow_mode_starts_from_the_arm(feed, controller):
    controller.set_parameters([Parameter("execute", value=False)])
    feed.until(lambda: controller._lead.command is not None, "the first imagined command", x=0.6)
    feed.until(lambda: controller._lead.command[0] > 0.55, "the imagined goal", x=0.6)
    assert not feed.targets
    controller.set_parameters([Parameter("execute", value=True)])
    feed.until(lambda: len(feed.targets), "the first command", x=0.6)
    assert feed.xs()[0] < 0.5


def test_a_time_limit_ends_in_holding_until_it_is_enabled_again(feed, probe, controller):
    feed.until(lambda: len(feed.sources) > 3, "commands", x=0.45)
    controller.set_parameters([Parameter("time_limit_s", value=0.5)])
    controller._on_enable(SetBool.Request(data=True), SetBool.Response())
    says = "disabled: time_limit_s is over; call ~/enable to go on"
    feed.until(lambda: probe.says("controller", says), says, x=0.6)
    count = len(feed.sources)
    controller.set_parameters([Parameter("time_limit_s", value=0.0)])
    controller._on_enable(SetBool.Request(data=True), SetBool.Response())
    feed.until(lambda: len(feed.sources) > count + 40, "commands of more than half a second", x=0.5)


class TestJointTargets:
    """The other action space: the first joint goes where the plan's first number says."""

    @pytest.fixture
    def words(self, tmp_path):
        path = tmp_path / "joints.yaml"
        text = find_contract("sim_panda").read_text()
        path.write_text(text.replace("kind: ee_pose", "kind: joint_position"))
        return ["-p", f"contract:={path}"]

    def test_they_are_sent_as_trajectories_within_the_limits(self, probe, contract, controller):
        trajectories = probe.listen(JointTrajectory, "joint_trajectory")
        home = np.array([0.0, 0.5, 0.0, -2.0, 0.0, 2.5, 0.8])
        goal = np.append(home, 0.04)
        feed = Feed(probe, contract, controller)
        controller._policy.act = lambda plan, noise: np.tile([plan[0, 0], *goal[1:]], (8, 1))
        feed.home = RobotState(HOME, 0.04, home)
        feed.until(lambda: trajectories and first(trajectories[-1]) > 0.39, "the goal", x=0.4)
        assert first(trajectories[0]) < 0.1
        assert not feed.targets
        assert list(trajectories[-1].joint_names) == list(contract.proprio.joint_names)
        steps = np.diff([first(t) for t in trajectories])
        assert steps.max() <= contract.limits.joint_velocity[0] * 0.1 + 1e-9
        np.testing.assert_allclose(trajectories[-1].points[0].positions[1:], home[1:], atol=1e-6)
        assert trajectories[-1].points[0].time_from_start.nanosec == 20_000_000


def first(trajectory):
    return trajectory.points[0].positions[0]
