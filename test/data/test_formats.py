"""What goes out to another format comes back the same, and foreign files are refused in words."""

import json
from dataclasses import replace

import av
import h5py
import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.cli import main as cli
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.formats import translate
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.made import without_notes
from vilp_ros.errors import VilpError

SUFFIX = {"robomimic": "theirs.hdf5", "lerobot": "lerobot", "zarr": "theirs.zarr"}


def dataset(path, *roles):
    with EpisodeWriter(path, task="lift") as writer:
        for seed, role in enumerate(roles):
            episode = make_episode(seed, role, length=20 + seed)
            episode.disturbed[3] = True
            writer.add(episode)
    return path


@pytest.mark.parametrize("to", SUFFIX)
def test_there_and_back(tmp_path, to):
    roles = ("expert", "suboptimal") if to == "lerobot" else ("expert", "suboptimal", "action_free")
    ours, theirs = dataset(tmp_path / "a.hdf5", *roles), tmp_path / SUFFIX[to]
    assert cli.main(["convert", str(ours), "--out", str(theirs), "--to", to]) == 0
    back = tmp_path / "b.hdf5"
    assert cli.main(["convert", str(theirs), "--from", to, "--out", str(back)]) == 0
    before, after = EpisodeFile(ours), EpisodeFile(back)
    assert (after.task, after.control_period_s, after.views) == ("lift", 0.05, before.views)
    assert after.roles == list(roles)
    for one, two in zip(before, map(without_notes, after), strict=True):
        assert (one.role, one.success, one.seed, one.info) == (
            two.role,
            two.success,
            two.seed,
            two.info,
        )
        for view in one.images:
            np.testing.assert_array_equal(one.images[view], two.images[view])
        for name in ("ee_pose", "gripper_width", "joint_position", "actions", "disturbed"):
            if getattr(one, name) is not None:
                np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-6)
    with pytest.raises(DatasetError, match="exists already"):
        translate([ours], "hdf5", theirs, to)


@pytest.mark.parametrize("period_s", [0.08, 0.0333, 0.04])
@pytest.mark.parametrize("to", SUFFIX)
def test_a_rate_is_kept_or_refused(tmp_path, to, period_s):
    ours, theirs = tmp_path / "a.hdf5", tmp_path / SUFFIX[to]
    with EpisodeWriter(ours, task="lift", control_period_s=period_s) as writer:
        writer.add(make_episode(0))
    if (to, period_s) == ("lerobot", 0.08):
        with pytest.raises(
            DatasetError, match=r"0\.08 s has 12\.5: .* 0\.08333 s \(12\) or 0\.07692"
        ):
            translate([ours], "hdf5", theirs, to)
        assert not theirs.exists()
        return
    translate([ours], "hdf5", theirs, to)
    translate([theirs], to, tmp_path / "b.hdf5", "hdf5")
    found = EpisodeFile(tmp_path / "b.hdf5").control_period_s
    # Whole frames a second, of which 0.0333 s is meant to be 30.
    assert found == pytest.approx(1 / 30 if (to, period_s) == ("lerobot", 0.0333) else period_s)


@pytest.mark.parametrize("kind", ["hdf5", *SUFFIX])
def test_an_import_given_twice_writes_its_episodes_once(tmp_path, capsys, kind):
    ours, out = dataset(tmp_path / "a.hdf5", "expert", "expert"), tmp_path / "o.hdf5"
    source = ours if kind == "hdf5" else tmp_path / SUFFIX[kind]
    if kind != "hdf5":
        translate([ours], "hdf5", source, kind)
    command = ["convert", str(source), "--from", kind, "--out", str(out)]
    assert cli.main([*command, "--episodes", "1"]) == 0
    assert cli.main(command) == 0
    assert len(EpisodeFile(out)) == 2
    moved = source.rename(source.with_name(f"moved{source.suffix}"))
    capsys.readouterr()
    assert cli.main(["convert", str(moved), "--from", kind, "--out", str(out)]) == 0
    assert "0 episodes written as hdf5, 2 were there" in capsys.readouterr().out
    assert len(EpisodeFile(out)) == 2


def test_the_same_numbers_with_other_pictures_are_another_episode(tmp_path):
    ours = dataset(tmp_path / "a.hdf5", "expert")
    with EpisodeWriter(tmp_path / "c.hdf5", task="lift") as writer:
        episode = EpisodeFile(ours)[0]
        writer.add(replace(episode, images={k: 255 - v for k, v in episode.images.items()}))
    done = translate([ours, tmp_path / "c.hdf5"], "hdf5", tmp_path / "o.hdf5", "hdf5")
    assert (done.count, done.there) == (2, 0)


