"""The robust stage: encoders alone are trained, from recordings or from pairs of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import make_episode, write_file

from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.pairs import usual
from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.policy.spec import load_spec
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train

VIEWS = {"agentview": (32, 32), "eye_in_hand": (32, 32)}
SHORT = [
    "name=x",
    "robust.optim.steps=60",
    "robust.optim.batch_size=16",
    "robust.optim.warmup=5",
    "robust.optim.validate_every=60",
    "robust.encoder={blocks: 1, reduced: 8, width: 32}",
]


def write_pairs(path, count=26):
    """Every picture beside itself, darkened and with red and green exchanged."""
    with EpisodeWriter(path, task="lift") as writer:
        for seed in range(count):
            episode = make_episode(seed, length=12)
            for view in VIEWS:
                frames = episode.images[view]
                episode.images[usual(view)] = frames
                episode.images[view] = (0.6 * frames[..., [1, 0, 2]]).astype(np.uint8)
            writer.add(episode)
    return path


@pytest.mark.parametrize("pairs", [True, False])
def test_it_gives_a_bundle_encoders_and_leaves_the_rest_alone(tmp_path, pairs):
    save_untrained(tmp_path / "plain", VIEWS, seed=1)
    given = [*SHORT, f"robust.bundle={tmp_path / 'plain'}"]
    if pairs:
        given.append(f"robust.pairs=[{write_pairs(tmp_path / 'p.hdf5')}]")
    file = write_file(tmp_path / "e.hdf5", count=26)
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    torch.manual_seed(0)
    train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "work", tmp_path / "robust")

    plain, robust = (load_spec(tmp_path / name) for name in ("plain", "robust"))
    before = plain.method_class.load_modules(tmp_path / "plain", plain)[0]
    after = robust.method_class.load_modules(tmp_path / "robust", robust)[0]
    assert set(after) == {*before, *(f"encoder.{view}" for view in VIEWS)}
    for name, module in before.items():
        for key, value in module.state_dict().items():
            torch.testing.assert_close(after[name].state_dict()[key], value, rtol=0, atol=0)
    assert set(robust.unlike_above) == set(VIEWS)
    for view in VIEWS:
        figures = robust.provenance["stages"][f"encoder.{view}"]["held_out"]
        kinds = ["altered", "drawn"] if pairs else ["altered"]
        for kind in kinds:
            assert figures[kind] < 0.7 * figures[f"{kind}_before"], (view, figures)


def test_frames_of_another_size_and_files_that_are_no_pairs_are_refused(tmp_path):
    save_untrained(tmp_path / "plain", {"agentview": (32, 48)})
    file = write_file(tmp_path / "e.hdf5")
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    given = [*SHORT, f"robust.bundle={tmp_path / 'plain'}"]
    with pytest.raises(VilpError, match="32x32; the bundle takes 32x48"):
        train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "w", tmp_path / "b")
    given.append(f"robust.pairs=[{file}]")
    with pytest.raises(VilpError, match="vilp redraw"):
        train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "w2", tmp_path / "b")
