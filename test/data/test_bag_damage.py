"""Bags that were renamed, lost their metadata, rotted or were written by another program."""

import shutil
import struct

import numpy as np
import pytest
import yaml
from bags import SMALL, contract, cut_off, serialized, traffic, write_bag
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from vilp_ros.cli.main import main
from vilp_ros.data.bag import Bag, BagError, find_bags, short_names, typestore
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.mcap_records import MAGIC
from vilp_ros.data.repair import repair

COUNT = 21 * 8  # messages in 20 periods of traffic
CHUNK = 6  # opcode of MCAP


def foreign_bag(path, compress=False, periods=60, rounds=1, custom=()):
    """As another program writes it: no checksums, no labels, maybe types of its own."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    if compress:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections = {}
    with writer:
        for name, definition in custom:
            kind = "my_msgs/msg/Force"
            connections[name] = writer.add_connection(
                name, kind, msgdef=definition, rihs01="RIHS01_" + "0" * 64
            )
            writer.write(connections[name], 1, b"\x00\x01\x00\x00" + struct.pack("<d", 3.5))
        for k, (name, body) in enumerate(list(traffic(contract(), periods)) * rounds):
            if name not in connections:
                connections[name] = writer.add_connection(
                    f"/{name}", body.__msgtype__, typestore=typestore()
                )
            writer.write(connections[name], 10**9 + 10**6 * k, serialized(body))
    return path


def chunks(data: bytes):
    """(start, end) of the chunk records of an MCAP file."""
    at, found = len(MAGIC), []
    while at + 9 <= len(data) - 8:
        kind, size = struct.unpack_from("<BQ", data, at)
        if kind == CHUNK:
            found.append((at, at + 9 + size))
        at += 9 + size
    return found


def rot(file, start: int, end: int, fill: int = 0) -> bytes:
    data = bytearray(file.read_bytes())
    data[start:end] = bytes([fill]) * (end - start)
    file.write_bytes(data)
    return bytes(data)


def read(path):
    with Bag(path) as bag:
        return list(bag.raw())


def edit_metadata(path, change):
    file = path / "metadata.yaml"
    body = yaml.safe_load(file.read_text())
    change(body["rosbag2_bagfile_information"])
    file.write_text(yaml.safe_dump(body))


def blank_qos(info):
    for topic in info["topics_with_message_count"]:
        topic["topic_metadata"]["offered_qos_profiles"] = ""


def other_qos(info):
    for topic in info["topics_with_message_count"]:
        topic["topic_metadata"]["offered_qos_profiles"] = [{"reliability": "reliable"}]


def newer(info):
    info["version"] = 10
    info["something_new"] = [1, 2]


@pytest.mark.parametrize("change", [blank_qos, other_qos, newer])
def test_metadata_of_other_versions_change_nothing_that_is_read(tmp_path, change):
    path = write_bag(tmp_path / "a")
    before = read(path)
    edit_metadata(path, change)
    assert read(path) == before
    assert len(before) == COUNT
    assert not repair(path).needed


def test_a_lone_file_reads_as_it_is_with_its_labels_and_under_any_name(tmp_path):
    path = write_bag(tmp_path / "a")
    before = read(path)
    (path / "a.mcap").rename(path / "run 7.mcap")
    assert read(path) == before  # metadata.yaml names a.mcap
    (path / "metadata.yaml").unlink()
    assert read(path) == before
    assert read(path / "run 7.mcap") == before
    with Bag(path) as bag:
        assert (bag.labels["task"], bag.seed) == ("lift", 3)
        assert bag.contract() == contract()
    assert not repair(path).needed
    assert convert_bag(path / "run 7.mcap", tmp_path / "d.hdf5", Choice()).steps == 19
    assert not (tmp_path / "a" / "metadata.yaml").exists()


def test_a_folder_of_single_files_is_a_bag_each_and_parts_of_one_recording_are_one(tmp_path):
    write_bag(tmp_path / "a")
    shots = tmp_path / "shots"
    shots.mkdir()
    for name in ("one", "two"):
        shutil.copy(tmp_path / "a/a.mcap", shots / f"{name}.mcap")
    assert find_bags([shots]) == [shots / "one.mcap", shots / "two.mcap"]
    split = tmp_path / "split"
    split.mkdir()
    for number in (0, 1, 10):
        shutil.copy(tmp_path / "a/a.mcap", split / f"split_{number}.mcap")
    assert find_bags([split]) == [split]
    assert len(read(split)) == 3 * COUNT


def test_a_hole_is_said_by_every_verb_and_what_precedes_it_is_saved(tmp_path, capsys):
    path = foreign_bag(tmp_path / "bag")
    whole, file = read(path), path / "bag.mcap"
    ((start, end),) = chunks(file.read_bytes())
    damaged = rot(file, (start + end) // 2, (start + end) // 2 + 512)
    with pytest.raises(BagError, match="is damaged"):
        read(path)
    assert main(["data", str(path)]) == 1
    assert f"`vilp repair {path}` saves what is whole" in capsys.readouterr().out
    found = repair(path)
    assert found.needed
    assert found.kept == path / "bag.mcap.damaged"
    assert found.kept.read_bytes() == damaged
    assert f"{len(whole) - found.messages} messages" in str(found)
    saved = read(path)
    assert saved == whole[: len(saved)]
    assert len(saved) > len(whole) // 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]


def test_messages_that_an_index_promises_and_nobody_finds_are_missed(tmp_path):
    path = foreign_bag(tmp_path / "bag")
    count, file = len(read(path)), path / "bag.mcap"
    data = bytearray(file.read_bytes())
    ((at, _),) = chunks(bytes(data))
    at += 9 + 40  # its first record; then some become records of nothing
    spans = []
    while len(spans) < 100:
        kind, size = struct.unpack_from("<BQ", data, at)
        spans += [(at, at + 9 + size)] if kind == 5 else []
        at += 9 + size
    start = spans[50][0]
    end = next(e for _, e in spans[50:] if (e - start) % 9 == 0)
    data[start:end] = bytes(end - start)
    file.write_bytes(data)
    with pytest.raises(BagError, match=r"is damaged \(\d+ of \d+ messages of /\S+ can be read\)"):
        read(path)
    assert 40 < repair(path).messages < count


def test_a_flipped_bit_in_a_picture_is_found(tmp_path):
    path = write_bag(tmp_path / "a")
    file = path / "a.mcap"
    data = bytearray(file.read_bytes())
    picture = next(body for name, body in traffic(contract()) if name == "agentview/image_raw")
    at = data.index(bytes(picture.data))
    data[at + 100] ^= 4
    file.write_bytes(data)
    with pytest.raises(BagError, match=r"is damaged \(Chunk checksum mismatch\)"):
        read(path)
    assert "checksum" in convert_bag(path, tmp_path / "d.hdf5", Choice()).error


@pytest.mark.parametrize("compress", [False, True])
def test_what_precedes_the_first_rotten_chunk_is_saved_whatever_its_types(tmp_path, compress):
    custom = [("/force", "float64 newtons\n")]
    path = foreign_bag(tmp_path / "bag", compress, periods=200, rounds=8, custom=custom)
    whole, file = read(path), path / "bag.mcap"
    (path / "metadata.yaml").unlink()
    found = chunks(file.read_bytes())
    assert len(found) >= 3
    start, _ = found[1]
    rot(file, start + 60, start + 600)
    with pytest.raises(BagError):
        read(path)
    result = repair(path)
    saved = read(path)
    assert (result.messages, saved) == (len(saved), whole[: len(saved)])
    assert saved[0] == ("/force", 1, b"\x00\x01\x00\x00" + struct.pack("<d", 3.5))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]
    assert sorted(p.name for p in path.iterdir()) == [
        "bag.mcap",
        "bag.mcap.damaged",
        "metadata.yaml",
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_of_a_chunk_without_an_end_what_is_there_is_saved(tmp_path, compress):
    """Compressed, it was once thrown away whole."""
    path = foreign_bag(tmp_path / "bag", compress, periods=200, rounds=8)
    whole, file = read(path), path / "bag.mcap"
    (path / "metadata.yaml").unlink()
    data = file.read_bytes()
    start, end = chunks(data)[0]
    file.write_bytes(data[: start + (end - start) * 4 // 5])
    result = repair(path)
    saved = read(path)
    assert saved == whole[: len(saved)]
    assert result.messages == result.unchecked == len(saved) > 50
    lost = 2**20 - sum(len(message) for _, _, message in saved)  # of a chunk of 1 MiB
    assert result.lost_bytes < lost / 2


def test_a_displaced_index_is_a_sentence_and_repair_walks_the_file(tmp_path, capsys):
    for number, write in enumerate((foreign_bag, write_bag)):
        path = write(tmp_path / f"bag{number}")
        whole, file = read(path), path / f"bag{number}.mcap"
        data = file.read_bytes()
        end = chunks(data)[-1][1]
        file.write_bytes(data[:end] + bytes(range(1, 250)) + data[end:])
        with pytest.raises(BagError, match="is damaged"):
            read(path)
        assert main(["data", str(path)]) == 1
        capsys.readouterr()
        repair(path)
        assert read(path) == whole


def test_a_checksum_that_is_gone_was_lost(tmp_path):
    path = write_bag(tmp_path / "a")
    file = path / "a.mcap"
    ((start, _),) = chunks(file.read_bytes())
    rot(file, start + 9 + 24, start + 9 + 28)
    with pytest.raises(BagError, match="a chunk has no checksum"):
        Bag(path)
    with pytest.raises(BagError, match="begins with no whole message"):
        repair(path)


def test_what_nothing_vouches_for_is_said(tmp_path):
    whole = read(write_bag(tmp_path / "whole"))
    path = cut_off(write_bag(tmp_path / "cut"))
    found = repair(path)
    assert f"of the last {found.messages} no checksum says" in str(found)
    assert read(path) == whole[: found.messages]
    path = write_bag(tmp_path / "shorter")  # finished, so that its chunk had an end
    file = path / "shorter.mcap"
    data = file.read_bytes()
    file.write_bytes(data[:40_000] + data[48_000:])
    with pytest.raises(BagError, match="begins with no whole message"):
        repair(path)


def test_nothing_is_changed_where_nothing_can_be_saved(tmp_path):
    path = write_bag(tmp_path / "a")
    none = "begins with no whole message: nothing is changed"
    for bytes_, words in ((b"", "holds nothing to save"), (b"not a bag at all" * 10, none)):
        (path / "a.mcap").write_bytes(bytes_)
        with pytest.raises(BagError, match=words):
            repair(path)
        assert (path / "a.mcap").read_bytes() == bytes_
        assert sorted(p.name for p in path.iterdir()) == ["a.mcap", "metadata.yaml"]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("lost", ["", "metadata.yaml", "file alone"])
def test_an_empty_bag_is_said_to_hold_nothing(tmp_path, capsys, lost):
    bag = foreign_bag(tmp_path / "bag")
    file = bag / "bag.mcap"
    file.write_bytes(b"")
    if lost == "metadata.yaml":
        (bag / lost).unlink()
    path = file if lost == "file alone" else bag
    for verb in (
        ["data"],
        ["repair"],
        ["convert", "--task", "t", "--out", str(tmp_path / "d.hdf5")],
    ):
        assert main([verb[0], str(path), *verb[1:]]) == 1
        said = capsys.readouterr()
        said = " ".join((said.out + said.err).split())
        assert f"{path} is empty (0 bytes) and holds nothing to save" in said
        assert "vilp repair" not in said
    assert file.exists()


def test_a_missing_part_and_a_promise_that_is_not_kept_are_said(tmp_path):
    path = write_bag(tmp_path / "a")
    edit_metadata(path, lambda info: info["relative_file_paths"].append("a_1.mcap"))
    with pytest.raises(BagError, match=r"a_1.mcap of metadata.yaml is missing"):
        Bag(path)
    path = write_bag(tmp_path / "b")
    edit_metadata(path, lambda i: i["topics_with_message_count"][0].update(message_count=900))
    with pytest.raises(BagError, match=r"promises 900 of /\S+, it has 21"):
        Bag(path)


def test_a_message_that_is_not_of_its_type_is_found_by_every_verb(tmp_path, capsys):
    path = foreign_bag(tmp_path / "bag")
    whole, file = read(path), path / "bag.mcap"
    data = file.read_bytes()
    picture = serialized([b for n, b in traffic(contract()) if n == "agentview/image_raw"][9])
    at = data.index(picture)
    size = data.index(b"rgb8", at) + 4 + 10  # behind it: endianness, step, length
    rot(file, at + size - 40, at + size, 255)
    assert main(["data", str(path)]) == 1
    assert "is damaged" in capsys.readouterr().out
    choice = Choice(contract=contract(), task="lift")
    assert "is damaged" in convert_bag(path, tmp_path / "d.hdf5", choice).error
    found = repair(path)
    assert found.kept
    assert read(path) == whole[: found.messages]
    assert found.messages > 40


def test_one_rotten_bag_does_not_end_a_batch(tmp_path, capsys):
    for name in ("b0", "b1", "b2"):
        write_bag(tmp_path / "rot" / name)
    file = tmp_path / "rot/b1/b1.mcap"
    ((start, end),) = chunks(file.read_bytes())
    rot(file, start + 3000, end - 3000)
    out = tmp_path / "x.hdf5"
    assert main(["convert", str(tmp_path / "rot"), "--out", str(out), "--no-sheets"]) == 1
    said = capsys.readouterr().out
    assert f"not converted: {tmp_path}/rot/b1 is damaged" in said
    assert "2 bags converted" in said
    assert len(EpisodeFile(out)) == 2
    assert main(["data", str(tmp_path / "rot")]) == 1


def test_two_bags_of_one_name_are_two_bags(tmp_path, capsys):
    days = [foreign_bag(tmp_path / day / "bag_0", periods=n) for day, n in (("d1", 20), ("d2", 30))]
    assert short_names(days) == ["d1/bag_0", "d2/bag_0"]
    robot = tmp_path / "robot.yaml"
    robot.write_text(SMALL)
    out = tmp_path / "y.hdf5"
    command = ["convert", *map(str, days), "--out", str(out), "--no-sheets"]
    command += ["--task", "lift", "--contract", str(robot)]
    assert main(command) == 0
    assert "2 bags converted" in capsys.readouterr().out
    assert [len(e) for e in EpisodeFile(out)] == [19, 29]
    assert main(command) == 0  # and again: both were there
    assert "0 bags converted (none; 0 steps), 2 were there" in capsys.readouterr().out
    assert main(["data", *map(str, days), "--plot", str(tmp_path / "pictures")]) == 0


def test_a_value_that_no_label_can_have_is_said(tmp_path):
    path = write_bag(tmp_path / "a", labels={"seed": "three"})
    assert "seed is 'three', expected" in convert_bag(path, tmp_path / "d.hdf5", Choice()).error
    assert not (tmp_path / "d.hdf5").exists()


def test_pictures_of_a_lone_foreign_bag_are_those_that_were_sent(tmp_path):
    path = foreign_bag(tmp_path / "bag", compress=True)
    (path / "metadata.yaml").unlink()
    sent = [body for name, body in traffic(contract(), 60) if name == "agentview/image_raw"]
    with Bag(path) as bag:
        got = [message for _, _, message in bag.messages(["/agentview/image_raw"])]
    assert len(got) == len(sent)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(got, sent))