def test_an_episode_that_is_none_is_named_and_the_others_come_in(tmp_path):
    ours, theirs = dataset(tmp_path / "a.hdf5", "expert", "expert"), tmp_path / "theirs.zarr"
    translate([ours], "hdf5", theirs, "zarr")
    attributes = json.loads((theirs / ".zattrs").read_text())
    attributes["vilp_ros"]["episodes"][0] |= {"role": "nobody", "seed": -1}
    (theirs / ".zattrs").write_text(json.dumps(attributes))
    done = translate([theirs], "zarr", tmp_path / "o.hdf5", "hdf5")
    assert done.count == 1
    assert done.errors[0].startswith(f"{theirs}, episode 0: ")


def test_targets_of_a_foreign_zarr_are_held_against_the_hand(tmp_path):
    sound = dataset(tmp_path / "a.hdf5", "expert")
    with EpisodeWriter(tmp_path / "c.hdf5", task="lift") as writer:
        episode = EpisodeFile(sound)[0]
        writer.add(replace(episode, actions=episode.actions + np.eye(8)[0]))
    for name, count in (("a", 1), ("c", 0)):
        theirs = tmp_path / f"{name}.zarr"
        translate([tmp_path / f"{name}.hdf5"], "hdf5", theirs, "zarr")
        (theirs / ".zattrs").unlink()
        done = translate([theirs], "zarr", tmp_path / f"{name}_back.hdf5", "hdf5", task="lift")
        assert done.count == count
    assert "c.zarr, episode 0: targets lie " in done.errors[0]


def test_robomimic_finds_what_it_looks_for(tmp_path):
    ours = dataset(tmp_path / "a.hdf5", "expert", "expert")
    translate([ours], "hdf5", tmp_path / "r.hdf5", "robomimic")
    with h5py.File(tmp_path / "r.hdf5") as file:
        args = json.loads(file["data"].attrs["env_args"])
        assert set(args) == {"env_name", "type", "env_kwargs"}
        demo = file["data/demo_0"]
        steps = demo.attrs["num_samples"]
        for key in ("obs/agentview_image", "next_obs/robot0_eef_pos", "rewards", "dones", "states"):
            assert len(demo[key]) == steps
        np.testing.assert_array_equal(
            demo["obs/robot0_eef_pos"][1:], demo["next_obs/robot0_eef_pos"][:-1]
        )
        assert file["data"].attrs["total"] == 41
        assert {name.decode() for name in file["mask/train"]} == {"demo_0"}


