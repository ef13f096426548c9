"""What would stop a training in an hour, or spoil its bundle, is said before it begins."""

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_episode, write_file

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.pairs import usual
from vilp_ros.errors import VilpError
from vilp_ros.policy.spec import load_spec
from vilp_ros.share import share_dir
from vilp_ros.training.before import check_sources, imitated_failures
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train

RECIPE = share_dir() / "config/training/ldp_lift.yaml"
PARTS = ("autoencoder", "planner", "idm")
SMALL = "policy.autoencoder={latent_dim: 4, channels: [8, 8, 8]}"


def begin(folder, *overrides, out="out"):
    """As far as it comes; parts of no step would be trained next."""
    write_file(folder / "e.hdf5")
    data = f"data={{expert: [{{path: {folder}/e.hdf5}}], suboptimal: []}}"
    plain = ["robust.enabled=false", "robust.pairs=[]"]
    recipe = load_recipe(RECIPE, ["name=x", data, SMALL, *plain, *overrides])
    train(recipe, folder / "work", folder / out)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.expert=[{path: E, start: -1}]"], "-1 to 12 were asked for: start counts from 0"),
        (
            ["data.expert=[{path: E, count: 3}, {path: F/./e.hdf5, start: 2}]"],
            "episode 2 of .* is named twice, under data.expert and data.expert",
        ),
        (
            ["data.action_free=[{path: E, start: 9}]"],
            "episode 9 of .* named twice, under data.expert and data.action_free",
        ),
        (["data.validation=0.98"], "all are held out; lower data.validation"),
        (["policy.horizon=7", "policy.frame_interval=3"], "looks 21 .* ahead .* lasts 20"),
        (["policy.planner.width=33"], "networks of this recipe cannot be run"),
        (["robust.enabled=true", "robust.warp.agentveiw=1"], "names 'agentveiw'; the views are"),
        (["autoencoder.bundle=F/out"], "is the bundle that is trained from"),
        (["robust.bundle=F/out"], "is the bundle that is trained from"),
    ],
)
def test_what_would_train_something_else_is_refused(tmp_path, overrides, words):
    there = [o.replace("E", f"{tmp_path}/e.hdf5").replace("F", str(tmp_path)) for o in overrides]
    with pytest.raises(VilpError, match=words):
        begin(tmp_path, *there)
    assert not (tmp_path / "work").exists()


def test_demonstrations_that_failed_are_named(tmp_path):
    with EpisodeWriter(tmp_path / "e.hdf5", task="lift") as writer:
        for seed in range(3):
            writer.add(replace(make_episode(seed), success=seed == 1))
    data = f"data={{expert: [{{path: {tmp_path}/e.hdf5}}], suboptimal: []}}"
    said = imitated_failures(load_recipe(RECIPE, ["name=x", data]))
    assert said.startswith("note: 2 of 3 demonstrations say that they failed (episode 0 of ")
    write_file(tmp_path / "e.hdf5")
    write_file(tmp_path / "s.hdf5", "suboptimal")
    expert, failed = f"{{path: {tmp_path}/e.hdf5, start: 3}}", f"{{path: {tmp_path}/s.hdf5}}"
    good = f"data={{expert: [{expert}], suboptimal: [{failed}]}}"
    assert imitated_failures(load_recipe(RECIPE, ["name=x", good])) == ""


@pytest.mark.parametrize(
    ("task", "ranges", "words"),
    [
        ("can", {}, "shows can, what is trained lift"),
        ("lift", {"agentview": (0.4, 1.6)}, r"agentview from \(0\.4, 1\.6\) m \(near, far\)"),
    ],
)
def test_pairs_of_something_else_are_refused(tmp_path, task, ranges, words):
    with EpisodeWriter(tmp_path / "p.hdf5", task=task, depth_range_m=ranges) as writer:
        episode = make_episode(0)
        for view in list(episode.images):
            episode.images[usual(view)] = episode.images[view]
        writer.add(episode)
    given = ["robust.enabled=true", f"robust.pairs=[{tmp_path}/p.hdf5]"]
    with pytest.raises(VilpError, match=words):
        begin(tmp_path, *given)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("role", ["expert", "action_free"])
def test_a_recording_under_another_name_is_refused(tmp_path, role):
    """A copy whose labels, targets and pictures are others': where the hand went tells it."""
    with EpisodeWriter(tmp_path / "copy.hdf5", task="lift") as writer:
        for seed in (100, 4):
            episode = make_episode(seed)
            episode.seed, episode.actions = -1, episode.actions * np.float32(0.999)
            episode.images = {view: 255 - frames for view, frames in episode.images.items()}
            writer.add(episode)
    found = {"expert": [{"path": f"{tmp_path}/e.hdf5"}], "suboptimal": []}
    found.setdefault(role, []).append({"path": f"{tmp_path}/copy.hdf5"})
    words = rf"episode 1 of .*copy\.hdf5 \(data\.{role}\) .* episode 4 of .*e\.hdf5 \(data\.exp"
    with pytest.raises(VilpError, match=words):
        begin(tmp_path, f"data={json.dumps(found)}")
    found[role][-1]["count"] = 1
    check_sources(load_recipe(RECIPE, ["name=x", f"data={json.dumps(found)}"]))


def test_videos_alone_are_known_by_their_pictures(tmp_path):
    """Nothing in them tells where a hand was, so that all that is told is alike."""

    def write(name, *seeds):
        with EpisodeWriter(tmp_path / name, task="lift") as writer:
            for seed in seeds:
                episode = make_episode(seed, "action_free")
                episode.ee_pose[:] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
                episode.info["proprio"] = "none"
                writer.add(episode)

    def check(*names):
        found = [{"path": f"{tmp_path}/{name}"} for name in names]
        data = json.dumps({"expert": [], "action_free": found, "suboptimal": []})
        check_sources(load_recipe(RECIPE, ["name=x", f"data={data}"]))

    write("a.hdf5", 0, 1, 2)
    write("b.hdf5", 3, 1)
    check("a.hdf5")
    with pytest.raises(VilpError, match=r"episode 1 of .*b\.hdf5 .* episode 1 of .*a\.hdf5"):
        check("a.hdf5", "b.hdf5")


def test_a_bundle_that_cannot_be_written_is_said_before_it_is_trained(tmp_path):
    with pytest.raises(VilpError, match=r"--out .* cannot be a folder: .*e\.hdf5 is a file"):
        begin(tmp_path, out="e.hdf5/mine")


def test_a_plan_may_be_as_long_as_the_longest_demonstration(tmp_path):
    overrides = ["policy.horizon=20"]
    overrides += [f"{part}.optim={{steps: 1, batch_size: 2}}" for part in PARTS]
    begin(tmp_path, *overrides)
    assert load_spec(tmp_path / "out").provenance["seeds"] == [[0, 11]]
