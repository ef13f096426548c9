"""Diffusion Policy and UniPi train on episodes, end to end, and their bundles run."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from synthetic import write_file

from vilp_ros.cli.main import main
from vilp_ros.policy.bundle import load_policy
from vilp_ros.policy.registry import METHODS
from vilp_ros.training.before import unread
from vilp_ros.training.config import load_recipe
from vilp_ros.training.methods.diffusion_policy import lasting
from vilp_ros.training.registry import TRAININGS
from vilp_ros.training.work import Work

PLANNER = ["planner.optim.steps=3", "planner.optim.batch_size=4", "planner.optim.warmup=1"]
OF = {
    "diffusion_policy": [
        "policy.planner={kind: unet, channels: [16, 16, 16]}",
        "policy.options={width: 16, keypoints: 4, features: 8}",
    ],
    "unipi": [
        "policy.horizon=1",
        "policy.n_action_steps=1",
        "policy.planner={kind: video3d, channels: [32]}",
        "policy.options={width: 16}",
        "planner.optim.batch_size=1",
        "low_level.optim={steps: 3, batch_size: 4, warmup: 1}",
    ],
}


LDP = [
    "policy.planner={width: 32, depth: 1}",
    "policy.autoencoder={latent_dim: 8, channels: [8, 8, 8]}",
    "autoencoder.optim={steps: 2, batch_size: 4, warmup: 1}",
    "idm.optim={steps: 2, batch_size: 4, warmup: 1}",
]


@pytest.mark.parametrize("method", OF)
def test_it_trains_and_the_bundle_runs(method, tmp_path, capsys):
    write_file(tmp_path / "expert.hdf5", "expert")
    (tmp_path / "recipe.yaml").write_text(f"data: {{expert: [{{path: {tmp_path}/expert.hdf5}}]}}\n")
    folders = ["--out", str(tmp_path / "bundle"), "--work", str(tmp_path / "work"), "--jobs", "1"]
    overrides = ["views=[agentview]", f"policy.method={method}", *PLANNER, *OF[method]]
    command = ["train", "--config", str(tmp_path / "recipe.yaml"), *folders]
    assert main([*command, *overrides, "robust.enabled=true"]) == 2
    assert "no autoencoder that could be made robust" in capsys.readouterr().err
    assert main([*command, *overrides]) == 0
    policy = load_policy(tmp_path / "bundle", device="cpu", engine="torch")
    stages = policy.spec.provenance["stages"]
    assert list(stages) == list(METHODS.find(method).parts(policy.spec.policy, policy.spec.views))
    assert all(np.isfinite(stage["held_out"]["score"]) for stage in stages.values())
    images = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    proprio = np.array([0.45, 0, 0.3, 1, 0, 0, 0, -1, 0, 0.08])
    noise = policy.noise(0)
    actions = policy.act(policy.plan(policy.encode(images, proprio), noise), noise)
    # Recorded targets are millimetres from the pose, and the gripper's is 8 cm.
    assert np.abs(actions[:, :3] - proprio[:3]).max() < 0.2
    np.testing.assert_allclose(actions[:, 7], 0.08, atol=1e-3)


@pytest.mark.parametrize("method", ["ldp", "diffusion_policy"])
def test_every_denoiser_reads_how_much_noise_it_starts_from(method, tmp_path):
    write_file(tmp_path / "expert.hdf5", "expert")
    (tmp_path / "recipe.yaml").write_text(f"data: {{expert: [{{path: {tmp_path}/expert.hdf5}}]}}\n")
    command = ["train", "--config", str(tmp_path / "recipe.yaml"), "--jobs", "1"]
    overrides = ["views=[agentview]", f"policy.method={method}", *PLANNER, *OF.get(method, LDP)]
    found = []
    for name, more in (("with", ["planner.pure_noise=1.0"]), ("without", [])):
        folders = ["--out", str(tmp_path / name), "--work", str(tmp_path / f"{name}_work")]
        assert main([*command, *folders, *overrides, *more]) == 0
        weights = load_file(tmp_path / name / "weights.safetensors")
        found.append(torch.cat([x.ravel() for k, x in weights.items() if k.startswith("planner")]))
    assert not torch.equal(*found)


def test_settings_that_count_for_nothing_are_named(tmp_path):
    (tmp_path / "recipe.yaml").write_text("data: {expert: [{path: expert.hdf5}]}\n")
    said: list[str] = []
    for method in ("ldp", "diffusion_policy", "unipi"):
        set_here = [f"policy.method={method}", "idm.noise=0.1", "low_level.noise=0.1"]
        recipe = load_recipe(tmp_path / "recipe.yaml", [*set_here, "name=a"])
        said.append(unread(TRAININGS.find(method)(Work(recipe, tmp_path))))
    assert said == [
        "note: method 'ldp' does not read low_level",
        "note: method 'diffusion_policy' does not read idm, low_level",
        "note: method 'unipi' does not read idm, low_level.noise",
    ]


def test_behind_the_end_the_last_action_stays():
    actions = np.arange(8.0).reshape(2, 4, 1)
    actions[0, 2:] = np.nan
    np.testing.assert_array_equal(lasting(actions)[..., 0], [[0, 1, 1, 1], [4, 5, 6, 7]])
