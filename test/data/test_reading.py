"""Reading a dataset checks what writing it checks, and ends, whatever the bytes are."""

import json
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from synthetic import make_episode, write_file

from vilp_ros.cli.main import main
from vilp_ros.data import hdf5
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.table import Source, load_table


def rewrite(group, key, change):
    """A dataset anew, as another program would write it: without a checksum."""
    rows = group[key][()]
    del group[key]
    group[key] = change(rows)


def put(key, at, value):
    def change(demo):
        def edit(rows):
            rows[at] = value
            return rows

        rewrite(demo, key, edit)

    return change


WRONG = {
    "NaN": (put("obs/ee_pose", (3, 0), np.nan), "ee_pose holds NaN or Inf"),
    "Inf action": (put("actions", (3, 0), np.inf), "actions holds NaN or Inf"),
    "zero quaternion": (
        put("obs/ee_pose", (3, slice(3, 7)), 0),
        "ee_pose has a quaternion of length 0 in row 3; expected 1",
    ),
    "zero quaternion of an action": (
        put("actions", (2, slice(3, 7)), 0),
        "actions has a quaternion of length 0 in row 2",
    ),
    "millimetres": (
        lambda demo: rewrite(demo, "obs/ee_pose", lambda p: p * [1000, 1000, 1000, 1, 1, 1, 1]),
        "from the base: expected metres, below 5",
    ),
    "negative width": (put("obs/gripper_width", 4, -0.04), "gripper_width has a gripper width of"),
    "width in millimetres": (put("actions", (4, 7), 80), "actions has a gripper width of 80"),
    "degrees": (put("obs/joint_position", (1, 1), 90), "joint_position is 90; expected radians"),
    "unknown role": (
        lambda demo: demo.attrs.__setitem__("role", "teacher"),
        "role is 'teacher'; allowed: expert, action_free",
    ),
    "short": (
        lambda demo: rewrite(demo, "obs/ee_pose", lambda p: p[:-1]),
        "obs/ee_pose has 20 rows, num_samples 20 and one are expected",
    ),
    "text": (
        lambda demo: rewrite(demo, "obs/gripper_width", lambda p: [b"wide"] * 21),
        "obs/gripper_width holds object, expected numbers",
    ),
    "no actions": (lambda demo: demo.__delitem__("actions"), "role 'expert' without actions"),
    "no joints": (lambda demo: demo.__delitem__("obs/joint_position"), "lacks"),
    "grey": (
        lambda demo: rewrite(demo, "obs/agentview_image", lambda p: p[..., 0]),
        "agentview is uint8 (21, 32, 32); expected uint8 (frames, H, W, 3)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_no_recording_says_is_refused_by_name_and_never_trained_on(tmp_path, capsys, case):
    change, words = WRONG[case]
    path = write_file(tmp_path / "set.hdf5", count=3)
    with h5py.File(path, "a") as file:
        change(file["data/demo_1"])
    with pytest.raises(DatasetError) as refusal:
        load_table([Source(str(path), "expert")], ("agentview",))
    assert str(refusal.value).startswith(f"{path}, demo_1")
    assert words in str(refusal.value)
    whole = write_file(tmp_path / "whole.hdf5", count=1)
    assert main(["data", str(path), str(whole)]) == 1
    said = capsys.readouterr().out
    assert f"{path}, demo_1" in said.replace("\n", "")
    assert "expert 1" in said  # of the other one


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("control_period_s", 0.0, "control_period_s is 0, expected 0.001 to 1 s"),
        ("control_period_s", np.nan, "control_period_s is nan"),
        ("control_period_s", -0.05, "control_period_s is -0.05"),
        ("action_kind", "foo", "action_kind is 'foo', not ee_pose or joint_position"),
        ("depth_range_m", '{"agentview": [2, 1]}', "depth_range_m of agentview is 2 to 1 m"),
        ("depth_range_m", "{", "damaged"),
        ("task", 3, "found 3 where a text was expected"),
    ],
)
def test_what_holds_for_all_episodes_is_checked_before_any_is_read(tmp_path, key, value, words):
    path = write_file(tmp_path / "set.hdf5", count=1)
    with h5py.File(path, "a") as file:
        file["data"].attrs[key] = value
    with pytest.raises(DatasetError) as refusal:
        EpisodeFile(path)
    assert words in str(refusal.value)


