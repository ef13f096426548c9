"""LeRobot datasets as others write them: two layouts, three codecs, rows and files lost."""

import json

import numpy as np
import pytest
from foreign import FPS, SHIFT, TOP, grey, lerobot_v21, lerobot_v30, wave, write_video

from vilp_ros.cli import main as cli
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.formats import translate
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.mapping.column_map import load_map
from vilp_ros.share import share_dir

LAYOUTS = {"v2.1": lerobot_v21, "v3.0": lerobot_v30}
MAP = """
control_period_s: 0.1
views:
  top:
    key: observation.images.top
    size: [32, 48]
joints:
  columns: observation.state[0:6]
"""
ACTION = """
  urdf:
    path: URDF
    base: base_link
    tip: flange
    joints: [joint1, joint2, joint3, joint4, joint5, joint6]
gripper:
  columns: action[gripper]
  open: 0
  closed: 1
  width_m: 0.085
action:
  kind: velocity
  space: joints
  columns: action[0:6]
"""


@pytest.fixture
def maps(tmp_path):
    """A function: writes a map of this text, gives its path."""

    def write(text, name="map.yaml"):
        path = tmp_path / name
        path.write_text(text.replace("URDF", str(share_dir() / "config/urdf/cr5.urdf")))
        return path

    return write


def convert(folder, out, column_map=None, **kwargs):
    found = load_map(column_map) if column_map else None
    return translate([folder], "lerobot", out, "hdf5", column_map=found, **kwargs)


def shade(frames):
    """Which row each picture shows."""
    return (frames.reshape(len(frames), -1).mean(1) - grey(0)) / SHIFT


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "libsvtav1"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_and_the_codecs_of_their_videos(tmp_path, maps, layout, codec):
    episodes = [wave(12), wave(15, seed=1), wave(11, seed=2)]
    folder = LAYOUTS[layout](tmp_path / "d", episodes, codec=codec)
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert (done.count, done.errors) == (3, [])
    assert "no pose and no URDF" in done.notes[0]
    file = EpisodeFile(tmp_path / "o.hdf5")
    assert (file.task, file.roles) == ("fold", ["action_free"] * 3)
    for read, wanted in zip(file, episodes, strict=True):
        assert read.images["top"].shape == (len(wanted["stamps"]), 32, 48, 3)
        rows = np.arange(len(wanted["stamps"]))
        np.testing.assert_allclose(shade(read.images["top"]), rows, atol=0.8)
        np.testing.assert_allclose(read.joint_position, wanted["observation.state"], atol=1e-6)


def test_velocities_of_joints_become_targets_of_the_hand(tmp_path, maps):
    pytest.importorskip("pinocchio")
    folder = lerobot_v21(tmp_path / "d", [wave(30)])
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP + ACTION))
    assert (done.count, done.errors) == (1, [])
    episode = EpisodeFile(tmp_path / "o.hdf5")[0]
    assert episode.role == "expert"
    moved = np.linalg.norm(np.diff(episode.ee_pose[:, :3], axis=0), axis=1)
    off = np.linalg.norm(episode.actions[:, :3] - episode.ee_pose[1:, :3], axis=1)
    assert moved.mean() > 5e-3
    assert off.max() < 0.1 * moved.max()
    np.testing.assert_allclose(episode.gripper_width, np.where(np.arange(30) > 14, 0, 0.085))
    np.testing.assert_allclose(episode.actions[:, 7], episode.gripper_width[1:], atol=1e-7)


