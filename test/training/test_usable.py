"""What training cannot use of a slow camera is said before anything is trained, with counts."""

import numpy as np
import pytest
from synthetic import make_episode, write_file

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.table import Source, load_table
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.training.config import load_recipe
from vilp_ros.training.features import split
from vilp_ros.training.run import train
from vilp_ros.training.usable import Usable

STEPS = 40


def slow_file(path, repeats, role="expert", count=2):
    """Episodes of a camera whose picture is that of the frame before wherever `repeats` says."""
    with EpisodeWriter(path, task="lift") as writer:
        for seed in range(count):
            episode = make_episode(seed, role, length=STEPS)
            episode.repeated = np.array([repeats(k) for k in range(STEPS + 1)])
            for frames in episode.images.values():
                for k in np.flatnonzero(episode.repeated):
                    frames[k] = frames[k - 1]
            writer.add(episode)
    return path


def half(k):  # 10 Hz beside 20 Hz
    return k % 2 == 1


def quarter(k):  # 15 Hz
    return k % 4 == 2


def usable(path, pictures_only=False, **policy):
    table = load_table([Source(str(path), "expert")], ())
    every = np.arange(len(table.role))
    return Usable.of(table, every, PolicyConfig(**policy), pictures_only)


def test_repeats_are_kept_with_the_episode(tmp_path):
    path = slow_file(tmp_path / "e.hdf5", half)
    np.testing.assert_array_equal(EpisodeFile(path)[1].repeated, np.arange(STEPS + 1) % 2 == 1)
    plain = EpisodeFile(write_file(tmp_path / "plain.hdf5", count=1))[0]
    assert plain.repeated is None


@pytest.mark.parametrize(
    ("repeats", "pictures_only", "interval", "share"),
    [
        (half, False, 1, 1 / 2),  # a plan with proprioception: wherever a picture is new
        (quarter, False, 1, 3 / 4),
        (half, True, 1, 0),  # of pictures alone: every other one would be no new one
        (half, True, 2, 1 / 2),
        (quarter, True, 2, 1 / 2),
        (quarter, True, 4, 3 / 4),
    ],
)
def test_every_step_is_used_that_can_be(tmp_path, repeats, pictures_only, interval, share):
    path = slow_file(tmp_path / "e.hdf5", repeats)
    found = usable(path, pictures_only, horizon=5, frame_interval=interval)
    every = 2 * STEPS
    # At its end an episode's last frame, which is new, stands for what would follow.
    assert len(found.planner) == pytest.approx(share * every, abs=12 * (interval > 1))
    assert found.repeated == every - len(found.planner)
    assert len(found.expert) == (len(found.planner) if pictures_only else every)


def test_counts_and_reasons_are_said(tmp_path):
    path = slow_file(tmp_path / "e.hdf5", half, count=1)
    with EpisodeWriter(path, task="lift") as writer:
        episode = make_episode(9, length=STEPS)
        episode.disturbed[20] = True
        writer.add(episode)
    said = str(usable(path, horizon=8))
    assert said == (
        "plans are learned from 52 of 80 steps: 8 have noise, a lost picture or another's command "
        "ahead, 20 begin at, or need, a picture that the camera gave before"
    )


def recipe(tmp_path, path, *overrides):
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {path}}}]}}")
    return load_recipe(tmp_path / "r.yaml", ["name=x", *overrides])


def test_it_is_said_before_anything_is_trained(tmp_path):
    class EnoughError(Exception):
        pass

    def tell(said):
        assert said.startswith("plans are learned from 40 of 80 steps: 40 begin at, or need, a ")
        raise EnoughError

    asked = recipe(tmp_path, slow_file(tmp_path / "e.hdf5", half))
    with pytest.raises(EnoughError):
        train(asked, tmp_path / "work", tmp_path / "bundle", tell=tell)
    assert not (tmp_path / "work").exists()


def test_where_nothing_can_be_learned_nothing_is_trained(tmp_path):
    """A camera of 10 Hz, a plan of pictures alone for each period of 20 Hz."""
    path = slow_file(tmp_path / "e.hdf5", half)
    spatial = ("policy.method=vilp", "policy.autoencoder.kind=spatial", "policy.frame_interval=1")
    small = (
        "policy.planner.kind=video",
        "policy.planner.channels=[8,64]",
        "policy.autoencoder.channels=[8,8]",
    )
    asked = recipe(tmp_path, path, *spatial, "policy.horizon=5", *small)
    with pytest.raises(VilpError, match=r"from 0 of 80 steps: 80 begin .*frame_interval: 2"):
        train(asked, tmp_path / "work", tmp_path / "bundle")
    assert not (tmp_path / "work").exists()


def test_without_repeats_the_choice_is_the_one_it_was(tmp_path):
    path = write_file(tmp_path / "e.hdf5", count=12)
    table = load_table([Source(str(path), "expert")], ())
    training, held_out = split(table, 0.1, 0)
    for episodes in (training, held_out):
        found = Usable.of(table, episodes, PolicyConfig(), False)
        np.testing.assert_array_equal(found.planner, table.timeline.steps(episodes))
        np.testing.assert_array_equal(found.expert, found.planner)
