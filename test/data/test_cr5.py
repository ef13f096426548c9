"""A real arm's recording, whole: set VILP_CR5 to the folder that docs/real_video.md names."""

import os
from pathlib import Path

import numpy as np
import pytest

from vilp_ros.cli import main as cli
from vilp_ros.data.episodes import EpisodeFile

FOLDER = os.environ.get("VILP_CR5", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(FOLDER, "meta").is_dir(), reason="VILP_CR5 names no such folder"),
]


def test_forty_episodes_of_a_real_arm(tmp_path, capsys):
    pytest.importorskip("pinocchio")
    out = tmp_path / "cr5.hdf5"
    command = ["convert", FOLDER, "--from", "lerobot", "--map", "cr5", "--rest", "--out", str(out)]
    assert cli.main([*command, "--no-sheets"]) == 0
    said = capsys.readouterr().out
    assert "40 episodes written as hdf5" in said
    assert "stands out" in said
    file = EpisodeFile(out)
    assert (file.task, file.views) == ("put the banana on the plate", ("top",))
    assert file.roles == ["expert"] * 40
    seconds = 0.0
    for index in range(40):
        episode = file.read(index, ())
        seconds += len(episode) * 0.1
        moved = np.linalg.norm(np.diff(episode.ee_pose[:, :3], axis=0), axis=1)
        off = np.linalg.norm(episode.actions[:, :3] - episode.ee_pose[1:, :3], axis=1)
        assert off.mean() < 0.15 * moved.mean()  # measured velocities foretell the next pose
        assert 0.1 < episode.ee_pose[:, 2].min() < episode.ee_pose[:, 2].max() < 1.0
        assert np.isin(episode.actions[:, 7], np.float32([0.0, 0.085])).all()
    assert seconds == pytest.approx(908, abs=1)