def test_stamps_say_when_a_row_was_recorded(tmp_path, maps):
    """Rows nominally at 10 Hz, some of which were lost: what counts is when they were recorded."""
    stamps = np.concatenate([np.arange(10), np.arange(12, 30)]) * 0.1 + 0.031
    folder = lerobot_v21(tmp_path / "d", [wave(0, stamps=stamps)])
    assert convert(folder, tmp_path / "o.hdf5", maps(MAP)).errors == []
    episode = EpisodeFile(tmp_path / "o.hdf5")[0]
    assert len(episode) == 29  # 2.9 s, from 28 rows
    times = stamps[0] + 0.1 * np.arange(30)
    truth = 0.3 * np.sin(times[:, None] + np.arange(6) / 3)
    np.testing.assert_allclose(episode.joint_position, truth, atol=5e-3)
    np.testing.assert_array_equal(np.flatnonzero(episode.disturbed), [9, 10, 11])
    assert shade(episode.images["top"])[14] == pytest.approx(12, abs=0.8)


def test_standing_still_at_the_start_is_left_out(tmp_path, maps):
    pytest.importorskip("pinocchio")
    rows = wave(40)
    for key in ("observation.state", "action"):
        rows[key][:15] = rows[key][15]
    rows["action"][:15, :6] = 0
    folder = lerobot_v21(tmp_path / "d", [rows])
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP + ACTION))
    assert "1.5 s of standing still at the start of episodes left out; --rest" in done.notes[-1]
    episode = EpisodeFile(tmp_path / "o.hdf5")[0]
    assert (len(episode), episode.info["rest_s"]) == (24, 1.5)
    assert shade(episode.images["top"])[0] == pytest.approx(15, abs=0.8)
    convert(folder, tmp_path / "p.hdf5", maps(MAP + ACTION), rest=True)
    assert len(EpisodeFile(tmp_path / "p.hdf5")[0]) == 39


@pytest.mark.parametrize("fps", [5, 30])
def test_other_rates_keep_duration_and_speed(tmp_path, maps, fps):
    pytest.importorskip("pinocchio")
    folder = lerobot_v30(tmp_path / "d", [wave(4 * fps + 1, fps=fps)], fps=fps)
    assert convert(folder, tmp_path / "o.hdf5", maps(MAP + ACTION)).errors == []
    episode = EpisodeFile(tmp_path / "o.hdf5")[0]
    assert len(episode) * 0.1 == pytest.approx(4.0)
    off = np.linalg.norm(episode.actions[:-2, :3] - episode.ee_pose[1:-2, :3], axis=1)
    moved = np.linalg.norm(np.diff(episode.ee_pose[:, :3], axis=0), axis=1)
    assert not episode.disturbed.any()
    repeated = 0 if episode.repeated is None else episode.repeated.sum()
    assert repeated == (20 if fps == 5 else 0)  # of a slow camera, every other picture
    assert off.max() < 0.25 * moved.max()  # a velocity is not the mean of its row


def test_a_gap_is_said(tmp_path, maps):
    stamps = np.concatenate([np.arange(10), np.arange(25, 40)]) * 0.1
    folder = lerobot_v21(tmp_path / "d", [wave(0, stamps=stamps), wave(12)])
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert done.count == 1
    assert "nothing was recorded for 1.60 s at 0.9 s" in done.errors[0]


def test_tasks_stay_with_their_episodes(tmp_path, maps):
    episodes = [wave(12), {**wave(12), "task": "pour"}, {**wave(12), "task": "pour"}]
    folder = lerobot_v21(tmp_path / "d", episodes)
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert "holds 2 tasks ('fold' 1, 'pour' 2)" in " ".join(done.notes)
    file = EpisodeFile(tmp_path / "o.hdf5")
    assert (file.task, [e.info["task"] for e in file]) == ("fold + pour", ["fold", "pour", "pour"])
    assert convert(folder, tmp_path / "p.hdf5", maps(MAP), only={1, 2}).count == 2
    assert EpisodeFile(tmp_path / "p.hdf5").task == "pour"


