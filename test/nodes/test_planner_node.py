"""The planner around a policy that the test controls."""

import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from bags import START_S, traffic, write_bag
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from nav_msgs.msg import Path
from ros_rig import Probe
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from vilp_ros.data.bag import Bag
from vilp_ros.data.bag_reader import BagReader, Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.observe import seconds
from vilp_ros.data.robot_state import RobotState
from vilp_ros.data.table import Source, load_table
from vilp_ros.nodes.planner import PlannerNode
from vilp_ros.ros import bundle, qos
from vilp_ros.ros.diagnostics import WARN
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.images import to_array, to_jpeg, to_message
from vilp_ros.ros.messages import pack_state, to_stamp

VIEWS = {"eye_in_hand": (96, 160), "agentview": (96, 160)}  # not in the contract's order
SHAPE = (9, 1, 36)


class FakePolicy:
    """Its plan tells what it was made from; `decode` waits until it is let go."""

    plans_states = True

    def __init__(self):
        self.spec = SimpleNamespace(
            name="fake",
            views=VIEWS,
            plan_shape=SHAPE,
            row_period_s=0.1,
            control_period_s=0.05,
            unlike_above={"agentview": 20.0},
        )
        self.moves = 0.0
        self.calls = []
        self.may_plan, self.may_decode = threading.Event(), threading.Event()
        self.may_plan.set()
        self.may_decode.set()
        self.decoding = threading.Event()

    def noise(self, seed):
        return seed

    def encode(self, images, proprio, previous=None):
        self.calls.append((images.mean((1, 2, 3)), proprio, previous))
        return np.zeros(SHAPE[2], np.float32)

    def imagine(self, state, noise, previous=None):
        self.previous = previous
        assert self.may_plan.wait(60)
        return np.stack([np.full((SHAPE[0], SHAPE[2]), noise + 7 * i, np.float32) for i in (0, 1)])

    def latents(self, plan):
        """The number of the present frame, and the same plus `moves` in every future row."""
        present = self.calls[-1][0][:, None] / 10
        return np.stack([present + self.moves * (k > 0) for k in range(SHAPE[0])])

    def decode(self, plan):
        self.decoding.set()
        assert self.may_decode.wait(60)
        height, width = VIEWS["agentview"]
        frames = np.zeros((SHAPE[0], 2, height, width, 3), np.uint8)
        frames[:, 1] = np.arange(SHAPE[0], dtype=np.uint8)[:, None, None, None]
        return frames

    def ee_path(self, plan):
        x = 0.4 + plan[0, 0] / 100
        return np.tile([x, 0, 0.3, 1, 0, 0, 0], (SHAPE[0], 1)), np.full(SHAPE[0], 0.08)


@pytest.fixture
def policy(monkeypatch):
    policy = FakePolicy()
    monkeypatch.setattr(bundle, "load", lambda *_, **__: policy)
    return policy


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


class Feed:
    """Observations as the observation node publishes them."""

    def __init__(self, probe, contract, jpeg=False):
        self._joints = contract.proprio.joint_names
        kind, topic = Image, "observation/views"
        if jpeg:
            kind, topic = CompressedImage, f"{topic}/compressed"
        self._pack = to_jpeg if jpeg else partial(to_message, encoding="rgb8")
        self._views = probe.node.create_publisher(kind, topic, qos.LATEST)
        self._state = probe.node.create_publisher(JointState, "observation/state", qos.LATEST)
        self.probe = probe

    def wait_until_matched(self):
        self.probe.spin_until(
            lambda: self._views.get_subscription_count() and self._state.get_subscription_count(),
            "the planner's subscriptions",
        )

    def publish(self, stamp_s, x=0.4, grey=(10, 20), state=None):
        stamp = to_stamp(stamp_s)
        state = state or RobotState(np.array([x, 0, 0.3, 1, 0, 0, 0]), 0.08, np.zeros(7))
        self._state.publish(pack_state(state, self._joints, stamp))
        pixels = np.repeat(np.uint8(grey), 96)[:, None, None] * np.ones((1, 160, 3), np.uint8)
        self._views.publish(self._pack(pixels, stamp=stamp))


