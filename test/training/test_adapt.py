"""What plans goes on learning from what robust encoders see; the rest of a bundle stays."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from synthetic import write_file, write_pairs

from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import load_policy, save_untrained
from vilp_ros.policy.robust_encoder import RobustFrameEncoder
from vilp_ros.policy.spec import load_spec
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train

VIEWS = {"agentview": (32, 32), "eye_in_hand": (32, 32)}
PARTS = {"ldp": ("planner", "idm"), "vilp": ("planner", "low_level"), "bc": ("bc",)}
SHORT = [
    "name=x",
    "robust.optim={steps: 6, batch_size: 8, warmup: 2, validate_every: 6}",
    "robust.encoder={blocks: 1, reduced: 8, width: 32}",
    "robust.adapt_steps=5",
    "planner.optim={batch_size: 16, warmup: 2, validate_every: 5}",
    "idm.optim={batch_size: 16, warmup: 2, validate_every: 5}",
    "low_level.optim={batch_size: 20, warmup: 2, validate_every: 5}",
    "bc={batch_size: 16, warmup: 2, validate_every: 5}",
]


def states(bundle):
    spec = load_spec(bundle)
    modules, statistics = spec.method_class.load_modules(bundle, spec)
    return {name: module.state_dict() for name, module in modules.items()}, statistics


def same(one, other):
    return all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("method", PARTS)
def test_the_parts_that_plan_or_act_change_and_nothing_else(tmp_path, method):
    save_untrained(tmp_path / "plain", VIEWS, seed=1, method=method)
    file = write_file(tmp_path / "e.hdf5", count=26)
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    given = [*SHORT, f"robust.bundle={tmp_path / 'plain'}", f"policy.method={method}"]
    train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "work", tmp_path / "robust")

    before, measured = states(tmp_path / "plain")
    after, kept = states(tmp_path / "robust")
    assert {name for name in before if not same(before[name], after[name])} == set(PARTS[method])
    for item in fields(measured):
        np.testing.assert_array_equal(getattr(measured, item.name), getattr(kept, item.name))
    stages = load_spec(tmp_path / "robust").provenance["stages"]
    assert all(stages[f"{name}.adapted"]["steps"] == 5 for name in PARTS[method])
    load_policy(tmp_path / "robust")
    # A sample begins at what the robust encoder sees: mostly not the latent of the clean frame.
    adapted = tmp_path / "work" / "adapted"
    seen, clean = (np.load(adapted / f"latents.agentview{x}.npy") for x in (".seen", ""))
    assert seen.shape == clean.shape
    assert not np.allclose(seen, clean, atol=1e-3)


@pytest.mark.parametrize("pairs", [True, False])
def test_frames_that_were_drawn_in_other_looks_are_mostly_seen_in_those(tmp_path, pairs):
    save_untrained(tmp_path / "plain", VIEWS, seed=1)
    file = write_file(tmp_path / "e.hdf5", count=26, length=12)
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    looks = f"[{write_pairs(tmp_path / 'p.hdf5')}]" if pairs else "[]"
    given = [
        *SHORT,
        f"robust.bundle={tmp_path / 'plain'}",
        f"robust.pairs={looks}",
        "robust.drawn_share=0.8",
        "robust.adapt_clean_share=1.0",
    ]
    train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "work", tmp_path / "robust")

    spec = load_spec(tmp_path / "robust")
    modules = spec.method_class.load_modules(tmp_path / "robust", spec)[0]
    clean = EpisodeFile(file)[0].images["agentview"]
    sees = RobustFrameEncoder(modules["encoder.agentview"]).eval()
    with torch.inference_mode():
        expected = sees(torch.from_numpy(clean)).numpy()
    seen = np.load(tmp_path / "work" / "adapted" / "latents.agentview.seen.npy")[: len(clean)]
    foreign = np.abs(seen - expected).max(axis=1) > 1e-3
    assert (5 <= foreign.sum() < len(clean)) if pairs else not foreign.any()


def test_recordings_that_teach_no_actions_are_refused_before_the_encoders_are_trained(tmp_path):
    save_untrained(tmp_path / "plain", VIEWS, method="bc")
    file = write_file(tmp_path / "e.hdf5", count=4)
    (tmp_path / "r.yaml").write_text(f"data: {{action_free: [{{path: {file}}}]}}")
    given = [*SHORT, f"robust.bundle={tmp_path / 'plain'}"]
    with pytest.raises(VilpError, match=r"imitates actions.*robust\.adapt_steps=0"):
        train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "w", tmp_path / "b")
    assert not list((tmp_path / "w").glob("encoder.*"))