def test_foreign_files_are_refused_in_words(tmp_path):
    ours = dataset(tmp_path / "a.hdf5", "expert")
    out = tmp_path / "out.hdf5"
    with pytest.raises(DatasetError, match=r"no data.attrs\['env_args'\].*--from hdf5"):
        translate([ours], "robomimic", out, "hdf5")
    with pytest.raises(DatasetError, match="no LeRobot dataset"):
        translate([tmp_path], "lerobot", out, "hdf5")
    with pytest.raises(DatasetError, match="no diffusion_policy dataset"):
        translate([tmp_path], "zarr", out, "hdf5")
    lerobot = tmp_path / "l"
    translate([ours], "hdf5", lerobot, "lerobot")
    info = json.loads((lerobot / "meta/info.json").read_text())
    (lerobot / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v1.6"}))
    with pytest.raises(DatasetError, match=r"version v1.6, expected one of v2.0, v2.1, v3.0"):
        translate([lerobot], "lerobot", out, "hdf5")
    names = [f"d{axis}" for axis in ("x", "y", "z", "qx", "qy", "qz", "qw")]
    info["features"]["action"]["names"] = [*names, "gripper"]
    (lerobot / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DatasetError, match=r"action \(dx, dy.*say what they are in a map"):
        translate([lerobot], "lerobot", out, "hdf5")
    free = dataset(tmp_path / "free.hdf5", "action_free")
    with pytest.raises(DatasetError, match="action_free: leave such episodes out"):
        translate([free], "hdf5", tmp_path / "l2", "lerobot")
    assert not out.exists()


def test_missing_libraries_are_named(tmp_path, monkeypatch):
    from vilp_ros.data import zarr_store
    from vilp_ros.data.lerobot import folder

    def absent():
        raise VilpError("LeRobot datasets need pyarrow")

    monkeypatch.setattr(folder, "arrow", absent)
    with pytest.raises(VilpError, match="pyarrow"):
        translate([tmp_path], "lerobot", tmp_path / "x.hdf5", "hdf5")
    with pytest.raises(DatasetError, match="pip install numcodecs"):
        zarr_store._decoded(b"", {"filters": None, "compressor": {"id": "absent"}})


def test_videos_of_lerobot_are_read_from_where_their_episode_begins(tmp_path):
    """Two episodes in one file, as LeRobot writes them."""
    ours, folder = dataset(tmp_path / "a.hdf5", "expert", "expert"), tmp_path / "l"
    translate([ours], "hdf5", folder, "lerobot")
    key = "observation.images.agentview"
    target = folder / f"videos/{key}/chunk-000/file-000.mp4"
    target.parent.mkdir(parents=True)
    frames = np.concatenate([episode.images["agentview"] for episode in EpisodeFile(ours)])
    with av.open(str(target), "w") as video:
        stream = video.add_stream("libx264", rate=20, options={"g": "2", "crf": "8"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(stream.encode())
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"][key]["dtype"] = "video"
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    (folder / "meta/info.json").write_text(json.dumps(info))
    import pyarrow as pa
    import pyarrow.parquet as pq

    episodes = folder / "meta/episodes/chunk-000/file-000.parquet"
    rows, begin = pq.read_table(episodes).to_pylist(), 0.0
    for row in rows:
        row[f"videos/{key}/chunk_index"] = row[f"videos/{key}/file_index"] = 0
        row[f"videos/{key}/from_timestamp"] = begin
        begin += row["length"] / 20
        row[f"videos/{key}/to_timestamp"] = begin
    pq.write_table(pa.Table.from_pylist(rows), episodes)
    translate([folder], "lerobot", tmp_path / "b.hdf5", "hdf5")
    for one, two in zip(EpisodeFile(ours), EpisodeFile(tmp_path / "b.hdf5"), strict=True):
        difference = one.images["agentview"].astype(int) - two.images["agentview"]
        assert np.abs(difference).mean() < 12


def pointing_down(path, joints=7):
    """A hand that points down: where quaternions of w >= 0 change their sign."""
    episode = make_episode(0, length=40)
    wobble = np.radians(1) * np.sin(np.arange(41))
    half = (np.pi + wobble) / 2
    quats = np.stack([np.sin(half), 0 * half, 0 * half, np.cos(half)], axis=1)
    episode.ee_pose[:, 3:] = np.where(quats[:, 3:] < 0, -quats, quats)
    episode.actions[:, 3:7] = episode.ee_pose[1:, 3:]
    episode.joint_position = np.zeros((41, joints))
    episode.joint_velocity = np.zeros((41, joints))
    with EpisodeWriter(path, task="lift") as writer:
        writer.add(episode)
    return path


def jumps(quats):
    return int((np.sum(quats[1:] * quats[:-1], axis=1) < 0).sum())


def test_exported_quaternions_do_not_jump(tmp_path):
    ours = pointing_down(tmp_path / "down.hdf5")
    assert jumps(EpisodeFile(ours)[0].ee_pose[:, 3:]) > 5
    for to, name in SUFFIX.items():
        translate([ours], "hdf5", tmp_path / name, to)
    with h5py.File(tmp_path / SUFFIX["robomimic"]) as file:
        demo = file["data/demo_0"]
        assert jumps(demo["obs/robot0_eef_quat"][()]) == 0
        assert jumps(demo["actions"][:, 3:7]) == 0
    (state,) = lerobot_rows(tmp_path / SUFFIX["lerobot"], "observation.state")
    (action,) = lerobot_rows(tmp_path / SUFFIX["lerobot"], "action")
    assert jumps(state[:, 3:7]) == jumps(action[:, 3:7]) == 0
    assert (np.sum(state[:, 3:7] * action[:, 3:7], axis=1) > 0).all()
    back = tmp_path / "zarr_back.hdf5"
    translate([tmp_path / SUFFIX["zarr"]], "zarr", back, "hdf5")
    episode = EpisodeFile(back)[0]
    assert jumps(episode.ee_pose[:, 3:]) == jumps(episode.actions[:, 3:7]) == 0


def lerobot_rows(folder, key):
    import pyarrow.parquet as pq

    files = sorted((folder / "data").glob("*/*.parquet"))
    return [np.array(pq.read_table(file)[key].to_pylist()) for file in files]


def test_exported_quaternions_do_not_jump_from_one_episode_to_the_next(tmp_path):
    with EpisodeWriter(tmp_path / "a.hdf5", task="lift") as writer:
        for sign in (1, -1, 1):
            episode = make_episode(0)
            episode.ee_pose[:, 3:] *= sign
            episode.actions[:, 3:7] *= sign
            writer.add(episode)
    for to, name in SUFFIX.items():
        translate([tmp_path / "a.hdf5"], "hdf5", tmp_path / name, to)
    poses, actions = {}, {}
    with h5py.File(tmp_path / SUFFIX["robomimic"]) as file:
        demos = [file[f"data/demo_{k}"] for k in range(3)]
        poses["robomimic"] = np.concatenate([d["obs/robot0_eef_quat"][()] for d in demos])
        actions["robomimic"] = np.concatenate([d["actions"][:, 3:7] for d in demos])
    for key, found in (("observation.state", poses), ("action", actions)):
        rows = np.concatenate(lerobot_rows(tmp_path / SUFFIX["lerobot"], key))
        found["lerobot"] = rows[:, 3:7]
    back = tmp_path / "back.hdf5"
    translate([tmp_path / SUFFIX["zarr"]], "zarr", back, "hdf5")
    poses["zarr"] = np.concatenate([e.ee_pose[:, 3:] for e in EpisodeFile(back)])
    actions["zarr"] = np.concatenate([e.actions[:, 3:7] for e in EpisodeFile(back)])
    for to in SUFFIX:
        assert (poses[to][:, 0] > 0.9).all(), to
        assert (actions[to][:, 0] > 0.9).all(), to


def test_targets_of_joints_go_out_as_they_are(tmp_path):
    """Numbers 4 to 7 are no quaternion: their signs stay, and LeRobot is told what they are."""
    episode = make_episode(0)
    episode.actions[:] = [0.1, 0.2, 0.3, -1.0, -0.5, 0.6, 0.7, 0.08]
    with EpisodeWriter(tmp_path / "a.hdf5", task="lift", action_kind="joint_position") as writer:
        writer.add(episode)
    for to, name in SUFFIX.items():
        translate([tmp_path / "a.hdf5"], "hdf5", tmp_path / name, to)
    with h5py.File(tmp_path / SUFFIX["robomimic"]) as file:
        np.testing.assert_array_equal(file["data/demo_0/actions"], episode.actions)
    (rows,) = lerobot_rows(tmp_path / SUFFIX["lerobot"], "action")
    np.testing.assert_array_equal(rows[:-1], episode.actions)
    info = json.loads((tmp_path / SUFFIX["lerobot"] / "meta/info.json").read_text())
    names = [*(f"joint{k}.position" for k in range(1, 8)), "gripper.width"]
    assert info["features"]["action"]["names"] == names
    with pytest.raises(DatasetError, match="say what they are in a map"):
        translate([tmp_path / SUFFIX["lerobot"]], "lerobot", tmp_path / "b.hdf5", "hdf5")


def test_a_state_without_joints_is_what_a_policy_is_shown(tmp_path, capsys):
    ours, theirs = dataset(tmp_path / "a.hdf5", "expert"), tmp_path / "l"
    command = ["convert", str(ours), "--out", str(theirs), "--to"]
    assert cli.main([*command, "lerobot", "--no-joints"]) == 0
    (state,), episode = lerobot_rows(theirs, "observation.state"), EpisodeFile(ours)[0]
    np.testing.assert_array_equal(state[:, :7], episode.ee_pose)
    np.testing.assert_array_equal(state[:, 7:], episode.gripper_width[:, None])
    assert translate([theirs], "lerobot", tmp_path / "b.hdf5", "hdf5").errors == []
    assert EpisodeFile(tmp_path / "b.hdf5")[0].joint_position.shape == (21, 0)
    assert cli.main(["convert", str(ours), "--out", "x.zarr", "--to", "zarr", "--no-joints"]) == 2
    assert "a state without joints is of lerobot" in capsys.readouterr().err


def test_statistics_of_lerobot_have_quantiles(tmp_path):
    ours = dataset(tmp_path / "a.hdf5", "expert", "expert")
    translate([ours], "hdf5", tmp_path / "l", "lerobot")
    stats = json.loads((tmp_path / "l/meta/stats.json").read_text())
    poses = np.concatenate([episode.ee_pose for episode in EpisodeFile(ours)])
    for name, share in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        wanted = np.quantile(poses, share, axis=0)
        np.testing.assert_allclose(stats["observation.state"][name][:7], wanted, atol=1e-6)
        assert np.shape(stats["observation.images.agentview"][name]) == (3, 1, 1)


def test_arms_of_other_joints_and_several_tasks_go_out_and_come_back(tmp_path):
    ours = pointing_down(tmp_path / "six.hdf5", joints=6)
    with h5py.File(ours, "a") as file:
        file["data/demo_0"].attrs["info.task"] = "pour"
    translate([ours], "hdf5", tmp_path / "l", "lerobot")
    assert translate([tmp_path / "l"], "lerobot", tmp_path / "b.hdf5", "hdf5").errors == []
    back = EpisodeFile(tmp_path / "b.hdf5")
    assert back.task == "pour"
    assert back[0].joint_position.shape == (41, 6)
