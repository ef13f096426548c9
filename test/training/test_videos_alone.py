"""Episodes that do not tell where the hand is, beside a robot's own."""

import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.table import Source, load_table
from vilp_ros.errors import VilpError
from vilp_ros.policy.registry import METHODS
from vilp_ros.training import run
from vilp_ros.training.config import load_recipe
from vilp_ros.training.features import make_features

RECIPE = """
name: x
data:
  expert: [{path: EXPERT}]
  action_free: [{path: FREE}]
policy: {method: METHOD, autoencoder: {kind: KIND}}
"""


@pytest.fixture
def files(tmp_path):
    """A robot's episodes, and such as come of videos alone."""
    for name in ("expert", "free"):
        with EpisodeWriter(tmp_path / f"{name}.hdf5", task="lift") as writer:
            for seed in range(3):
                episode = make_episode(seed, "expert" if name == "expert" else "action_free")
                if name == "free":
                    episode.ee_pose[:] = [0, 0, 0, 0, 0, 0, 1]
                    episode.gripper_width[:] = 0
                    episode.joint_position = episode.joint_velocity = np.zeros((21, 0))
                    episode.info["proprio"] = "none"
                writer.add(episode)
    return tmp_path / "expert.hdf5", tmp_path / "free.hdf5"


def recipe(tmp_path, files, method, kind):
    text = RECIPE.replace("METHOD", method).replace("KIND", kind)
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace("EXPERT", str(files[0])).replace("FREE", str(files[1])))
    return load_recipe(path)


def test_what_is_not_known_says_nothing(tmp_path, files):
    expert, free = map(str, files)
    alone = load_table([Source(expert, "expert")], ())
    table = load_table([Source(expert, "expert"), Source(free, "action_free")], ())
    np.testing.assert_array_equal(table.posed, [True] * 3 + [False] * 3)
    policy = recipe(tmp_path, files, "vilp", "spatial").policy
    layout = METHODS.find("vilp").layout(policy, {"agentview": (32, 32)})

    def features(of, train):
        frames = len(of.proprio)
        latents = np.random.default_rng(0).normal(size=(frames, layout.latent_dim))
        return make_features(of, [latents], policy, layout, 1, train, np.array([], int))

    both = features(table, np.arange(6))
    start = layout.proprio.start
    unknown = both.state[np.arange(63, len(table.proprio))][:, start:]
    assert np.abs(unknown).max() < 0.5
    wanted = features(alone, np.arange(3)).statistics
    np.testing.assert_allclose(both.statistics.state_mean[start:], wanted.state_mean[start:])
    np.testing.assert_allclose(both.statistics.state_std[start:], wanted.state_std[start:])


def test_a_planner_of_poses_refuses_them_before_anything_is_trained(tmp_path, files):
    with pytest.raises(VilpError, match=r"3 episodes of .*free.hdf5 do not tell where it is"):
        run.train(recipe(tmp_path, files, "ldp", "light"), tmp_path / "w", tmp_path / "b")
    without = recipe(tmp_path, files, "vilp", "spatial")
    without.data.expert = []
    with pytest.raises(VilpError, match="no episode has actions"):
        run.train(without, tmp_path / "w", tmp_path / "b")
    assert not (tmp_path / "w").exists()