@pytest.fixture
def planner(policy, probe, request):
    options = ["--ros-args", "-p", "autostart:=false", *getattr(request, "param", ())]
    node = PlannerNode(context=probe.context, cli_args=options)
    probe.add(node)
    yield node
    policy.may_plan.set()
    policy.may_decode.set()
    node.close()
    node.destroy_node()


@pytest.fixture
def feed(planner, probe, policy, contract):
    planner.trigger_configure()
    planner.trigger_activate()
    policy.decoding.clear()
    feed = Feed(probe, contract, planner._settings.jpeg)
    feed.wait_until_matched()
    return feed


@pytest.fixture
def plans(probe, planner, feed):
    plans = probe.listen(Image, "planner/plan", profile=qos.NEWEST)
    probe.spin_until(planner._plan_topic.get_subscription_count, "the subscription to plans")
    return plans


def plan_for(probe, feed, plans, stamp_s, **kwargs):
    """The plan made from an observation that is published now."""
    feed.publish(stamp_s, **kwargs)
    probe.spin_until(
        lambda: plans and seconds(plans[-1].header.stamp) == stamp_s, f"a plan for {stamp_s}"
    )
    return plans[-1]


def test_a_plan_carries_stamp_bundle_and_shape(probe, feed, plans):
    plan = plan_for(probe, feed, plans, 100.0)
    assert (plan.height, plan.width, plan.encoding) == (9, 1, "32FC36")
    assert plan.header.frame_id == "fake"
    assert to_array(plan).shape == SHAPE


def test_views_reach_the_policy_in_its_own_order(probe, feed, plans, policy, contract):
    assert list(contract.views) != list(VIEWS)
    plan_for(probe, feed, plans, 100.0, grey=(10, 20))
    np.testing.assert_array_equal(policy.calls[-1][0], [20, 10])


@pytest.mark.parametrize("planner", [("-p", "jpeg:=true")], indirect=True)
def test_views_may_come_as_jpeg(probe, planner, feed, plans, policy):
    plan_for(probe, feed, plans, 100.0, grey=(10, 20))
    np.testing.assert_allclose(policy.calls[-1][0], [20, 10], atol=0.5)
    small = to_jpeg(np.zeros((96, 160, 3), np.uint8), to_stamp(101.0))

    def refused():
        feed.publish(101.0)
        feed._views.publish(small)
        return probe.says("planner", "observation/views is 96x160 rgb8")

    probe.spin_until(refused, "the refusal of another size")


def test_a_controller_on_a_host_whose_clock_is_behind(probe, feed, plans):
    """It hears the planner 60 ms before it spoke, by a way of 10 ms."""
    tell = probe.node.create_publisher(DiagnosticArray, "diagnostics", 10)
    behind_s = 0.07

    def tell_it():
        now_s = probe.node.get_clock().now().nanoseconds * 1e-9
        feed.publish(now_s)
        late = KeyValue(key="peer_late_ms", value=f"{1e3 * (0.01 - behind_s)}")
        message = DiagnosticArray(status=[DiagnosticStatus(name="controller", values=[late])])
        message.header.stamp = to_stamp(now_s - behind_s)
        tell.publish(message)

    probe.node.create_timer(0.2, tell_it)
    named = "ms ahead of that of the controller's host, give or take"
    probe.spin_until(lambda: probe.says("planner", named), "the clocks to be named")


def test_the_state_of_one_period_before_is_handed_over(probe, feed, plans, policy):
    plan_for(probe, feed, plans, 100.0, x=0.40)
    plan_for(probe, feed, plans, 100.05, x=0.42)
    _, proprio, previous = policy.calls[-1]
    assert proprio[0] == pytest.approx(0.42)
    assert previous[0] == pytest.approx(0.40)
    # One observation was lost: the state in the middle is interpolated.
    plan_for(probe, feed, plans, 100.15, x=0.46)
    assert policy.calls[-1][2][0] == pytest.approx(0.44)