@pytest.mark.parametrize("key", ["obs/agentview_image", "obs/ee_pose", "actions", "disturbed"])
def test_a_flipped_bit_is_found(tmp_path, key):
    path = write_file(tmp_path / "set.hdf5", count=1)
    with h5py.File(path) as file:
        chunk = file["data/demo_0"][key].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"demo_0/.* is damaged \(.*filter"):
        EpisodeFile(path)[0]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_whole_part_in_the_place_of_another_is_found(tmp_path, streamed):
    """As disks do that write a block to a wrong place: every checksum of HDF5 is right."""
    path, episode = tmp_path / "set.hdf5", make_episode(0, length=40)
    images = episode.images
    with EpisodeWriter(path, task="lift") as writer:
        if streamed:
            stream = writer.stream()
            for t in range(44):  # the last ones are not kept
                stream.append({view: frames[min(t, 40)] for view, frames in images.items()})
            episode.images = {}
            stream.finish(episode)
        else:
            writer.add(episode)
    file = EpisodeFile(path)
    np.testing.assert_array_equal(file[0].images["agentview"], images["agentview"])
    picks = np.array([15, 16, 40])
    np.testing.assert_array_equal(file.frames(0, "agentview", picks), images["agentview"][picks])
    np.testing.assert_array_equal(
        file.frames(0, "agentview", slice(30, 99)), images["agentview"][30:]
    )
    file.close()
    with h5py.File(path) as plain:
        index = plain["data/demo_0/obs/agentview_image"].id
        first, second = (index.get_chunk_info(k).byte_offset for k in range(2))
    data = bytearray(path.read_bytes())
    places = [first.to_bytes(8, "little"), second.to_bytes(8, "little")]
    ats = [data.index(place) for place in places]
    for at, place in zip(ats, reversed(places)):
        data[at : at + 8] = place
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="agentview_image is damaged"):
        EpisodeFile(path)[0]
    with pytest.raises(DatasetError, match="agentview_image is damaged"):
        EpisodeFile(path).frames(0, "agentview", np.array([3]))


