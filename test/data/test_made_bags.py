"""A bag is converted once and in one way: what a dataset holds is compared with what is asked."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from bags import SMALL, contract, traffic, write_bag

from vilp_ros.data.bag import Bag, relabel
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.convert_apart import convert_apart
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.made import BAG_NOTE

TOOL = "safe_action: hold\ntool: {xyz: [0.0, 0.0, 0.163]}\n"
LONGER = SMALL.replace("safe_action: hold\n", TOOL.replace("0.163", "0.3"))
SCALED = SMALL.replace("\n\naction:", "\n  gripper_scale: 0.5\n\naction:")
WITH_TOOL = SMALL.replace("safe_action: hold\n", TOOL)


def foreign(path, messages=None):
    """A bag of another recorder, which gives it no id."""
    relabel(write_bag(path, messages), {"id": ""})
    return path


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(contract=contract(SCALED)), "contract.proprio.gripper_scale was 1.0, now 0.5"),
        (Choice(contract=contract(WITH_TOOL)), 'contract.tool was none, now {"xyz": [0.0, 0.0'),
        (Choice(role="play"), 'role was none, now "play"'),
        (Choice(rest=True), "rest was false, now true"),
        (Choice(topics={"ee_pose": "/ee_pose"}), 'topics was [], now ["ee_pose:=/ee_pose"]'),
    ],
)
def test_a_bag_that_is_there_is_not_converted_in_another_way(tmp_path, choice, words):
    path, out = write_bag(tmp_path / "bag"), tmp_path / "d.hdf5"
    assert not convert_bag(path, out, Choice()).error
    assert convert_bag(path, out, Choice()).there
    same = SMALL.replace("ee_speed: 1.0", "ee_speed: 0.5")  # of what the arm may do, not of numbers
    assert convert_bag(path, out, Choice(contract=contract(same))).there
    outcome = convert_bag(path, out, choice)
    assert not outcome.there
    assert f"{out} holds {path}, converted in another way: {words}" in outcome.error
    assert outcome.error.endswith("choose another --out")
    assert len(EpisodeFile(out)) == 1


def test_bags_of_a_robot_share_what_its_contract_says_of_numbers(tmp_path):
    bags, out = [write_bag(tmp_path / name) for name in "abc"], tmp_path / "d.hdf5"
    assert not convert_bag(bags[0], out, Choice(contract=contract(WITH_TOOL))).error
    found = convert_bag(bags[1], out, Choice(contract=contract(LONGER))).error
    assert "bags of sim_panda that were converted by another contract" in found
    assert "tool.xyz was [0.0, 0.0, 0.163], now [0.0, 0.0, 0.3]; choose another --out" in found
    # How it is read, and from where, may differ.
    renamed = WITH_TOOL.replace("rate_hz: 20.0", "rate_hz: 21.0", 1)
    assert not convert_bag(bags[1], out, Choice(contract=contract(renamed))).error
    with ThreadPoolExecutor(1) as cluster:
        cluster.slots = 1
        apart = list(convert_apart(bags, out, Choice(contract=contract(LONGER)), cluster))
        fresh = tmp_path / "e.hdf5"
        twice = list(convert_apart([bags[0], bags[0]], fresh, Choice(), cluster))
    assert ["another way" in o.error for o in apart] == [True, True, False]
    assert all("tool.xyz was" in outcome.error for outcome in apart)
    assert [(o.steps, o.there) for o in twice] == [(19, False), (0, True)]
    assert (len(EpisodeFile(out)), len(EpisodeFile(fresh))) == (2, 1)


def test_a_dataset_without_notes_is_taken_as_it_is(tmp_path):
    bags, out = [foreign(tmp_path / "a"), write_bag(tmp_path / "b")], tmp_path / "d.hdf5"
    for path in bags:
        assert not convert_bag(path, out, Choice()).error
    with h5py.File(out, "a") as file:
        for group in file["data"].values():
            del group.attrs[f"info.{BAG_NOTE}"]
        older = file["data/demo_0"].attrs["info.bag_id"].decode().rpartition(":")[0]
        file["data/demo_0"].attrs["info.bag_id"] = np.bytes_(older)
    other = Choice(contract=contract(WITH_TOOL))
    assert [convert_bag(path, out, other).there for path in bags] == [True, True]
    assert not convert_bag(write_bag(tmp_path / "c"), out, other).error


def moved(by_m):
    for name, body in traffic(contract()):
        if name == "ee_pose":
            body.pose.position.x += by_m
        yield name, body


@pytest.mark.parametrize("checksums", [True, False])
def test_bags_of_the_same_times_are_told_apart_by_what_they_hold(tmp_path, checksums):
    first, other = foreign(tmp_path / "a"), foreign(tmp_path / "b", moved(0.01))
    if not checksums:
        for path in (first, other):
            without_checksums(path)
    with Bag(first) as one, Bag(other) as two:
        assert one.start_ns == two.start_ns
        assert one.counts == two.counts
        assert one.id != two.id
    out = tmp_path / "d.hdf5"
    assert [convert_bag(p, out, Choice()).steps for p in (first, other)] == [19, 19]
    shutil.move(first, tmp_path / "renamed")
    assert convert_bag(tmp_path / "renamed", out, Choice()).there
    relabel(other, {"outcome": "failure", "seed": "5"})
    assert convert_bag(other, out, Choice()).there
    assert len(EpisodeFile(out)) == 2


def without_checksums(path):
    """Makes of a bag one as recorders write that compute none."""
    import struct

    from vilp_ros.data.mcap_records import LIBRARY

    (file,) = path.glob("*.mcap")
    data = bytearray(file.read_bytes().replace(LIBRARY.encode(), b"x" * len(LIBRARY)))
    at = 8
    while at + 9 < len(data) - 8:
        kind, size = struct.unpack_from("<BQ", data, at)
        if kind == 6:  # a chunk: its checksum lies behind two times and a size
            struct.pack_into("<I", data, at + 9 + 24, 0)
        if kind == 2:  # the footer: its checksum is the last of it
            struct.pack_into("<I", data, at + 9 + 16, 0)
        at += 9 + size
    file.write_bytes(data)


def test_a_bag_of_ours_that_was_changed_is_no_longer_the_one_that_is_there(tmp_path):
    path, out = write_bag(tmp_path / "bag"), tmp_path / "d.hdf5"
    assert not convert_bag(path, out, Choice()).error
    with Bag(path) as bag:
        given = bag.id
    shutil.rmtree(path)
    relabel(write_bag(path, moved(0.01)), {"id": given})
    found = convert_bag(path, out, Choice()).error
    assert f"{out} holds {path} with other messages, from before it was changed: choose" in found


def test_a_bag_whose_numbers_are_none_is_named(tmp_path):
    path = write_bag(tmp_path / "bag", moved(50.0), labels={"seed": "-1"})
    found = convert_bag(path, tmp_path / "d.hdf5", Choice(broken=True)).error
    assert found.startswith(f"{path}: ")
    assert "seed" not in found