def test_the_change_that_is_trained_on_is_the_one_that_is_seen(
    probe, feed, plans, policy, contract, tmp_path
):
    """A bag with lost frames and a camera that is never on time: converted, and planned from."""
    lost, names = {5, 9, 10, 14, 15, 16}, {view.topic for view in contract.views.values()}
    late_us = np.random.default_rng(0).integers(0, 4000, 25)
    late_us[-1] = 0  # after it no state is recorded

    def recorded():
        for name, body in traffic(contract, 24, commands=False):
            stamp = body.header.stamp
            period = round((seconds(stamp) - START_S) / 0.05)
            if name in names:
                stamp.nanosec += int(late_us[period]) * 1000
            if not (name in names and period in lost):
                yield name, body

    path = write_bag(tmp_path / "bag", recorded(), text=find_contract("sim_panda").read_text())
    assert not convert_bag(path, tmp_path / "d.hdf5", Choice(broken=True)).error
    trained = load_table([Source(str(tmp_path / "d.hdf5"), "action_free")], ()).change
    with Bag(path) as bag:
        observations = list(BagReader(bag).observations())
    kept = [period for period in range(25) if period not in lost]
    assert len(kept) == len(observations) == len(trained) - len(lost)
    for period, seen in zip(kept, observations):
        plan_for(probe, feed, plans, seen.stamp_s, state=seen.state)
        _, proprio, previous = policy.calls[-1]
        live = 0 * proprio if previous is None else proprio - previous
        np.testing.assert_array_equal(trained[period], live)
        known = period not in (0, 17)  # the first, and the one after too long a gap
        assert live[0] == pytest.approx(0.005 * known, abs=5e-4)


def test_a_new_episode_changes_the_noise_and_forgets_the_past(probe, feed, plans, policy):
    assert to_array(plan_for(probe, feed, plans, 100.0)).max() == 0
    assert probe.call(Trigger, "planner/new_episode").message == "sampling noise 1"
    assert to_array(plan_for(probe, feed, plans, 100.05, x=0.6)).max() == 1
    _, proprio, previous = policy.calls[-1]
    assert previous is None or previous[0] == pytest.approx(proprio[0])


def test_a_plan_may_start_from_the_one_before_in_the_same_episode(probe, feed, plans, policy):
    plan_for(probe, feed, plans, 100.0)
    assert policy.previous is None
    plan_for(probe, feed, plans, 100.15)
    assert policy.previous.elapsed_s == pytest.approx(0.15)
    assert policy.previous.plan.shape == (SHAPE[0], SHAPE[2])
    probe.call(Trigger, "planner/new_episode")
    plan_for(probe, feed, plans, 100.20)
    assert policy.previous is None


def test_while_it_plans_only_the_newest_observation_waits(probe, feed, plans, policy, planner):
    plan_for(probe, feed, plans, 100.0)
    policy.may_plan.clear()
    calls = len(policy.calls)
    feed.publish(101.0)
    probe.spin_until(lambda: len(policy.calls) > calls, "the planner to be busy")
    for stamp in range(102, 122):
        feed.publish(stamp)
        probe.spin_until(lambda s=stamp: planner._past.at(s, 0.0), "its delivery")
    probe.spin_until(lambda: planner._views is None, "the views that belong to it")
    policy.may_plan.set()
    probe.spin_until(lambda: seconds(plans[-1].header.stamp) == 121, "the newest plan")
    assert len(policy.calls) == calls + 2  # 101 and 121
    assert planner._planner.replaced == 19


def test_decoding_never_delays_a_plan(probe, feed, plans, policy, planner):
    strips = probe.listen(Image, "planner/predicted_frames")
    plan_for(probe, feed, plans, 100.0)
    policy.may_decode.clear()
    policy.decoding.clear()
    strip = planner._preview._strip
    probe.spin_until(strip.get_subscription_count, "the subscription to strips")
    stamp = 101.0

    def stuck():
        nonlocal stamp
        stamp += 1
        plan_for(probe, feed, plans, stamp)
        return policy.decoding.is_set()

    probe.spin_until(stuck, "a decode that does not return")
    for k in range(10):
        plan_for(probe, feed, plans, 1000.0 + k)
    # That of the first plan, decoded before, may come late.
    assert not [strip for strip in strips if seconds(strip.header.stamp) > 100.0]
    policy.may_decode.set()
    probe.spin_until(lambda: strips and seconds(strips[-1].header.stamp) == 1009.0, "the newest")
    assert len([strip for strip in strips if seconds(strip.header.stamp) > 100.0]) <= 2
    assert (strips[-1].height, strips[-1].width) == (2 * 96, 9 * 160)
    pixels = to_array(strips[-1])
    assert pixels[96:, 8 * 160 :].min() == pixels[96:, 8 * 160 :].max() == 8


