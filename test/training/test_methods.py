"""Diffusion Policy and UniPi train on episodes, end to end, and their bundles run."""

import numpy as np
import pytest
from synthetic import write_file

from vilp_ros.cli.main import main
from vilp_ros.policy.bundle import load_policy
from vilp_ros.policy.registry import METHODS
from vilp_ros.training.methods.diffusion_policy import lasting

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


def test_behind_the_end_the_last_action_stays():
    actions = np.arange(8.0).reshape(2, 4, 1)
    actions[0, 2:] = np.nan
    np.testing.assert_array_equal(lasting(actions)[..., 0], [[0, 1, 1, 1], [4, 5, 6, 7]])
