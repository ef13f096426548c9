"""robomimic's actions, absolute and as deltas, in the frame of the hand and of the grip site."""

import json

import h5py
import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.formats import translate
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.geometry import quat_multiply, quat_to_rotvec, rotvec_to_quat

QUARTER = rotvec_to_quat([0, 0, np.pi / 2])
OSC = {"type": "OSC_POSE", "input_max": 1, "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5]}


@pytest.fixture
def theirs(tmp_path):
    """A function: a file of robomimic with these actions, and the poses of its hand."""

    def make(actions, controller, absolute=None, turn=None):
        with EpisodeWriter(tmp_path / "ours.hdf5", task="lift") as writer:
            writer.add(make_episode(0))
        path = tmp_path / "theirs.hdf5"
        translate([tmp_path / "ours.hdf5"], "hdf5", path, "robomimic")
        with h5py.File(path, "a") as file:
            kwargs = {"control_freq": 20, "controller_configs": controller}
            body = {"env_name": "Lift", "type": 1, "env_kwargs": kwargs}
            file["data"].attrs["env_args"] = json.dumps(body)
            demo = file["data/demo_0"]
            del demo.attrs["vilp_ros"], demo["actions"], demo["disturbed"]
            pose = make_episode(0).ee_pose
            demo["actions"] = actions(pose)
            if absolute is not None:
                demo["actions_abs"] = absolute(pose)
            if turn is not None:
                for group in ("obs", "next_obs"):
                    quats = demo[f"{group}/robot0_eef_quat"]
                    quats[...] = quat_multiply(quats[...], turn)
        return path

    return make


def rows(position, rotvec, grip=-1.0):
    count = len(position)
    turn = np.broadcast_to(rotvec, (count, 3))
    return np.concatenate([position, turn, np.full((count, 1), grip)], axis=1)


def targets(pose):
    return rows(pose[1:, :3], quat_to_rotvec(pose[1:, 3:]))


def deltas(pose):
    return rows(np.diff(pose[:, :3], axis=0) / 0.05, [0, 0, 0.2], 1.0)


def read(path, tmp_path):
    done = translate([path], "robomimic", tmp_path / "out.hdf5", "hdf5")
    return done, EpisodeFile(tmp_path / "out.hdf5")[0] if done.count else None


def test_absolute_actions(theirs, tmp_path):
    done, episode = read(theirs(targets, {**OSC, "control_delta": False}), tmp_path)
    assert (done.errors, done.notes) == ([], [])
    np.testing.assert_allclose(episode.actions[:, :7], episode.ee_pose[1:], atol=1e-6)
    np.testing.assert_allclose(episode.actions[:, 7], 0.08)


def test_actions_abs_beside_deltas_are_taken(theirs, tmp_path):
    done, episode = read(theirs(deltas, {**OSC, "control_delta": True}, targets), tmp_path)
    assert "targets are those of actions_abs" in done.notes[0]
    np.testing.assert_allclose(episode.actions[:, :7], episode.ee_pose[1:], atol=1e-6)


def test_deltas_become_targets_where_their_worth_is_told(theirs, tmp_path):
    done, episode = read(theirs(deltas, {**OSC, "control_delta": True}), tmp_path)
    assert done.errors == []
    np.testing.assert_allclose(episode.actions[:, :3], episode.ee_pose[1:, :3], atol=1e-6)
    turned = quat_multiply(rotvec_to_quat([0, 0, 0.1]), episode.ee_pose[:-1, 3:])
    np.testing.assert_allclose(np.abs(np.sum(turned * episode.actions[:, 3:7], 1)), 1, atol=1e-6)
    np.testing.assert_allclose(episode.actions[:, 7], 0.0, atol=1e-9)


def test_deltas_of_unknown_worth_come_in_without_actions_and_say_so(theirs, tmp_path):
    done, episode = read(theirs(deltas, {"control_delta": True}), tmp_path)
    assert episode.role == "action_free"
    assert "does not say what a delta is worth" in done.notes[0]


def test_controllers_of_robosuite_1_5(theirs, tmp_path):
    parts = {"body_parts": {"right": {**OSC, "input_type": "absolute"}}}
    _, episode = read(theirs(targets, parts), tmp_path)
    np.testing.assert_allclose(episode.actions[:, :7], episode.ee_pose[1:], atol=1e-6)


def test_poses_are_turned_to_the_frame_of_their_targets(theirs, tmp_path):
    path = theirs(targets, {**OSC, "control_delta": False}, turn=QUARTER)
    done, episode = read(path, tmp_path)
    assert "turned by 90 degrees against robot0_eef_quat" in done.notes[0]
    dots = np.sum(episode.actions[:, 3:7] * episode.ee_pose[1:, 3:], axis=1)
    np.testing.assert_allclose(np.abs(dots), 1, atol=1e-6)


def test_targets_in_another_frame_are_refused(theirs, tmp_path):
    def askew(pose):
        turned = quat_multiply(rotvec_to_quat([1.0, 0.7, 0]), pose[1:, 3:])
        return rows(pose[1:, :3], quat_to_rotvec(turned))

    done, _ = read(theirs(askew, {**OSC, "control_delta": False}), tmp_path)
    assert done.count == 0
    assert "demo_0: targets lie 0 mm and" in done.errors[0]


def test_what_is_no_file_of_theirs(tmp_path):
    for content, words in ((b"version https://git-lfs.github.com", "git-lfs"), (b"", "is empty")):
        (tmp_path / "x.hdf5").write_bytes(content)
        with pytest.raises(DatasetError, match=words):
            translate([tmp_path / "x.hdf5"], "robomimic", tmp_path / "o.hdf5", "hdf5")
