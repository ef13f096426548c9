"""What `vilp data` says of episodes that are not like the others."""

from dataclasses import replace

from synthetic import make_episode

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.outliers import statistics


def told(path, episodes):
    with EpisodeWriter(path, task="lift") as writer:
        for episode in episodes:
            writer.add(episode)
    return statistics(EpisodeFile(path))["outliers"]


def test_all_that_is_odd_about_an_episode_is_told(tmp_path):
    episodes = [make_episode(seed) for seed in range(8)]
    small = {view: frames[:, ::2, ::2] for view, frames in episodes[2].images.items()}
    episodes[2] = replace(episodes[2], images=small, success=False)
    episodes[5] = make_episode(5, length=60)
    del episodes[6].images["eye_in_hand"]
    assert told(tmp_path / "e.hdf5", episodes) == {
        "2": "has agentview 16x16, eye_in_hand 16x16, the others agentview 32x32, eye_in_hand 32x32"
        "; is called expert and says that it failed",
        "5": "lasts 3.00 s, the others 1.00",
        "6": "has agentview 32x32, the others agentview 32x32, eye_in_hand 32x32",
    }


def test_episodes_that_are_alike_and_failures_called_so_are_not_odd(tmp_path):
    alike = [make_episode(seed) for seed in range(4)]
    alike += [make_episode(seed, "suboptimal") for seed in range(4)]
    found = told(tmp_path / "e.hdf5", alike)
    assert not any("failed" in text or "has" in text for text in found.values())
