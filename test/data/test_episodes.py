import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from synthetic import make_episode, write_file

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.table import Source, load_table


def test_episode_comes_back_as_written(tmp_path):
    path = tmp_path / "set.hdf5"
    first, second = make_episode(3), make_episode(4, "action_free")
    with EpisodeWriter(path, task="lift") as writer:
        writer.add(first)
        writer.add(second)
    file = EpisodeFile(path)
    assert (len(file), file.task, file.views) == (2, "lift", ("agentview", "eye_in_hand"))
    back = file[0]
    for view, frames in first.images.items():
        np.testing.assert_array_equal(back.images[view], frames)
    np.testing.assert_array_equal(back.actions, first.actions)
    np.testing.assert_array_equal(back.ee_pose, first.ee_pose)
    assert (back.seed, back.role, back.success, back.info) == (
        3,
        "expert",
        True,
        {"mode": "nearest"},
    )
    assert file[1].actions is None


def test_file_opens_as_robomimic_lays_it_out(tmp_path):
    path = write_file(tmp_path / "set.hdf5", count=1)
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        assert demo.attrs["num_samples"] == len(demo["actions"])
        assert demo["obs/agentview_image"].shape[0] == len(demo["actions"]) + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: setattr(e, "role", "teacher"), "role is 'teacher'; allowed: expert"),
        (lambda e: setattr(e, "actions", e.actions[:-1]), "actions is (19, 8)"),
        (lambda e: e.images.update(agentview=e.images["agentview"][1:]), "agentview has 20 frames"),
        (lambda e: e.ee_pose.__setitem__((3, 0), np.nan), "episode of seed 0: ee_pose holds NaN"),
        (lambda e: setattr(e, "actions", None), "without actions"),
        (lambda e: setattr(e, "before", np.zeros((20, 8))), "before is (20, 8); expected (21, 8)"),
    ],
)
def test_broken_episode_is_refused_by_name_and_harms_nothing(tmp_path, change, words):
    path = write_file(tmp_path / "set.hdf5", count=2)
    episode = make_episode(0)
    change(episode)
    with EpisodeWriter(path, task="lift") as writer, pytest.raises(DatasetError) as refusal:
        writer.add(episode)
    assert words in str(refusal.value)
    assert len(EpisodeFile(path)) == 2


