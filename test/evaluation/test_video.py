"""The video probe on planners whose imagination is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import SIZES, make_episode

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.imagination.alignment import dates
from vilp_ros.evaluation.imagination.video import video
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.spec import BundleSpec

VIEWS = tuple(SIZES)


class KnownPlanner:
    """A row is the number of the episode, and of the recorded frame of each view."""

    def __init__(self, episodes, horizon=3, interval=2, late=lambda seed: (0, 0), moves=True):
        self.spec = SimpleNamespace(
            views=SIZES,
            require_frames=lambda: None,
            horizon=horizon,
            control_period_s=0.05,
            row_period_s=0.05 * interval,
            plan_shape=(horizon + 1, 1, 3),
            policy=SimpleNamespace(frame_interval=interval),
            layout=SimpleNamespace(forecasts_proprio=True, row_dim=3),
        )
        self.episodes, self.late, self.moves = episodes, late, moves

    def noise(self, seed):
        return seed

    def encode(self, images, proprio, previous):
        for e, episode in enumerate(self.episodes):
            for t in np.flatnonzero(np.abs(episode.ee_pose[:, :3] - proprio[:3]).max(1) < 1e-6):
                return np.array([e, t, t], np.float32)
        raise AssertionError("a frame that nobody recorded")

    def plan(self, state, noise):
        steps = np.arange(self.spec.horizon + 1) * self.spec.policy.frame_interval * self.moves
        plan = np.tile(state, (len(steps), 1))
        plan[1:, 1:] += steps[1:, None] + np.array(self.late(noise))
        return plan

    def latents(self, plan):
        return plan[:, 1:, None]

    def decode(self, plan):
        rows = []
        for e, *times in plan.astype(int):
            images = self.episodes[e].images
            rows.append([images[v][min(t, len(images[v]) - 1)] for v, t in zip(VIEWS, times)])
        return np.array(rows)


@pytest.fixture(scope="module")
def episodes():
    return [make_episode(seed, length=60) for seed in range(5)]


def test_a_perfect_planner_reaches_the_bound_and_moves_as_much(episodes):
    report = video(KnownPlanner(episodes), episodes)
    assert report["plans"] == 5 * 14  # every fourth of 55 with a whole future
    assert report["ahead_s"] == pytest.approx([0.1, 0.2, 0.3])
    for rows in report["views"].values():
        assert rows["imagined"] == rows["bound"]
        assert rows["imagined"]["ssim"] == pytest.approx(1.0)
        assert rows["imagined"]["motion_ratio"] == pytest.approx(1.0)
        assert rows["copy"]["motion_ratio"] == 0.0
        assert rows["copy"]["psnr_moving_db"] < rows["copy"]["psnr_db"] < 60
        assert rows["real"]["frame_to_frame_l2"] == pytest.approx(
            rows["imagined"]["frame_to_frame_l2"]
        )
    assert report["alignment"] == dict.fromkeys(report["alignment"], 0.0)


def test_one_that_does_not_move_is_the_copy(episodes):
    report = video(KnownPlanner(episodes, moves=False), episodes)
    for rows in report["views"].values():
        assert rows["imagined"] == rows["copy"]
        # the further ahead, the worse a copy
        by_frame = [frame["psnr_db"] for frame in rows["copy"]["by_frame"]]
        assert by_frame == sorted(by_frame, reverse=True)


def test_a_late_view_is_apart_by_what_it_is_late(episodes):
    planner = KnownPlanner(episodes, late=lambda _: (0, 2))
    apart = video(planner, episodes)["alignment"]
    assert apart["apart_s"] == pytest.approx(0.1)
    assert apart["other_imagination_s"] == pytest.approx(0.1)
    assert apart["error_s"] == pytest.approx(0.05)


def test_joint_views_agree_better_than_views_imagined_apart(episodes):
    """Both views early or both late, as the noise says: apart only across imaginations."""
    planner = KnownPlanner(episodes, late=lambda seed: (2, 2) if seed < 1000 else (0, 0))
    apart = video(planner, episodes)["alignment"]
    assert apart["apart_s"] == 0.0
    assert apart["other_imagination_s"] == pytest.approx(0.1)


def test_a_date_is_the_nearest_place_between_recorded_frames():
    rng = np.random.default_rng(0)
    recorded = rng.normal(size=(9, 2, 4, 3, 5))
    between = 0.75 * recorded[4] + 0.25 * recorded[5]
    imagined = np.stack([recorded[[1, 4, 8], 0], recorded[[2, 4, 7], 1]], axis=1)
    imagined[1] = between
    found = dates(imagined + rng.normal(0, 0.01, imagined.shape), recorded)
    np.testing.assert_allclose(found, [[1, 2], [4.25, 4.25], [8, 7]], atol=0.02)


def test_episodes_of_a_robot_have_no_seed_and_noise_of_their_own(episodes):
    drawn = []

    class Drawing(KnownPlanner):
        def noise(self, seed):
            drawn.append(np.random.default_rng(seed).standard_normal())
            return seed

    imported = [make_episode(seed, length=60) for seed in range(5)]
    for episode in imported:
        episode.seed = -1
    assert video(Drawing(imported), imported)["plans"] == 5 * 14
    assert len(set(drawn)) == 2 * 5


def test_what_noise_disturbed_does_not_count(episodes):
    disturbed = [make_episode(seed, length=60) for seed in range(5)]
    for episode in disturbed:
        episode.disturbed[30] = True
    report = video(KnownPlanner(disturbed), disturbed, stride=2)
    assert report["plans"] == 5 * (28 - 3)


def test_few_plans_and_no_frames_are_refused(episodes):
    with pytest.raises(VilpError, match="14 plans say little, 50 are wanted"):
        video(KnownPlanner(episodes), episodes[:1])
    planner = KnownPlanner(episodes)
    cloned = BundleSpec("bc", "lift", planner.spec.views, "ee_pose", 0.05, PolicyConfig("bc"))
    planner.spec.require_frames = cloned.require_frames
    with pytest.raises(VilpError, match="imagines no frames"):
        video(planner, episodes)
