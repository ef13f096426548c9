"""One inference of a bag again, a bundle beside it, and its commands in the simulator."""

import shutil
from functools import partial

import numpy as np
import pytest
from bags import START_S, contract, message, traffic, write_bag

from vilp_ros.data.bag import Bag, BagError, typestore
from vilp_ros.data.bag_reader import BagReader
from vilp_ros.data.recording import bundle_hash
from vilp_ros.data.robot_state import blend_state
from vilp_ros.data.synchroniser import Track
from vilp_ros.evaluation import replay
from vilp_ros.policy.bundle import load_policy
from vilp_ros.policy.policy import Previous
from vilp_ros.share import share_dir

TEXT = (share_dir() / "config/robots/sim_panda.yaml").read_text()
PERIODS, SEED = 12, 5


@pytest.fixture(scope="module")
def bundle():
    """Trained: an untrained one plans the same whatever its noise."""
    return share_dir() / "models/ldp_lift"


@pytest.fixture(scope="module")
def policy(bundle):
    return load_policy(bundle)


def image32(stamp_s, rows, name):
    data = np.ascontiguousarray(rows, np.float32)
    return message(
        "sensor_msgs/msg/Image",
        stamp_s,
        frame_id=name,
        height=len(data),
        width=1,
        encoding=f"32FC{data.shape[1]}",
        is_bigendian=0,
        step=4 * data.shape[1],
        data=np.frombuffer(data.tobytes(), np.uint8),
    )


def diagnostics(seed):
    types = typestore().types
    value = types["diagnostic_msgs/msg/KeyValue"](key="noise_seed", value=str(seed))
    status = types["diagnostic_msgs/msg/DiagnosticStatus"](
        level=0, name="planner", message="", hardware_id="", values=[value]
    )
    return message("diagnostic_msgs/msg/DiagnosticArray", START_S + 0.1, status=[status])


@pytest.fixture(scope="module")
def run(tmp_path_factory, bundle, policy):
    """A bag of a policy's run: each observation planned from as the planner node does."""
    folder = tmp_path_factory.mktemp("bags")
    robot, labels = contract(TEXT), {"bundle_sha256": bundle_hash(bundle)}
    plain = write_bag(folder / "plain", traffic(robot, PERIODS), text=TEXT)
    plans, past, last = [], Track(blend_state), None
    with Bag(plain) as bag:
        for seen in BagReader(bag).observations():
            past.add(seen.stamp_s, seen.state)
            before = past.at(seen.stamp_s - 0.05, 0.075)
            images = np.stack([seen.images[view] for view in policy.spec.views])
            proprio = before[1].proprio if before else None
            state = policy.encode(images, seen.state.proprio, proprio)
            previous = Previous(last[1], seen.stamp_s - last[0]) if last else None
            plan = policy.imagine(state, policy.noise(SEED), previous)[0]
            last = (seen.stamp_s, plan)
            plans.append((seen.stamp_s, plan))

    def recorded():
        queue = list(plans)
        for name, body in traffic(robot, PERIODS):
            yield name, body
            if name == "target_pose":
                yield "diagnostics", diagnostics(SEED)
                yield "planner/plan", image32(*queue.pop(0), policy.spec.name)

    return write_bag(folder / "run", recorded(), labels=labels, text=TEXT)


def test_an_inference_comes_out_the_same_to_the_bit(run, bundle, policy):
    for at_s in (0.0, 0.27, 0.5):
        step = replay.replay_step(run, bundle, policy, at_s)
        assert step.plan_same, step
        assert (step.noise_seed, step.bundle_same, step.state_same) == (SEED, True, None)
        assert step.at_s == pytest.approx(at_s, abs=0.051)
        assert np.shape(step.actions)[1] == 8
        assert "plan: the same to the bit" in str(step)


def test_another_bundle_or_another_seed_is_noticed(run, bundle, policy, tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "_seeds", lambda bag, at_s: [SEED + 1])
    step = replay.replay_step(run, bundle, policy, 0.3)
    assert not step.plan_same
    assert "NOT the same, it differs by up to" in str(step)
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    (other / "policy.yaml").write_text((bundle / "policy.yaml").read_text() + "\n")
    assert replay.replay_step(run, other, policy, 0.3).bundle_same is False


def test_what_cannot_be_replayed_is_said(run, bundle, policy, tmp_path):
    plain = write_bag(tmp_path / "plain", traffic(contract(TEXT), 4), text=TEXT)
    with pytest.raises(BagError, match="no policy ran while it was recorded"):
        replay.replay_step(plain, bundle, policy, 0.1)
    free = write_bag(tmp_path / "free", traffic(contract(TEXT), 4, commands=False), text=TEXT)
    for way in (partial(replay.shadow, policy=policy), replay.execute):
        with pytest.raises(BagError, match="it is action-free"):
            way(free)
    unknown = write_bag(tmp_path / "x", traffic(contract(TEXT), 4), {"seed": "-1"}, text=TEXT)
    with pytest.raises(BagError, match="does not say which scene"):
        replay.execute(unknown)


def test_a_shadow_is_measured_against_what_the_arm_was_told(run, policy):
    agreement = replay.shadow(run, policy)
    assert agreement.steps == PERIODS
    assert len(agreement.position_mm) == policy.spec.horizon
    assert all(value > 0 for value in agreement.position_mm)
    assert "action +0: " in str(agreement)
