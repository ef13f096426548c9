"""The robust stage: encoders alone are trained, from recordings or from pairs of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import write_file, write_pairs
from torch import nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.policy.spec import load_spec
from vilp_ros.training.config import RobustTraining, load_recipe
from vilp_ros.training.robust import Views
from vilp_ros.training.robust_grid import RobustGridObjective
from vilp_ros.training.run import train

VIEWS = {"agentview": (32, 32), "eye_in_hand": (32, 32)}
SHORT = [
    "name=x",
    "robust.adapt_steps=0",
    "robust.optim.steps=60",
    "robust.optim.batch_size=16",
    "robust.optim.warmup=5",
    "robust.optim.validate_every=60",
    "robust.encoder={blocks: 1, reduced: 8, width: 32}",
]


@pytest.mark.parametrize(("method", "pairs"), [("ldp", True), ("ldp", False), ("vilp", True)])
def test_it_gives_a_bundle_encoders_and_leaves_the_rest_alone(tmp_path, method, pairs):
    save_untrained(tmp_path / "plain", VIEWS, seed=1, method=method)
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


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["policy.method=unipi", "policy.planner.kind=video3d"], "sees with no autoencoder"),
        (
            [
                "policy.method=vilp",
                "policy.autoencoder={kind: spatial, channels: [8, 8]}",
                "policy.planner={kind: video, channels: [8, 64], encoder: resnet}",
            ],
            "past any robust encoder",
        ),
    ],
)
def test_a_policy_that_would_not_see_with_them_is_refused_before_it_is_trained(
    tmp_path, given, why
):
    file = write_file(tmp_path / "e.hdf5")
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    recipe = load_recipe(tmp_path / "r.yaml", [*SHORT, *given, "robust.enabled=true"])
    with pytest.raises(VilpError, match=why):
        train(recipe, tmp_path / "w", tmp_path / "b")


def test_pairs_that_are_not_there_are_missed_before_anything_is_trained(tmp_path):
    file = write_file(tmp_path / "e.hdf5")
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    given = [*SHORT, "robust.enabled=true", f"robust.pairs=[{tmp_path / 'none.hdf5'}]"]
    with pytest.raises(VilpError, match=r"none\.hdf5, which is not there: .*vilp redraw"):
        train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "w", tmp_path / "b")
    assert not list((tmp_path / "w").glob("*.safetensors"))


class Pixels(nn.Module):
    """An autoencoder whose latents are the picture."""

    def decode(self, latents):
        return latents.unflatten(1, (3, 16, 16))


def test_of_a_grid_the_object_counts_in_the_picture_more_than_the_scenery():
    usual = np.full((50, 16, 16, 3), 90, np.uint8)
    usual[np.arange(50), np.arange(50) % 8 + 4, 3:6] = 220  # it is elsewhere in every frame
    target = np.zeros((50, 3 * 16 * 16), np.float32)
    target[1:] += np.arange(49)[:, None]
    views = Views(usual, np.zeros((0, 16, 16, 3), np.uint8), target, np.arange(50) == 0)
    as_it_is = nn.Sequential(nn.Flatten(), nn.PReLU(init=1.0))
    needs = (as_it_is, Pixels(), views, "agentview", RobustTraining(), False)
    objective = RobustGridObjective(*needs, contrast=8.0)
    row, clean = 8, usual[[4]]

    def loss(where):
        seen = clean.copy()
        seen[0, where, 3:6] -= 40
        batch = {"frames": seen, "clean": clean, "target": target[[4]]}
        return float(objective(objective.place(batch), objective.random(0))["picture"])

    assert loss(row) > 3 * loss(row + 2) > 0
