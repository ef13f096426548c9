"""What goes out to another format comes back the same, and foreign files are refused in words."""

import json

import av
import h5py
import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.cli import main as cli
from vilp_ros.data.episodes import DatasetError, EpisodeFile, EpisodeWriter
from vilp_ros.data.formats import translate
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
    for one, two in zip(before, after, strict=True):
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


def test_deltas_of_robomimic_come_in_without_actions(tmp_path):
    translate([dataset(tmp_path / "a.hdf5", "expert")], "hdf5", tmp_path / "r.hdf5", "robomimic")
    with h5py.File(tmp_path / "r.hdf5", "a") as file:
        kwargs = {"control_freq": 20, "controller_configs": {"control_delta": True}}
        body = {"env_name": "Lift", "type": 1, "env_kwargs": kwargs}
        file["data"].attrs["env_args"] = json.dumps(body)
        del file["data/demo_0"].attrs["vilp_ros"]
        del file["data/demo_0/actions"]
        file["data/demo_0/actions"] = np.zeros((20, 7))
    translate([tmp_path / "r.hdf5"], "robomimic", tmp_path / "free.hdf5", "hdf5")
    assert EpisodeFile(tmp_path / "free.hdf5").roles == ["action_free"]
    kwargs["controller_configs"]["control_delta"] = False
    with h5py.File(tmp_path / "r.hdf5", "a") as file:
        body = {"env_name": "Lift", "type": 1, "env_kwargs": kwargs}
        file["data"].attrs["env_args"] = json.dumps(body)
        file["data/demo_0/actions"][:] = [0.4, 0, 0.3, np.pi, 0, 0, -1]
    translate([tmp_path / "r.hdf5"], "robomimic", tmp_path / "absolute.hdf5", "hdf5")
    action = EpisodeFile(tmp_path / "absolute.hdf5")[0].actions[0]
    np.testing.assert_allclose(action, [0.4, 0, 0.3, 1, 0, 0, 0, 0.08], atol=1e-6)


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
    (lerobot / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v2.1"}))
    with pytest.raises(DatasetError, match=r"version v2.1, expected v3.0: convert it with"):
        translate([lerobot], "lerobot", out, "hdf5")
    info["features"]["observation.state"]["names"] = ["shoulder"]
    (lerobot / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DatasetError, match=r"lacks ee.x; it has \['shoulder'\]"):
        translate([lerobot], "lerobot", out, "hdf5")
    free = dataset(tmp_path / "free.hdf5", "action_free")
    with pytest.raises(DatasetError, match="action_free: leave such episodes out"):
        translate([free], "hdf5", tmp_path / "l2", "lerobot")
    assert not out.exists()


def test_missing_libraries_are_named(tmp_path, monkeypatch):
    from vilp_ros.data import lerobot, zarr_store

    def absent():
        raise VilpError("LeRobot datasets need pyarrow")

    monkeypatch.setattr(lerobot, "_arrow", absent)
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
    pq.write_table(pa.Table.from_pylist(rows), episodes)
    translate([folder], "lerobot", tmp_path / "b.hdf5", "hdf5")
    for one, two in zip(EpisodeFile(ours), EpisodeFile(tmp_path / "b.hdf5"), strict=True):
        difference = one.images["agentview"].astype(int) - two.images["agentview"]
        assert np.abs(difference).mean() < 12
