"""Our exports in the hands of the loaders of the projects that they are for.

Each needs a package that nothing else here does; `docs/demonstrations.md` says which versions read
them, and how to run this.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.cli import main as cli
from vilp_ros.data.columns import columns
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile

PERIOD_S = 0.05


@pytest.fixture
def exported(tmp_path):
    """A function: writes three episodes in a format, gives them and where they lie."""

    def export(to, name):
        ours = tmp_path / "ours.hdf5"
        with EpisodeWriter(ours, task="lift") as writer:
            for seed, role in enumerate(("expert", "suboptimal", "expert")):
                writer.add(make_episode(seed, role, length=20 + seed))
        assert cli.main(["convert", str(ours), "--out", str(tmp_path / name), "--to", to]) == 0
        return SimpleNamespace(path=tmp_path / name, episodes=list(EpisodeFile(ours)))

    return export


def test_robomimic_reads_its_hdf5(exported):
    pytest.importorskip("robomimic", reason="robomimic is not installed")
    from robomimic.utils import obs_utils
    from robomimic.utils.dataset import SequenceDataset

    made = exported("robomimic", "robomimic.hdf5")
    low = list(columns(made.episodes[0], made.episodes[0].ee_pose))
    pictures = [f"{view}_image" for view in made.episodes[0].images]
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": low, "rgb": pictures}})

    def load(**options):
        keys = {"obs_keys": [*low, *pictures], "dataset_keys": ["actions", "rewards", "dones"]}
        return SequenceDataset(str(made.path), **keys, **options)

    dataset, number = load(), 0
    assert len(dataset) == 63
    for episode in made.episodes:
        images = {f"{view}_image": frames for view, frames in episode.images.items()}
        rows = {**columns(episode, episode.ee_pose), **images}
        for step in range(len(episode)):
            item, number = dataset[number], number + 1
            np.testing.assert_array_equal(item["actions"][0], episode.actions[step])
            assert item["dones"][0] == (step == len(episode) - 1)
            assert item["rewards"][0] == (item["dones"][0] and episode.success)
            for key, values in rows.items():
                np.testing.assert_array_equal(item["obs"][key][0], values[step])
                np.testing.assert_array_equal(item["next_obs"][key][0], values[step + 1])
    several = load(seq_length=4, frame_stack=2, hdf5_cache_mode="low_dim")[20]
    np.testing.assert_array_equal(several["actions"][1:], made.episodes[1].actions[:4])
    assert load(filter_by_attribute="train").n_demos == 2
    assert load(filter_by_attribute="valid").n_demos == 1


def test_lerobot_reads_its_dataset(exported, monkeypatch):
    pytest.importorskip("lerobot", reason="lerobot is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    made = exported("lerobot", "lerobot")
    ahead = {"action": [0.0, PERIOD_S, 2 * PERIOD_S]}
    dataset = LeRobotDataset("vilp/test", root=made.path, delta_timestamps=ahead)
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (3, 66, 20)
    number = 0
    for index, episode in enumerate(made.episodes):
        state = np.concatenate(
            [
                episode.ee_pose,
                episode.gripper_width[:, None],
                episode.joint_position,
                episode.joint_velocity,
            ],
            axis=1,
        )
        actions = np.concatenate([episode.actions, episode.actions[-1:]])
        for frame, row in enumerate(state):
            item, number = dataset[number], number + 1
            assert (item["episode_index"], item["frame_index"]) == (index, frame)
            assert item["task"] == "lift"
            assert float(item["timestamp"]) == pytest.approx(frame * PERIOD_S)
            assert bool(item["next.done"]) == (frame == len(episode))
            np.testing.assert_array_equal(item["observation.state"], row.astype(np.float32))
            wanted = actions[np.minimum(frame + np.arange(3), len(episode))]
            np.testing.assert_array_equal(item["action"], wanted.astype(np.float32))
            for view, frames in episode.images.items():
                seen = item[f"observation.images.{view}"].permute(1, 2, 0) * 255
                np.testing.assert_array_equal(seen.round().numpy(), frames[frame])
    poses = np.concatenate([episode.ee_pose for episode in made.episodes])
    stats = dataset.meta.stats["observation.state"]
    np.testing.assert_allclose(stats["mean"][:7], poses.mean(0), rtol=1e-6)
    np.testing.assert_allclose(stats["std"][:7], poses.std(0), rtol=1e-6, atol=1e-9)
    some = LeRobotDataset("vilp/test", root=made.path, episodes=[1])
    assert len(some) == 22


@pytest.mark.parametrize("way", ["create_from_path", "copy_from_path"])
def test_diffusion_policy_reads_its_zarr(exported, way):
    pytest.importorskip("zarr", reason="zarr is not installed")
    pytest.importorskip("diffusion_policy", reason="diffusion_policy is not installed")
    from diffusion_policy.common.replay_buffer import ReplayBuffer

    made = exported("zarr", "replay.zarr")
    buffer = getattr(ReplayBuffer, way)(str(made.path))
    assert (buffer.n_episodes, buffer.n_steps) == (3, 66)
    for index, episode in enumerate(made.episodes):
        read = buffer.get_episode(index)
        images = {f"{view}_image": frames for view, frames in episode.images.items()}
        actions = np.concatenate([episode.actions, episode.actions[-1:]])
        rows = {**columns(episode, episode.ee_pose), "action": actions}
        rows = {key: values.astype(np.float32) for key, values in rows.items()} | images
        assert set(read) == {*rows, "disturbed"}
        for key, values in rows.items():
            assert read[key].dtype == values.dtype
            np.testing.assert_array_equal(read[key], values)
