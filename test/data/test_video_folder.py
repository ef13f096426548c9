"""Folders of videos alone: action_free episodes, whose views belong together by name."""

import numpy as np
import pytest
from foreign import SHIFT, grey, write_video

from vilp_ros.cli import main as cli
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.formats import translate
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.mapping.column_map import load_map


def shade(frames):
    return (frames.reshape(len(frames), -1).mean(1) - grey(0)) / SHIFT


def test_one_view_at_the_rate_of_control(tmp_path, capsys):
    for name, count in (("b", 31), ("a", 16)):
        write_video(tmp_path / f"movies/{name}.mp4", range(count), fps=15)
    (tmp_path / "movies/c.mp4").write_bytes(b"no video")
    assert cli.main(["data", str(tmp_path / "movies")]) == 0
    said = capsys.readouterr().out
    assert "a folder of 3 videos, views video 64x96 15 Hz mpeg4" in said
    assert "--from videos --out mine.hdf5 --task TASK" in said
    out = tmp_path / "o.hdf5"
    command = ["convert", str(tmp_path / "movies"), "--from", "videos", "--out", str(out)]
    assert cli.main([*command, "--task", "fold"]) == 1
    said = capsys.readouterr().out
    assert "c.mp4 cannot be decoded" in said
    assert "2 episodes written as hdf5, 1 could not be" in said
    file = EpisodeFile(out)
    assert (file.roles, file.views, file.control_period_s) == (["action_free"] * 2, ("video",), 0.1)
    assert [len(episode) for episode in file] == [10, 20]
    first = file[0]
    assert (first.info["video"], first.info["proprio"]) == ("a", "none")
    assert first.joint_position.shape == (11, 0)
    np.testing.assert_allclose(shade(first.images["video"]), 1.5 * np.arange(11), atol=1.0)
    assert not first.disturbed.any()
    assert cli.main(["data", str(out)]) == 0


def test_views_are_folders_and_a_map_sets_their_sizes(tmp_path, capsys):
    for view, fps in (("top", 10), ("side", 20)):
        write_video(tmp_path / f"m/{view}/one.mp4", range(fps * 2 + 1), fps=fps)
    write_video(tmp_path / "m/top/two.mp4", range(9))
    assert cli.main(["data", str(tmp_path / "m"), "--map"]) == 0
    path = tmp_path / "map.yaml"
    path.write_text(capsys.readouterr().out.replace("[64, 96]", "[32, 32]"))
    done = translate(
        [tmp_path / "m"], "videos", tmp_path / "o.hdf5", "hdf5", "fold", load_map(path)
    )
    assert (done.count, len(done.errors)) == (1, 1)
    assert "two is missing in view side" in done.errors[0]
    episode = EpisodeFile(tmp_path / "o.hdf5")[0]
    assert episode.images["side"].shape == (21, 32, 32, 3)
    np.testing.assert_allclose(shade(episode.images["top"]), np.arange(21), atol=1.0)
    shown = shade(episode.images["side"])[:18]  # shades come again after that
    np.testing.assert_allclose(shown, 2 * np.arange(18), atol=1.0)


def test_videos_are_known_by_what_they_show(tmp_path):
    out = tmp_path / "o.hdf5"
    for folder, rows in (("m", range(9)), ("n", range(9, 18))):
        write_video(tmp_path / folder / "a.mp4", rows)
    for folder, count, there in (("m", 1, 0), ("n", 1, 0), ("m", 0, 1), ("n", 0, 1)):
        done = translate([tmp_path / folder], "videos", out, "hdf5", "fold")
        assert (done.count, done.there) == (count, there)


def test_folders_without_videos(tmp_path):
    with pytest.raises(DatasetError, match="holds no video"):
        translate([tmp_path], "videos", tmp_path / "o.hdf5", "hdf5", "fold")
    write_video(tmp_path / "a.mp4", range(5))
    with pytest.raises(DatasetError, match="name it with --task"):
        translate([tmp_path], "videos", tmp_path / "o.hdf5", "hdf5")