def test_what_is_missing_is_said_and_the_others_are_converted(tmp_path, maps, capsys):
    folder = lerobot_v21(tmp_path / "d", [wave(12) for _ in range(6)])
    data, videos = folder / "data/chunk-000", folder / f"videos/chunk-000/{TOP}"
    (data / "episode_000000.parquet").unlink()
    (data / "episode_000001.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (videos / "episode_000002.mp4").unlink()
    (videos / "episode_000003.mp4").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    write_video(videos / "episode_000004.mp4", range(7))
    out = tmp_path / "o.hdf5"
    command = ["convert", str(folder), "--from", "lerobot", "--map", str(maps(MAP))]
    assert cli.main([*command, "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert len(EpisodeFile(out)) == 1
    for words in (
        "episode_000000.parquet is missing",
        "episode_000001.parquet is a pointer of git-lfs",
        "episode_000002.mp4 is missing",
        "episode_000003.mp4 is a pointer of git-lfs",
        "its video has 7 frames over 0.6 s for 12 rows over 1.1 s",
        "1 episodes written as hdf5, 5 could not be",
    ):
        assert words in said


def test_another_map_for_the_same_rows_needs_another_file(tmp_path, maps, capsys):
    folder, out = lerobot_v21(tmp_path / "d", [wave(12), wave(12), wave(12)]), tmp_path / "o.hdf5"
    command = ["convert", "--from", "lerobot", "--out", str(out), str(folder)]
    assert cli.main([*command, "--map", str(maps(MAP)), "--episodes", "0-1"]) == 0
    assert cli.main([*command, "--map", str(maps(MAP))]) == 0
    assert "1 episodes written as hdf5, 2 were there" in capsys.readouterr().out
    degrees = maps(MAP + "  unit: deg\n", "degrees.yaml")
    for more in (["--map", str(degrees)], ["--map", str(maps(MAP)), "--rest"]):
        assert cli.main([*command, *more]) == 2
        said = capsys.readouterr().err
        assert "were made in another way" in said
        assert "choose another --out" in said
        assert 'map.joints.unit was "rad", now "deg"' in said or "rest was false, now true" in said
    moved = folder.rename(tmp_path / "moved")  # its episodes are known nevertheless
    with pytest.raises(DatasetError, match=r"episode 0 that .* map.joints.unit was"):
        convert(moved, out, degrees)
    assert len(EpisodeFile(out)) == 3


def test_a_video_with_more_frames_than_rows_is_refused(tmp_path, maps):
    folder = lerobot_v21(tmp_path / "d", [wave(12), wave(12), wave(12)])
    videos = folder / f"videos/chunk-000/{TOP}"
    write_video(videos / "episode_000000.mp4", range(16))
    write_video(videos / "episode_000001.mp4", range(24), fps=2 * FPS)  # as long as the rows
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert done.count == 2
    assert "episode 0" in done.errors[0]
    assert "its video has 16 frames over 1.5 s for 12 rows over 1.1 s" in done.errors[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "info.json is empty"),
        ("{}", "of version None, expected one of v2.0, v2.1, v3.0"),
        ("[1]", "info.json is damaged"),
        ("{", "info.json is damaged"),
        ('{"codebase_version": "v1.6"}', "of version v1.6"),
        ('{"codebase_version": "v2.1"}', "lacks what a dataset has"),
        ("version https://git-lfs.github.com/spec/v1", "is a pointer of git-lfs"),
    ],
)
def test_metadata_that_are_none(tmp_path, content, words):
    folder = lerobot_v21(tmp_path / "d", [wave(12)])
    (folder / "meta/info.json").write_text(content)
    with pytest.raises(DatasetError, match=words.replace(".", r"\.")):
        convert(folder, tmp_path / "o.hdf5")
    assert not (tmp_path / "o.hdf5").exists()


def test_foreign_names_need_a_map_and_a_draft_is_at_hand(tmp_path, maps, capsys):
    folder = lerobot_v30(tmp_path / "d", [wave(40)])
    with pytest.raises(DatasetError, match=r"joint_0, joint_1.*vilp data .* --map > my_map\.yaml"):
        convert(folder, tmp_path / "o.hdf5")
    assert cli.main(["data", str(folder)]) == 0
    assert "a LeRobot dataset v3.0, 1 episodes, 10 Hz, views top 64x96" in capsys.readouterr().out
    assert cli.main(["data", str(folder), "--map"]) == 0
    draft = capsys.readouterr().out
    assert "kind: velocity" in draft
    assert "columns: action[6]" in draft
    done = convert(folder, tmp_path / "o.hdf5", maps(draft, "draft.yaml"))
    assert (done.count, done.errors) == (1, [])


POSE = ["x", "y", "z", "rx", "ry", "rz", "gripper"]


def by_pose(length, kind):
    """Rows of a hand that goes along x and turns about z, in mm and degrees."""
    t = np.arange(length) / FPS
    still = np.zeros(length)
    pose = np.stack([400 + 50 * t, still, still + 300, still, still, 20 * t], axis=1)
    step = np.tile([5.0, 0, 0, 0, 0, 2.0], (length, 1))
    action = {"absolute": pose + step, "delta": step, "velocity": step * FPS}[kind]
    told = np.full((length, 1), 30.0)
    return {
        "stamps": t,
        "observation.state": np.concatenate([pose, 90 - told], axis=1),
        "action": np.concatenate([action, told], axis=1),
        "task": "push",
    }


@pytest.mark.parametrize("kind", ["absolute", "delta", "velocity"])
def test_kinds_of_actions_in_poses(tmp_path, maps, kind, capsys):
    names = {"observation.state": POSE, "action": POSE}
    folder = lerobot_v21(tmp_path / "d", [by_pose(20, kind)], names=names)
    cli.main(["data", str(folder), "--map"])
    draft = capsys.readouterr().out
    for words in (f"kind: {kind}", "unit: mm", "rotation: rotation_vector", "space: pose"):
        assert words in draft
    text = f"""
control_period_s: 0.1
views: {{top: {{key: {TOP}, size: [32, 48]}}}}
pose:
  columns: observation.state[0:6]
  rotation: rotation_vector
  unit: mm
  angles: deg
gripper: {{columns: "observation.state[6]", open: 60, closed: 10, width_m: 0.1}}
action:
  kind: {kind}
  columns: action[0:6]
  rotation: rotation_vector
  unit: mm
  angles: deg
  gripper: {{columns: "action[gripper]", open: 60, closed: 10, width_m: 0.1}}
"""
    assert convert(folder, tmp_path / "o.hdf5", maps(text)).errors == []
    episode = EpisodeFile(tmp_path / "o.hdf5")[0]
    np.testing.assert_allclose(episode.ee_pose[10, :3], [0.45, 0, 0.3], atol=1e-6)
    half = np.radians(20) / 2
    np.testing.assert_allclose(
        episode.ee_pose[10, 3:], [0, 0, np.sin(half), np.cos(half)], atol=1e-6
    )
    np.testing.assert_allclose(episode.actions[:-1, :7], episode.ee_pose[1:-1], atol=1e-6)
    np.testing.assert_allclose(episode.actions[:, 7], 0.04, atol=1e-7)
    np.testing.assert_allclose(episode.gripper_width, 0.1, atol=1e-7)


def test_targets_that_are_none_are_refused(tmp_path, maps):
    names = {"observation.state": POSE, "action": POSE}
    folder = lerobot_v21(tmp_path / "d", [by_pose(20, "delta")], names=names)
    text = f"""
control_period_s: 0.1
views: {{top: {{key: {TOP}, size: [32, 48]}}}}
pose: {{columns: "observation.state[0:6]", rotation: rotation_vector, unit: mm, angles: deg}}
action: {{kind: absolute, columns: "action[0:6]", rotation: rotation_vector, unit: mm, angles: deg}}
"""
    done = convert(folder, tmp_path / "o.hdf5", maps(text))
    assert done.count == 0
    assert done.errors[0].startswith(f"{folder}, episode 0: ")
    assert "targets lie" in done.errors[0]
    assert "their kind, unit, rotation or frame is another" in done.errors[0]


def closing(length):
    """Rows of a hand that opens from 0 to 100, told a row before."""
    rows = by_pose(length, "absolute")
    opening = np.linspace(0, 100, length + 1)
    rows["observation.state"][:, 6] = opening[:-1]
    rows["action"][:, 6] = opening[1:]
    return rows


@pytest.mark.parametrize(
    ("said", "told", "count", "words"),
    [
        ("open: 100, closed: 0", "open: 100, closed: 0", 1, ""),
        ("open: 1, closed: 0", "open: 1, closed: 0", 0, "39 of 40 values of observation.state[6]"),
        (
            "open: 100, closed: 0",
            "open: 1, closed: 0",
            0,
            "they go from 2.5 to 100: correct `open`",
        ),
        ("open: 80, closed: 0", "open: 80, closed: 0", 1, "of action[gripper] lie beside 0 to 80"),
        ("open: 100, closed: 0", "open: 0, closed: 100", 0, "gripper` are the wrong way round"),
    ],
)
def test_openings_beside_their_range_or_against_each_other_are_said(
    tmp_path, maps, said, told, count, words
):
    names = {"observation.state": POSE, "action": POSE}
    folder = lerobot_v21(tmp_path / "d", [closing(40)], names=names)
    text = f"""
control_period_s: 0.1
views: {{top: {{key: {TOP}, size: [32, 48]}}}}
pose: {{columns: "observation.state[0:6]", rotation: rotation_vector, unit: mm, angles: deg}}
gripper: {{columns: "observation.state[6]", {said}, width_m: 0.1}}
action:
  kind: absolute
  columns: action[0:6]
  rotation: rotation_vector
  unit: mm
  angles: deg
  gripper: {{columns: "action[gripper]", {told}, width_m: 0.1}}
"""
    done = convert(folder, tmp_path / "o.hdf5", maps(text))
    assert done.count == count
    assert words in " ".join(done.notes if count else done.errors)
    assert count == 0 or words or not [note for note in done.notes if "episode 0" in note]


def test_columns_that_are_not_there_are_named(tmp_path, maps):
    folder = lerobot_v21(tmp_path / "d", [wave(12)])
    for old, new, words in (
        ("observation.state[0:6]", "observation.states[0:6]", "has no 'observation.states'"),
        ("observation.state[0:6]", "observation.state[0:9]", "of 6 columns"),
        (
            "observation.state[0:6]",
            "observation.state[joint_9]",
            "has no 'joint_9'; it has joint_0",
        ),
        ("observation.images.top", "observation.images.side", "no such pictures; there are"),
    ):
        done = convert(folder, tmp_path / "o.hdf5", maps(MAP.replace(old, new)))
        assert done.count == 0
        assert words in done.errors[0]


def test_damaged_columns_are_refused_by_episode(tmp_path, maps):
    rows = wave(12)
    rows["observation.state"] = rows["observation.state"].copy()
    rows["observation.state"][4, 2] = np.nan
    back = wave(0, stamps=[0, 0.1, 0.2, 0.15, 0.3])
    folder = lerobot_v21(tmp_path / "d", [rows, back, wave(12)])
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert done.count == 1
    assert "holds NaN" in done.errors[0]
    assert "its stamps do not rise at row 3" in done.errors[1]


def test_rows_and_metadata_that_disagree(tmp_path, maps):
    folder = lerobot_v21(tmp_path / "d", [wave(12), wave(12)])
    file = folder / "meta/episodes.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["length"] = 30
    file.write_text("\n".join(map(json.dumps, lines)))
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert done.count == 1
    assert "has 12 rows, its metadata say 30" in done.errors[0]


def test_a_rate_that_the_stamps_deny_is_refused(tmp_path, maps):
    folder = lerobot_v21(tmp_path / "d", [wave(12)])
    file = folder / "meta/info.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps({**info, "fps": 5 * info["fps"]}))
    done = convert(folder, tmp_path / "o.hdf5", maps(MAP))
    assert done.count == 0
    assert "rows are" in done.errors[0]
    assert "correct the one that is wrong" in done.errors[0]