def test_nothing_is_decoded_while_nobody_looks(probe, feed, plans, policy):
    for k in range(5):
        plan_for(probe, feed, plans, 100.0 + k)
    assert not policy.decoding.is_set()


def watch(probe, planner, kind, topic, publisher):
    """Messages of one of the preview's topics."""
    found = probe.listen(kind, f"planner/{topic}")
    probe.spin_until(publisher.get_subscription_count, f"the subscription to {topic}")
    return found


def test_every_plan_has_a_strip_of_its_own_stamp(probe, feed, plans, planner):
    strips = watch(probe, planner, Image, "predicted_frames", planner._preview._strip)
    stamps = [100.0 + 0.05 * k for k in range(20)]
    for stamp in stamps:
        feed.publish(stamp)
        probe.spin_until(
            lambda s=stamp: strips and seconds(strips[-1].header.stamp) == pytest.approx(s),
            "its strip",
        )
    assert len(strips) == len(stamps)
    probe.spin_until(
        lambda: "planner" in probe.reports and float(probe.values("planner")["strip_rate_hz"]) > 0,
        "their rate on /diagnostics",
    )


def test_rows_of_the_path_are_as_far_apart_as_those_of_the_plan(probe, feed, plans, planner):
    paths = watch(probe, planner, Path, "plan_path", planner._preview._path)
    plan_for(probe, feed, plans, 100.0)
    probe.spin_until(lambda: paths, "a path")
    stamps = [seconds(pose.header.stamp) for pose in paths[-1].poses]
    assert stamps == pytest.approx([100.0 + 0.1 * k for k in range(SHAPE[0])])


def test_all_imaginations_are_drawn_and_the_first_is_planned(probe, feed, plans, planner):
    stacks = watch(probe, planner, Image, "imaginations", planner._preview._imaginations)
    drawn = watch(probe, planner, MarkerArray, "plan_markers", planner._preview._markers)
    assert to_array(plan_for(probe, feed, plans, 100.0)).max() == 0  # the first
    probe.spin_until(lambda: stacks and drawn, "imaginations")
    assert (stacks[-1].height, stacks[-1].width) == (2 * 2 * 96, 9 * 160)
    lines = {(m.ns, m.id): m for m in drawn[-1].markers if m.type == Marker.LINE_STRIP}
    assert set(lines) == {("path", 0), ("imagination", 1)}
    assert lines["path", 0].points[0].x == pytest.approx(0.4)
    assert lines["imagination", 1].points[0].x == pytest.approx(0.47)


def remembered(probe, planner, stamp_s):
    """Waits until the preview has taken the plan of a stamp; a newer one would replace it."""
    kept = planner._preview._tracker._kept
    probe.spin_until(lambda: kept and kept[-1].stamp_s == stamp_s, "the preview")


def gap_after(probe, feed, plans, planner, gaps, start_s, grey):
    """Gaps by name, when four periods after `start_s` the views have become `grey`."""
    plan_for(probe, feed, plans, start_s)
    remembered(probe, planner, start_s)
    gaps.clear()
    plan_for(probe, feed, plans, start_s + 0.2, grey=grey)
    probe.spin_until(lambda: gaps, "a gap")
    assert seconds(gaps[-1].header.stamp) == pytest.approx(start_s + 0.2)
    return dict(zip(gaps[-1].name, gaps[-1].position))


