"""A work folder is keyed by what was read; a bundle's networks and statistics are of the same."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from synthetic import make_episode, write_file

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.hdf5 import CHECKSUMS, checksums
from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.training import run
from vilp_ros.training.claim import fingerprint
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Trains a recipe but for the training; gives the bundles that would be written."""
    monkeypatch.setattr(run, "_parallel", lambda calls, jobs: None)
    written = []
    monkeypatch.setattr(run, "_write_bundle", lambda training, bundle: written.append(bundle))
    write_file(tmp_path / "e.hdf5", count=3)
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {tmp_path}/e.hdf5, count: 2}}]}}")

    def go(*overrides: str) -> list[Path]:
        recipe = load_recipe(tmp_path / "r.yaml", ["name=x", *overrides])
        train(recipe, tmp_path / "work", tmp_path / "bundle")
        return written

    return go


def edit(path, key, change):
    with h5py.File(path, "a") as file:
        dataset = file["data"][key]
        dataset[...] = change(dataset[()])
        dataset.attrs[CHECKSUMS] = checksums(dataset[()])


def test_the_same_command_goes_on(go):
    go()
    assert len(go()) == 2


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("demo_0/actions", lambda x: x + np.float32(1e-4)),
        ("demo_1/obs/gripper_width", lambda x: x / 2),
        ("demo_1/disturbed", lambda x: ~x),
        ("demo_0/obs/agentview_image", lambda x: x // 2),
        ("demo_1/obs/eye_in_hand_image", lambda x: x[::-1]),
    ],
)
def test_a_dataset_that_was_made_anew_is_noticed_whatever_its_length(go, tmp_path, key, change):
    go()
    edit(tmp_path / "e.hdf5", key, change)
    with pytest.raises(
        VilpError, match=r"e\.hdf5 as expert .* is not what the parts in"
    ) as refused:
        go()
    assert "another --work, such as" in str(refused.value)
    assert not {"delete", "remove"} & set(str(refused.value).split())


@pytest.mark.parametrize(
    "changes",
    [{"repeated": np.arange(21) == 3}, {"info": {"proprio": "none"}}],
)
def test_pictures_shown_twice_and_poses_unknown_are_content(tmp_path, changes):
    found = []
    for name, made in (("a", make_episode(0)), ("b", replace(make_episode(0), **changes))):
        with EpisodeWriter(tmp_path / f"{name}.hdf5", task="lift") as writer:
            writer.add(made)
        (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {tmp_path}/{name}.hdf5}}]}}")
        found += fingerprint(load_recipe(tmp_path / "r.yaml", ["name=x"])).values()
    assert found[0] != found[1]


def test_pairs_that_nothing_learns_from_need_not_be_there(go):
    assert len(go("robust.pairs=[nowhere.hdf5]")) == 1


def test_episodes_that_are_not_chosen_may_change_and_grow(go, tmp_path):
    go()
    edit(tmp_path / "e.hdf5", "demo_2/actions", lambda x: x + np.float32(0.01))
    write_file(tmp_path / "e.hdf5", count=1)
    assert len(go()) == 2


def test_another_recipe_is_refused_by_the_key_that_differs(go):
    go()
    with pytest.raises(
        VilpError, match=r"planner\.optim\.steps was 3000, is 7\): train with anoth"
    ):
        go("planner.optim.steps=7")
    go()


def test_what_changes_while_it_is_learned_from_makes_no_bundle(go, tmp_path, monkeypatch):
    def meanwhile(calls, jobs):
        edit(tmp_path / "e.hdf5", "demo_0/actions", lambda x: x + np.float32(0.001))

    monkeypatch.setattr(run, "_parallel", meanwhile)
    with pytest.raises(VilpError, match="is not what the parts in"):
        go()


def test_a_frozen_autoencoder_that_was_made_anew_is_noticed(go, tmp_path):
    views = {"agentview": (32, 32), "eye_in_hand": (32, 32)}
    frozen = f"autoencoder.bundle={tmp_path / 'other'}"
    save_untrained(tmp_path / "other", views)
    go(frozen)
    save_untrained(tmp_path / "other", views, seed=1)
    with pytest.raises(VilpError, match=r"weights\.safetensors is not what the parts in"):
        go(frozen)


def test_parts_of_an_older_version_are_not_taken_for_ours(go, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/planner.safetensors").write_bytes(b"")
    with pytest.raises(VilpError, match=r"planner\.safetensors of an unknown recipe"):
        go()


def test_actions_that_are_joints_are_refused_before_anything_starts(go, tmp_path):
    (tmp_path / "e.hdf5").unlink()
    with EpisodeWriter(tmp_path / "e.hdf5", task="lift", action_kind="joint_position") as writer:
        for seed in range(2):
            writer.add(make_episode(seed))
    with pytest.raises(VilpError, match="actions of kind 'joint_position'; what is trained here"):
        go()
    assert not (tmp_path / "work").exists()


def test_frames_that_differ_in_size_are_named_before_anything_starts(go, tmp_path):
    (tmp_path / "e.hdf5").unlink()
    with EpisodeWriter(tmp_path / "e.hdf5", task="lift") as writer:
        writer.add(make_episode(0))
        small = make_episode(1)
        small.images["eye_in_hand"] = small.images["eye_in_hand"][:, :16]
        writer.add(small)
    with pytest.raises(VilpError, match="eye_in_hand are 16x32 in episode 1, 32x32 in the first"):
        go()
