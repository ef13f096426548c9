"""Probes on a policy whose errors are known, on frames and episodes of the real simulator."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.data.table import Source
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import OracleAgent, recorded_plan, recorded_seeds
from vilp_ros.evaluation.closed_loop.rollout import run_episode
from vilp_ros.evaluation.imagination.image_metrics import object_box
from vilp_ros.evaluation.imagination.probes import idm_error, reconstruction
from vilp_ros.evaluation.label import label
from vilp_ros.evaluation.recordings import record_held_out
from vilp_ros.geometry import quat_multiply, yaw_quat
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.sim.env import SimEnv

SIZES = {"agentview": (96, 160), "eye_in_hand": (96, 160)}
VIEWS = tuple(SIZES)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("held_out") / "lift.hdf5"
    record_held_out("lift", path, episodes=3, noise=0.0)
    return EpisodeFile(path)


class KnownPolicy:
    """A state is the number of its recorded frame; actions are the recorded ones, plus an error."""

    def __init__(self, file, horizon=8, interval=1):
        self.spec = SimpleNamespace(
            views=SIZES,
            horizon=horizon,
            name="known",
            action_kind="ee_pose",
            control_period_s=0.05,
            depth_range_m={},
            n_actions=horizon * interval,
            n_action_steps=4,
            require_states=lambda: None,
            plan_shape=(horizon + 1, 1, 2),
            policy=SimpleNamespace(frame_interval=interval),
            layout=SimpleNamespace(forecasts_proprio=True, row_dim=2),
        )
        self._episodes, self._frames = list(file), {}
        self.offset_m, self.turn_deg, self.flip_gripper, self.blur = 0.0, 0.0, False, 0.0
        self.narrower_m = 0.0
        self.pairs = []

    def noise(self, seed):
        return seed

    def encode(self, images, proprio, previous):
        for e, episode in enumerate(self._episodes):
            for t in np.flatnonzero(
                np.abs(episode.ee_pose[:, :3] - proprio[:3]).max(axis=1) < 1e-6
            ):
                if (episode.images["agentview"][t] == images[0]).all():
                    assert (previous is None) == (t == 0)
                    return np.array([e, t], np.float32)
        raise AssertionError("a frame that nobody recorded")

    def act(self, plan, noise):
        plan = plan.astype(int)
        self.pairs += [(tuple(a), tuple(b)) for a, b in pairwise(plan)]
        interval = self.spec.policy.frame_interval
        steps = [(e, t + i) for e, t in plan[:-1] for i in range(interval)]
        actions = np.stack(
            [self._episodes[e].actions[min(t, len(self._episodes[e]) - 1)] for e, t in steps]
        )
        actions[:, 0] += self.offset_m
        actions[:, 3:7] = quat_multiply(yaw_quat(np.deg2rad(self.turn_deg)), actions[:, 3:7])
        actions[:, 7] = 0.08 - actions[:, 7] if self.flip_gripper else actions[:, 7]
        actions[:, 7] -= self.narrower_m
        return actions

    def decode(self, states):
        assert len(states) == self.spec.plan_shape[0]  # as a compiled decoder insists
        frames = []
        for e, t in states.astype(int):
            images = np.stack([self._episodes[e].images[v][t] for v in VIEWS]).astype(float)
            frames.append(np.clip(images + self.blur, 0, 255))
        return np.asarray(frames).astype(np.uint8)


def test_held_out_episodes_succeed_on_their_own_seeds(recorded):
    seeds = recorded_seeds(recorded)
    assert len(set(seeds)) == len(recorded) == 3
    assert min(seeds) >= VALIDATION_SEEDS
    assert all(episode.success and not episode.disturbed.any() for episode in recorded)


@pytest.mark.parametrize("interval", [1, 2])
def test_oracle_with_perfect_inverse_dynamics_succeeds(recorded, interval):
    """Proves the replay: an offset of one step or the wrong seed would fail."""
    policy = KnownPolicy(recorded, horizon=8 // interval, interval=interval)
    with SimEnv("lift", views=()) as env:
        agent = OracleAgent(policy, recorded)
        results = [run_episode(env, agent, seed) for seed in recorded_seeds(recorded)]
    assert all(result.success for result in results)
    steps = {b[1] - a[1] for a, b in policy.pairs}
    assert interval in steps  # rows of the plan; less only at the end
    assert steps <= set(range(interval + 1))


def test_a_recorded_plan_forecasts_what_the_planner_forecasts():
    """Rows of a video plan: latents of their own time, the proprio of the observation."""
    states = np.arange(20.0)[:, None] + np.array([0.0, 100.0, 200.0, 300.0])
    spec = SimpleNamespace(
        horizon=3,
        policy=SimpleNamespace(frame_interval=2),
        layout=SimpleNamespace(forecasts_proprio=False, forecast_dim=2, row_dim=3),
    )
    plan = recorded_plan(spec, states, 14)
    assert plan.shape == (4, 3)  # without what a state holds beside its row
    np.testing.assert_array_equal(plan[:, :2], [[14, 114], [16, 116], [18, 118], [19, 119]])
    np.testing.assert_array_equal(plan[:, 2], 214.0)
    assert states[16, 2] == 216.0  # and the recording is left as it was


@pytest.mark.parametrize("interval", [1, 2])
def test_idm_error_measures_what_is_wrong(recorded, interval):
    policy = KnownPolicy(recorded, interval=interval)
    report = idm_error(policy, recorded)
    assert report["pairs"] == sum(len(episode) for episode in recorded)
    assert report["idm"]["position_mm"]["p99"] == pytest.approx(0.0, abs=1e-3)
    assert report["idm"]["gripper_accuracy"] == 1.0
    assert report["next_pose"]["position_mm"]["mean"] > 5.0  # the target leads the arm
    policy.offset_m, policy.turn_deg, policy.flip_gripper = 0.003, 2.0, True
    wrong = idm_error(policy, recorded)["idm"]
    assert wrong["position_mm"]["p50"] == pytest.approx(3.0, abs=1e-3)
    assert wrong["rotation_deg"]["p50"] == pytest.approx(2.0, abs=1e-2)
    assert wrong["gripper_accuracy"] == 0.0


def test_idm_probe_refuses_what_has_no_inverse_dynamics(recorded):
    policy = KnownPolicy(recorded)
    cloned = BundleSpec("bc", "lift", {}, "ee_pose", 0.05, PolicyConfig(method="bc"))
    policy.spec.require_states = cloned.require_states
    with pytest.raises(VilpError, match="no inverse dynamics"):
        idm_error(policy, recorded)


def test_reconstruction_of_a_known_error(recorded):
    policy = KnownPolicy(recorded)
    policy.blur = 5.0  # grey levels, and hardly a pixel is clipped
    report = reconstruction(policy, recorded)
    expected = 20 * np.log10(255 / 5)
    for view in VIEWS:
        assert report[view]["psnr_db"] == pytest.approx(expected, abs=0.3)
        assert report[view]["psnr_object_db"] == pytest.approx(expected, abs=0.5)
        # the median image has no object where it is: worst around it
        assert report[view]["median_image"]["psnr_db"] < expected
        assert report[view]["frames_with_object"] > 0.5 * report[view]["frames"]
    wrist = report["eye_in_hand"]["median_image"]
    assert wrist["psnr_object_db"] < wrist["psnr_db"]


@pytest.mark.parametrize("task", ["lift", "lift_wide", "can", "square"])
def test_the_box_is_around_the_object(task):
    """Against the truth: the object's position, projected by the simulator's own camera."""
    with SimEnv(task) as env:
        found = 0
        for seed in range(6):
            obs = env.reset(700_100 + seed)
            camera = env.data.camera("agentview")
            matrix = camera.xmat.reshape(3, 3)
            body = next(iter(env.spec.objects.values()))
            x, y, z = matrix.T @ (env.data.body(body).xpos - camera.xpos)
            u, v, w = env.intrinsics("agentview") @ [x, -y, -z]
            box = object_box(obs.images["agentview"])
            if box is None:
                continue
            found += 1
            rows, columns = box
            assert rows.start - 3 <= v / w <= rows.stop + 3
            assert columns.start - 3 <= u / w <= columns.stop + 3
            assert (rows.stop - rows.start) * (columns.stop - columns.start) < 96 * 160 / 6
    assert found >= 4


def test_nothing_red_is_no_box():
    assert object_box(np.full((96, 160, 3), 120, np.uint8)) is None


@pytest.fixture
def watched(recorded, tmp_path):
    """The recordings without their actions."""
    path = tmp_path / "watched.hdf5"
    with EpisodeWriter(path, task="lift") as writer:
        for episode in recorded:
            writer.add(replace(episode, actions=None, role="action_free"))
    return Source(str(path), "action_free")


def labelled(path):
    with closing(EpisodeFile(path)) as file:
        return list(file)


@pytest.mark.parametrize("interval", [1, 2])
def test_watched_demonstrations_get_the_actions_that_led_from_each_frame(
    recorded, watched, tmp_path, interval
):
    policy, path = KnownPolicy(recorded, 8 // interval, interval), tmp_path / "labelled.hdf5"
    done = label(policy, watched, path, "known")
    found = labelled(path)
    for episode, true in zip(found, recorded, strict=True):
        np.testing.assert_allclose(episode.actions, true.actions, atol=1e-6)
        assert (episode.role, episode.seed) == ("expert", true.seed)
        assert episode.info["actions_of"] == "known"
        assert all((episode.images[view] == true.images[view]).all() for view in VIEWS)
    assert (done.episodes, done.steps) == (3, sum(map(len, recorded)))
    assert (done.known, done.error) == (0, None)
    assert label(policy, watched, path, "known").episodes == 0  # and goes on where it was cut off
    assert len(labelled(path)) == 3


def test_a_shut_hand_is_not_told_to_be_narrower_than_nothing(recorded, watched, tmp_path):
    policy, path = KnownPolicy(recorded), tmp_path / "labelled.hdf5"
    policy.narrower_m = 0.01
    label(policy, watched, path, "known")
    for episode, true in zip(labelled(path), recorded, strict=True):
        width = np.maximum(true.actions[:, 7] - 0.01, 0)
        assert (width == 0).any()
        np.testing.assert_allclose(episode.actions[:, 7], width, atol=1e-6)


def test_found_actions_are_judged_by_those_recorded(recorded, tmp_path):
    policy = KnownPolicy(recorded)
    policy.offset_m = 0.01
    source = Source(str(recorded.path), "action_free", 1, 2)
    done = label(policy, source, tmp_path / "labelled.hdf5", "known")
    assert done.known == done.steps == len(recorded[1]) + len(recorded[2])
    assert done.error["position_mm"]["mean"] == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"control_period_s": 0.1}, "has control_period_s 0.05, bundle known 0.1"),
        ({"action_kind": "joint_position"}, "has action_kind 'ee_pose'"),
        ({"views": {"agentview": (48, 80)}}, "are 96x160, bundle known learned from 48x80"),
        ({"depth_range_m": {"agentview": (0.4, 1.6)}}, r"shows None m \(near, far\)"),
    ],
)
def test_a_bundle_of_other_recordings_labels_nothing(recorded, watched, tmp_path, wrong, says):
    policy = KnownPolicy(recorded)
    vars(policy.spec).update(wrong)
    with pytest.raises(VilpError, match=says):
        label(policy, watched, tmp_path / "labelled.hdf5", "known")


def test_actions_of_two_bundles_do_not_share_a_file(recorded, watched, tmp_path):
    policy, path = KnownPolicy(recorded), tmp_path / "labelled.hdf5"
    label(policy, watched._replace(number=1), path, "known")
    with pytest.raises(VilpError, match="holds actions of known, not of anew: choose another"):
        label(policy, watched, path, "anew")


def test_another_file_of_the_same_name_is_not_taken_for_done(recorded, watched, tmp_path):
    policy, path = KnownPolicy(recorded), tmp_path / "labelled.hdf5"
    label(policy, watched._replace(number=1), path, "known")
    again = tmp_path / "again" / Path(watched.path).name
    again.parent.mkdir()
    with EpisodeWriter(again, task="lift") as writer:
        writer.add(replace(recorded[1], actions=None, role="action_free"))
    other = Source(str(again), "action_free")
    assert label(policy, other, path, "known").episodes == 1
    assert label(policy, other, path, "known").episodes == 0
    assert [e.seed for e in labelled(path)] == [recorded[0].seed, recorded[1].seed]


def test_what_an_older_version_began_is_not_gone_on_with(recorded, watched, tmp_path):
    path = tmp_path / "labelled.hdf5"
    with EpisodeWriter(path, task="lift") as writer:
        info = {"actions_of": "known", "labelled_from": "watched.hdf5:0"}
        writer.add(replace(recorded[0], info=info))
    with pytest.raises(VilpError, match=r"older version.* \(watched\.hdf5:0\): choose another"):
        label(KnownPolicy(recorded), watched, path, "known")


def test_failures_are_not_labelled_as_demonstrations(recorded, tmp_path):
    with EpisodeWriter(tmp_path / "e.hdf5", task="lift") as writer:
        for success in (True, False):
            writer.add(replace(recorded[0], success=success))
    source = Source(str(tmp_path / "e.hdf5"), "action_free")
    with pytest.raises(VilpError, match=r"episode 1 of .*e\.hdf5 failed"):
        label(KnownPolicy(recorded), source, tmp_path / "out.hdf5", "known")