def test_the_gap_tells_what_became_of_a_plan(probe, feed, plans, policy, planner):
    """Latents are a tenth of a view's grey value: half of the change is foreseen, then all."""
    gaps = watch(probe, planner, JointState, "imagination_gap", planner._preview._gaps)
    policy.moves = 1.0
    found = gap_after(probe, feed, plans, planner, gaps, 100.0, grey=(30, 40))  # + 2 in both views
    assert found["agentview.latent"] == pytest.approx(0.5, abs=0.01)
    assert found["eye_in_hand.latent"] == pytest.approx(0.5, abs=0.01)
    assert found["ahead_s"] == pytest.approx(0.2)
    # decoded: 0 in the wrist view, the number of the row in the other; moved by 20 grey levels
    assert found["agentview.pixels"] == pytest.approx((30 - 2) / 20, abs=0.01)
    assert found["eye_in_hand.pixels"] == pytest.approx(40 / 20, abs=0.01)
    probe.spin_until(
        lambda: probe.values("planner").get("imagination_gap.agentview") == "0.5",
        "the gap on diagnostics",
    )
    policy.moves = 2.0
    found = gap_after(probe, feed, plans, planner, gaps, 200.0, grey=(30, 40))
    assert found["agentview.latent"] == pytest.approx(0.0, abs=0.01)


def test_a_scene_unlike_the_training_data_is_told_after_some_looks(probe, feed, plans, planner):
    """Decoded, the present is black in the wrist view, and so in the other."""
    watch(probe, planner, JointState, "imagination_gap", planner._preview._gaps)
    for k in range(9):
        plan_for(probe, feed, plans, 100.0 + k / 8, grey=(30, 40))
        remembered(probe, planner, 100.0 + k / 8)
    planner._freshness.complaints = list  # that its stamps are old would be said first
    report = planner._report()
    assert report.level == WARN, report.message
    assert "unlike the training data: agentview 1.5 times" in report.message
    assert report.values["unlike.agentview"] == 1.5
    probe.call(Trigger, "planner/new_episode")
    plan_for(probe, feed, plans, 110.0, grey=(10, 40))
    remembered(probe, planner, 110.0)
    assert planner._report().message == "planning"


def test_a_new_episode_is_not_held_against_plans_of_the_old(probe, feed, plans, planner):
    gaps = watch(probe, planner, JointState, "imagination_gap", planner._preview._gaps)
    plan_for(probe, feed, plans, 100.0)
    remembered(probe, planner, 100.0)
    probe.call(Trigger, "planner/new_episode")
    plan_for(probe, feed, plans, 100.2)
    remembered(probe, planner, 100.2)
    plan_for(probe, feed, plans, 100.4)
    probe.spin_until(lambda: gaps, "a gap")
    assert [seconds(gap.header.stamp) for gap in gaps] == [100.4]


def test_an_error_of_the_policy_is_reported_and_the_next_plan_comes(probe, feed, plans, policy):
    plan_for(probe, feed, plans, 100.0)
    good, policy.encode = policy.encode, lambda *_: 1 / 0

    def reported():
        feed.publish(101.0)
        return probe.says("planner", "ZeroDivisionError")

    probe.spin_until(reported, "the error on diagnostics")
    policy.encode = good
    plan_for(probe, feed, plans, 102.0)


def test_deactivated_it_plans_nothing_and_reactivated_it_goes_on(probe, feed, plans, planner):
    plan_for(probe, feed, plans, 100.0)
    planner.trigger_deactivate()
    feed.publish(101.0)
    probe.spin_until(lambda: planner._past.at(101.0, 0.0), "the observation to be delivered")
    planner.trigger_activate()
    plan_for(probe, feed, plans, 102.0)
    assert [seconds(p.header.stamp) for p in plans] == [100.0, 102.0]


def test_another_size_of_observation_is_refused_by_name(probe, feed, plans, contract):
    plan_for(probe, feed, plans, 100.0)
    small = to_message(np.zeros((96, 160, 3), np.uint8), "rgb8", to_stamp(101.0))

    def refused():
        feed.publish(101.0)
        feed._views.publish(small)
        return probe.says("planner", "observation/views is 96x160 rgb8")

    probe.spin_until(refused, "the refusal")
