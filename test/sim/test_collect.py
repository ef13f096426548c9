from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from synthetic import write_file

from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.errors import VilpError
from vilp_ros.sim import collect as collection
from vilp_ros.sim.collect import collect, record
from vilp_ros.sim.demonstrator import Job

VIEWS = ("agentview", "eye_in_hand")


def test_a_killed_collection_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "wide.hdf5"
    command = [sys.executable, "-m", "vilp_ros", "collect", "--task", "lift_wide"]
    command += ["--episodes", "4", "--out", str(path), "--noise", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        shown = b""
        while b"1/4" not in shown:
            chunk = process.stderr.read1()
            assert chunk, shown.decode()
            shown += chunk
        os.kill(process.pid, signal.SIGKILL)
        process.stderr.read()  # ends when the workers, too, are gone: they notice by themselves
    before = len(EpisodeFile(path))
    assert 1 <= before < 4

    report = collect("lift_wide", path, 4, 0, noise=0.0)
    assert (report.found, report.recorded) == (before, 4 - before)
    episodes = list(EpisodeFile(path))
    assert sorted((e.seed, e.info["mode"]) for e in episodes) == [
        (seed, mode) for seed in (0, 1) for mode in ("nearest", "other")
    ]
    for a in episodes:
        assert a.success
        assert not a.disturbed.any()
        assert a.images["eye_in_hand"].shape == (len(a) + 1, 96, 160, 3)
        for b in episodes:
            if a.seed == b.seed:  # a mode must not be told from the start
                np.testing.assert_array_equal(a.ee_pose[0], b.ee_pose[0])
                np.testing.assert_array_equal(a.images["agentview"][0], b.images["agentview"][0])


def test_recorded_actions_are_what_moved_the_arm(sim):
    seed = 1  # its episodes start at rest, where a reset ends
    episode = record(sim("lift_wide", VIEWS), Job(seed, "other", "expert", noise=0.3))
    assert episode.disturbed.any()
    env = sim("lift_wide")
    np.testing.assert_allclose(env.reset(seed).ee_pose, episode.ee_pose[0], atol=1e-6)
    for k, action in enumerate(episode.actions):
        np.testing.assert_allclose(env.step(action).ee_pose, episode.ee_pose[k + 1], atol=1e-5)


def test_suboptimal_episodes_fail_and_keep_their_actions(sim):
    env = sim("lift_wide", VIEWS)
    episodes = [record(env, Job(s, "nearest", "suboptimal", 0.2)) for s in (100, 101)]
    assert not any(e.success for e in episodes)
    assert all(len(e.actions) == len(e) for e in episodes)
    assert all(np.ptp(e.ee_pose[:, 2]) > 0.05 for e in episodes)  # it does move about


def test_action_free_episodes_have_no_actions(sim):
    episode = record(sim("lift_wide", VIEWS), Job(102, "nearest", "action_free", 0.0))
    episode.check()
    assert episode.success
    assert episode.actions is None


@pytest.mark.parametrize("task", ["lift_wide", "push_t"])
def test_play_moves_what_may_move_and_has_no_outcome(sim, task):
    env = sim(task)
    may = env.spec.disturbance
    episodes = [record(env, Job(seed, "play", "play", 0.25)) for seed in range(3)]
    for episode in episodes:
        episode.check("ee_pose")
        assert episode.role == "play"
        assert not episode.disturbed.any()
        moved = np.ptp(episode.ee_pose[:, :3], axis=0) > 0.03
        np.testing.assert_array_equal(moved, np.array(may.position) > 0)
    widths = np.concatenate([episode.actions[:, 7] for episode in episodes])
    assert (np.ptp(widths) > 0.07) == may.fingers
    again = record(env, Job(0, "play", "play", 0.0))
    np.testing.assert_array_equal(again.actions, episodes[0].actions)


def test_play_is_kept_whatever_comes_and_once_a_pose(tmp_path):
    report = collect("lift", tmp_path / "p.hdf5", 2, 300, role="play")
    assert (report.recorded, report.discarded, report.disturbed) == (2, 0, 0)
    file = EpisodeFile(tmp_path / "p.hdf5")
    assert file.roles == ["play", "play"]
    assert [e.seed for e in file] == [300, 301]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"role": "novice"}, "suboptimal"),
        ({"noise": 1.0}, "below 1"),
        ({"seed_start": 599_999}, "for evaluation"),
        ({"seed_start": -5}, "--seed-start at least 0"),
        ({"episodes": 0}, "at least 1"),
    ],
)
def test_a_collection_that_makes_no_sense_is_refused(tmp_path, change, named):
    arguments = {"task": "lift_wide", "episodes": 10, "seed_start": 0} | change
    with pytest.raises(VilpError, match=named):
        collect(path=tmp_path / "x.hdf5", **arguments)
    assert not (tmp_path / "x.hdf5").exists()


def test_no_pose_of_the_evaluation_is_recorded_in_place_of_a_lost_one():
    jobs = collection._jobs(("a", "b"), VALIDATION_SEEDS - 1, "expert", 0.0)
    assert [(next(jobs).seed, next(jobs).mode)] == [(VALIDATION_SEEDS - 1, "b")]
    with pytest.raises(VilpError, match="for evaluation"):
        next(jobs)


def test_an_expert_that_always_fails_is_not_tried_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "_record", lambda *_: (None, collection.ATTEMPTS))
    monkeypatch.setattr(collection, "processes", lambda *_: ThreadPoolExecutor(1))
    with pytest.raises(VilpError, match="did not succeed at 30 poses in a row, 5 attempts each"):
        collect("lift", tmp_path / "e.hdf5", 3, 0)


def test_a_file_of_another_role_is_not_counted_as_done(tmp_path):
    """Ten expert episodes once were ten failures that need not be recorded."""
    write_file(tmp_path / "e.hdf5", count=2)
    with pytest.raises(VilpError, match="holds expert, not suboptimal: choose another --out"):
        collect("lift", tmp_path / "e.hdf5", 2, 0, role="suboptimal")