def test_frames_far_apart_cost_no_more_than_their_blocks(tmp_path, monkeypatch):
    path, episode = tmp_path / "set.hdf5", make_episode(0, length=320)
    with EpisodeWriter(path, task="lift") as writer:
        writer.add(episode)
    read, plain = [], h5py.Dataset.__getitem__

    def noted(dataset, rows):
        found = plain(dataset, rows)
        read.append(len(found) if np.ndim(found) else 0)
        return found

    file, frames = EpisodeFile(path), episode.images["agentview"]
    monkeypatch.setattr(h5py.Dataset, "__getitem__", noted)
    for picks in ([0, 320], [3, 17, 200, 201], list(range(16)) + [100], list(range(100, 140))):
        read.clear()
        np.testing.assert_array_equal(file.frames(0, "agentview", np.array(picks)), frames[picks])
        assert sum(read) <= 16 * len({pick // 16 for pick in picks})


def test_a_part_that_is_missing_is_no_row_of_zeros(tmp_path):
    path = write_file(tmp_path / "set.hdf5", count=1)
    with h5py.File(path, "a") as file:
        demo = file["data/demo_0"]
        del demo["actions"]
        demo.create_dataset("actions", (20, 8), np.float32, chunks=(5, 8))[:10] = 0
    with pytest.raises(DatasetError, match=r"actions is damaged \(2 of 4 parts are there\)"):
        EpisodeFile(path)[0]


def test_a_part_on_which_the_library_crashes_is_a_sentence(tmp_path):
    path = write_file(tmp_path / "set.hdf5", count=1)
    with h5py.File(path) as file:
        chunk = file["data/demo_0/obs/agentview_image"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    at = data.index(chunk.size.to_bytes(4, "little") + bytes(4 + 8))  # in the index: size, place
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(
        DatasetError, match=r"agentview_image is damaged \(1 of 2 parts are there\)"
    ):
        EpisodeFile(path)[0]


def test_pictures_that_cannot_be_packed_are_read(tmp_path):
    episode = make_episode(0)
    noise = np.random.default_rng(0).integers(0, 255, (21, 32, 32, 3), np.uint8)
    episode.images = {"agentview": noise}
    with EpisodeWriter(tmp_path / "set.hdf5", task="lift") as writer:
        writer.add(episode)
    file = EpisodeFile(tmp_path / "set.hdf5")
    np.testing.assert_array_equal(file[0].images["agentview"], noise)
    np.testing.assert_array_equal(file.frames(0, "agentview", np.array([3, 17])), noise[[3, 17]])


def test_a_file_that_another_program_writes_is_waited_for_and_not_removed(tmp_path):
    path = write_file(tmp_path / "set.hdf5", count=1)
    code = (
        "import h5py, sys\n"
        "file = h5py.File(sys.argv[1], 'a')\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        for opens in (EpisodeFile, lambda path: EpisodeWriter(path, task="lift")):
            with pytest.raises(DatasetError, match="is open in another program") as refusal:
                opens(path)
            assert "wait until that has ended" in str(refusal.value)
            assert "remove" not in str(refusal.value)
        other.stdin.close()
    assert len(EpisodeFile(path)) == 1


def hang(path):
    """A file on which HDF5 loops: the free space of a heap of strings has no length."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["task"] = "lift"
        data.attrs["action_kind"] = "ee_pose"
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    while content[at : at + 2] != b"\x00\x00":  # objects; the last is the free space
        size = int.from_bytes(content[at + 8 : at + 16], "little")
        at += 16 + -(-size // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    return path


def test_a_file_on_which_the_library_never_ends_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hdf5, "LOOK_CPU_S", 1)
    path = hang(tmp_path / "hangs.hdf5")
    assert main(["data", str(path)]) == 1
    said = capsys.readouterr().out
    assert f"{path} is damaged: the HDF5 library never comes to an end on it" in said
    with pytest.raises(DatasetError, match="never comes to an end"):
        EpisodeWriter(path, task="lift")


@pytest.mark.parametrize("crashes_alone", [False, True])
def test_a_look_that_dies_of_its_parent_is_taken_again_alone(tmp_path, monkeypatch, crashes_alone):
    """A fork takes along half of what threads were doing: that it dies says nothing of a file."""
    path = write_file(tmp_path / "set.hdf5", count=1)
    monkeypatch.setattr(hdf5, "_walk", lambda path: os.kill(os.getpid(), signal.SIGTERM))
    if not crashes_alone:
        assert len(EpisodeFile(path)) == 1
        return
    crash = tmp_path / "bin" / "python"
    crash.parent.mkdir()
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(DatasetError, match="the HDF5 library crashes on it"):
        EpisodeFile(path)


def test_one_damaged_episode_does_not_end_a_translation(tmp_path, capsys):
    path, out = write_file(tmp_path / "set.hdf5", count=3), tmp_path / "out.hdf5"
    with h5py.File(path, "a") as file:
        put("obs/ee_pose", (3, 0), np.nan)(file["data/demo_1"])
    argv = ["convert", str(path), "--from", "hdf5", "--out", str(out), "--no-sheets"]
    assert main(argv) == 1
    assert "demo_1: ee_pose holds NaN" in capsys.readouterr().out
    assert [e.seed for e in EpisodeFile(out)] == [0, 2]


def test_strings_lie_where_a_checksum_is(tmp_path):
    path = write_file(tmp_path / "set.hdf5", count=2)
    assert b"GCOL" not in path.read_bytes()
    file = EpisodeFile(path)
    assert (file.task, file.roles, file[1].info) == ("lift", ["expert"] * 2, {"mode": "nearest"})


def test_a_dataset_of_an_older_version_reads_as_before(tmp_path):
    """No checksums, strings of variable length."""
    path, old = write_file(tmp_path / "set.hdf5", count=2), tmp_path / "old.hdf5"

    def plain(value):
        return value.decode() if isinstance(value, bytes) else value

    with h5py.File(path) as new, h5py.File(old, "w") as file:
        for key, value in new["data"].attrs.items():
            file.require_group("data").attrs[key] = plain(value)
        for name, demo in new["data"].items():
            group = file["data"].create_group(name)
            for key in ("actions", "disturbed", *(f"obs/{k}" for k in demo["obs"])):
                group[key] = demo[key][()]
            for key, value in demo.attrs.items():
                group.attrs[key] = plain(value)
    for one, other in zip(EpisodeFile(path), EpisodeFile(old)):
        assert (one.role, one.seed, one.info) == (other.role, other.seed, other.info)
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.images["agentview"], other.images["agentview"])
    with EpisodeWriter(old, task="lift") as writer:
        writer.add(make_episode(9))
    assert [e.seed for e in EpisodeFile(old)] == [0, 1, 9]
    assert json.loads(json.dumps(EpisodeFile(old)[0].info)) == {"mode": "nearest"}
