"""Cameras of different sizes in one policy: trained, run, judged by the pixels that they have."""

import numpy as np
import pytest
from synthetic import make_episode, write_file

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import encode_episode
from vilp_ros.evaluation.imagination.probes import reconstruction
from vilp_ros.policy.bundle import load_policy
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train

SIZES = {"agentview": (48, 32), "eye_in_hand": (32, 64)}
SMALL = (
    "name=x",
    "autoencoder.optim.steps=3",
    "planner.optim.steps=3",
    "idm.optim.steps=3",
    "policy.autoencoder.channels=[8,8,8]",
)


def trained(tmp_path, *overrides):
    data = write_file(tmp_path / "e.hdf5", count=10, sizes=SIZES)
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {data}}}]}}")
    recipe = load_recipe(tmp_path / "r.yaml", [*SMALL, *overrides])
    train(recipe, tmp_path / "work", tmp_path / "bundle")
    return load_policy(tmp_path / "bundle", device="cpu")


def test_a_bundle_of_them_is_trained_and_runs(tmp_path):
    policy = trained(tmp_path)
    assert policy.spec.views == SIZES
    episode = make_episode(99, sizes=SIZES)
    states, noise = encode_episode(policy, episode), policy.noise(0)
    plan = policy.plan(states[0], noise)
    assert np.isfinite(policy.act(plan, noise)).all()
    assert policy.decode(plan).shape == (policy.spec.horizon + 1, 2, 48, 64, 3)
    # Of a small view beside a large one, black around it counts for nothing.
    found = reconstruction(policy, [episode])
    own = policy.decode(plan)[0]
    assert not own[0, :, 32:].any()
    assert not own[1, 32:].any()
    assert {view: found[view]["frames"] for view in SIZES} == dict.fromkeys(SIZES, 6)


def test_vilp_says_that_it_wants_one_size(tmp_path):
    spatial = ("policy.method=vilp", "policy.autoencoder.kind=spatial", "policy.planner.kind=video")
    small = ("policy.planner.channels=[8,16]", "policy.horizon=5", "policy.frame_interval=2")
    with pytest.raises(VilpError, match="latents of one shape"):
        trained(tmp_path, *spatial, *small, "policy.autoencoder.channels=[8,8]")
