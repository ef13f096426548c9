"""Demonstrations without a single action: plans are learned by watching, actions from play."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import make_episode, write_file

from vilp_ros.cli.main import main
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.policy.bundle import load_policy
from vilp_ros.training.features import Features

FAST = "{steps: 3, batch_size: 16, warmup: 1}"
NETS = {
    "ldp": ["policy.planner={width: 16, depth: 1}", f"idm.optim={FAST}"],
    "vilp": [
        "policy.autoencoder={kind: spatial, channels: [8, 8]}",
        "policy.planner={kind: video, channels: [16, 64]}",
        f"low_level.optim={FAST}",
    ],
}
PLAYED = 0.05


@pytest.fixture
def files(tmp_path):
    """Demonstrations whose actions would be noticed if anything learned from them, and play."""
    with EpisodeWriter(tmp_path / "expert.hdf5", task="lift") as writer:
        for seed in range(12):
            episode = make_episode(seed)
            episode.actions[:, 7] = 0.079
            writer.add(episode)
    with EpisodeWriter(tmp_path / "play.hdf5", task="lift") as writer:
        for seed in range(12):
            episode = make_episode(100 + seed, "play")
            episode.actions[:, 7] = PLAYED
            writer.add(episode)
    write_file(tmp_path / "free.hdf5", "action_free")
    return tmp_path


def train(folder, roles, *overrides):
    data = ", ".join(f"{role}: [{{path: {folder}/{name}.hdf5}}]" for role, name in roles.items())
    (folder / "recipe.yaml").write_text(f"data: {{{data}}}\n")
    command = ["train", "--config", str(folder / "recipe.yaml"), "--out", str(folder / "bundle")]
    common = ["views=[agentview]", f"planner.optim={FAST}", f"autoencoder.optim={FAST}"]
    return main([*command, "--work", str(folder / "w"), "--jobs", "1", *common, *overrides])


@pytest.mark.parametrize("method", NETS)
def test_what_to_do_is_watched_and_how_is_played(files, method):
    roles = {"action_free": "expert", "suboptimal": "play"}
    assert train(files, roles, f"policy.method={method}", *NETS[method]) == 0
    policy = load_policy(files / "bundle", device="cpu", engine="torch")
    assert policy.spec.provenance["episodes"] == {"action_free": 12, "suboptimal": 12}
    stages = policy.spec.provenance["stages"].values()
    assert all(np.isfinite(stage["held_out"]["score"]) for stage in stages)
    images = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    proprio = np.array([0.45, 0, 0.3, 1, 0, 0, 0, -1, 0, 0.08])
    noise = policy.noise(0)
    actions = policy.act(policy.plan(policy.encode(images, proprio), noise), noise)
    np.testing.assert_allclose(actions[:, 7], PLAYED, atol=5e-3)


@pytest.mark.parametrize(
    ("roles", "method", "words"),
    [
        ({"suboptimal": "play"}, "ldp", "no demonstrations: name a file under data.expert"),
        ({"action_free": "free"}, "ldp", "no episode has actions: name play"),
        ({"action_free": "free", "suboptimal": "play"}, "bc", "'bc' imitates actions"),
        (
            {"action_free": "free", "suboptimal": "play"},
            "diffusion_policy",
            "'diffusion_policy' imitates actions",
        ),
        ({"expert": "play"}, "ldp", "holds play; none may play expert"),
        (
            {"action_free": "play", "suboptimal": "play"},
            "ldp",
            "holds play; none may play action_free",
        ),
    ],
)
def test_what_nobody_shows_is_not_trained(files, capsys, roles, method, words):
    assert train(files, roles, f"policy.method={method}") == 2
    assert words in capsys.readouterr().err
    assert not (files / "w").exists()


@given(
    expert=st.integers(0, 5),
    suboptimal=st.integers(0, 5),
    count=st.integers(1, 50),
    share=st.floats(0, 1),
)
def test_actions_are_drawn_from_whatever_is_labelled(expert, suboptimal, count, share):
    if expert + suboptimal == 0:
        return
    rows = {name: np.empty(0) for name in Features.__dataclass_fields__}
    rows |= {"expert_steps": np.arange(expert), "suboptimal_steps": 100 + np.arange(suboptimal)}
    steps, last = Features(**rows).labelled(np.random.default_rng(0), count, share)
    wanted = {(True, True): round(share * count), (False, True): count}.get(
        (expert > 0, suboptimal > 0), 0
    )
    assert last == wanted
    np.testing.assert_array_equal(steps >= 100, np.arange(count) >= count - wanted)