def test_collection_goes_on_after_a_kill(tmp_path):
    path = tmp_path / "set.hdf5"
    code = (
        "import os, signal, sys\n"
        "from synthetic import make_episode\n"
        "from vilp_ros.data.episode_writer import EpisodeWriter\n"
        "writer = EpisodeWriter(sys.argv[1], task='lift')\n"
        "writer.add(make_episode(7)); writer.add(make_episode(8))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    with EpisodeWriter(path, task="lift") as writer:
        assert writer.seeds == [(7, "nearest"), (8, "nearest")]
        writer.add(make_episode(9))
    assert [e.seed for e in EpisodeFile(path)] == [7, 8, 9]


def test_half_written_episode_is_dropped(tmp_path):
    path = write_file(tmp_path / "set.hdf5", count=2)
    with h5py.File(path, "a") as file:
        del file["data/demo_1"].attrs["seed"]  # the mark of a whole episode
    assert len(EpisodeFile(path)) == 1
    with EpisodeWriter(path, task="lift") as writer:
        writer.add(make_episode(5))
    assert [e.seed for e in EpisodeFile(path)] == [0, 5]


def test_a_kill_at_any_moment_loses_only_the_episode_that_was_being_written(tmp_path):
    path = tmp_path / "set.hdf5"
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from dataclasses import replace\n"
        "from synthetic import make_episode\n"
        "from vilp_ros.data.episode_writer import EpisodeWriter\n"
        "writer = EpisodeWriter(sys.argv[1], task='lift')\n"
        "episode, rng = make_episode(7), np.random.default_rng()\n"
        "while True:\n"
        "    stream = writer.stream()\n"
        "    for _ in range(len(episode) + 1):\n"
        "        print('frame', flush=True)\n"
        "        stream.append({v: rng.integers(0, 255, (48, 64, 3), np.uint8) for v in 'ab'})\n"
        "    stream.finish(replace(episode, images={}))\n"
        "    print('whole', flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    rng, whole = np.random.default_rng(0), 0
    for lines in (1, *rng.integers(1, 80, 7)):
        command = [sys.executable, "-c", code, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            said = [writer.stdout.readline() for _ in range(lines)]
            writer.kill()
            said += writer.stdout.read().splitlines(keepends=True)
        whole += said.count(b"whole\n")
        file = EpisodeFile(path)
        assert len(file) in (whole, whole + 1)  # it may have been killed before it said so
        whole = len(file)
        assert all(episode.images["a"].shape == (21, 48, 64, 3) for episode in file)
        file.close()
    with EpisodeWriter(path, task="lift") as again:
        again.add(make_episode(8))
    assert len(EpisodeFile(path)) == whole + 1


def test_other_task_and_missing_or_cut_file_are_refused(tmp_path):
    for opens in (EpisodeFile, lambda path: EpisodeWriter(path, task="lift")):
        with pytest.raises(DatasetError, match="is a folder"):
            opens(tmp_path)
    path = write_file(tmp_path / "set.hdf5", count=1)
    with pytest.raises(DatasetError, match="task 'lift', not 'can'"):
        EpisodeWriter(path, task="can")
    with pytest.raises(DatasetError, match="depth_range_m"):
        EpisodeWriter(path, task="lift", depth_range_m={"agentview": (0.4, 1.6)})
    with pytest.raises(DatasetError, match="vilp collect"):
        EpisodeFile(tmp_path / "absent.hdf5")
    cut = tmp_path / "cut.hdf5"
    cut.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DatasetError, match="cut off"):
        EpisodeFile(cut)


def test_depth_of_different_ranges_is_not_mixed(tmp_path):
    paths = [tmp_path / f"{far}.hdf5" for far in (1, 2)]
    for far, path in enumerate(paths, 1):
        with EpisodeWriter(path, task="lift", depth_range_m={"agentview": (0.4, far)}) as writer:
            writer.add(make_episode(0))
    assert EpisodeFile(paths[1]).depth_range_m == {"agentview": (0.4, 2)}
    sources = [Source(str(path), "expert") for path in paths]
    with pytest.raises(DatasetError, match=r"depth ranges.*agentview"):
        load_table(sources, ("agentview",))
    load_table(sources, ("eye_in_hand",))


def test_table_keeps_roles_and_withholds_the_actions_of_action_free(tmp_path):
    expert = write_file(tmp_path / "expert.hdf5", count=5)
    failed = write_file(tmp_path / "failed.hdf5", "suboptimal", count=3)
    table = load_table(
        [
            Source(str(expert), "expert", 0, 2),
            Source(str(expert), "action_free", 2),
            Source(str(failed), "suboptimal"),
        ],
        ("agentview",),
    )
    assert list(table.role) == ["expert"] * 2 + ["action_free"] * 3 + ["suboptimal"] * 3
    steps = table.timeline.steps(table.episodes("action_free"))
    assert np.isnan(table.actions[steps]).all()
    assert np.isfinite(table.actions[table.timeline.steps(table.episodes("expert"))]).all()
    first = table.timeline.start[1]
    assert (table.change[first] == 0).all()  # the change never reaches across episodes
    np.testing.assert_allclose(
        table.change[first + 1], table.proprio[first + 1] - table.proprio[first]
    )


def test_table_says_what_does_not_fit(tmp_path):
    path = str(write_file(tmp_path / "a.hdf5", count=2))
    other = str(write_file(tmp_path / "b.hdf5", count=2, task="can"))
    free = str(write_file(tmp_path / "c.hdf5", "action_free", count=2))
    with pytest.raises(DatasetError, match="holds 2 episodes of role expert; 1 to 5"):
        load_table([Source(path, "expert", 1, 4)], ())
    with pytest.raises(DatasetError, match="different tasks"):
        load_table([Source(path, "expert"), Source(other, "expert")], ())
    with pytest.raises(DatasetError, match="only be action_free"):
        load_table([Source(free, "expert")], ())
    with pytest.raises(DatasetError, match="front"):
        load_table([Source(path, "expert")], ("front",))
    with pytest.raises(DatasetError, match=r"data\.expert"):
        load_table([], ())
