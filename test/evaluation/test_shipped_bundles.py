"""What the model cards of the shipped bundles promise, measured again. Minutes each."""

import json

import pytest

from vilp_ros.evaluation.closed_loop.agents import PolicyRecipe
from vilp_ros.evaluation.closed_loop.rollout import rollout, summarise
from vilp_ros.policy.spec import load_spec
from vilp_ros.share import share_dir

MODELS = share_dir() / "models"
# Of 100 unseen seeds.
LEAST = {
    "ldp_lift": 99,
    "ldp_lift_wide": 95,
    "ldp_square": 50,
    "vilp_lift_wide": 90,
    "vilp_can": 84,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_success_on_unseen_seeds(name):
    bundle = MODELS / name
    seeds = range(700_000, 700_100)
    task = load_spec(bundle).task
    row = summarise(rollout(PolicyRecipe(str(bundle)), task, seeds, workers=2, label=name))
    print(json.dumps(row))
    assert row["successes"] >= LEAST[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_engines_succeed_alike(name):
    """Closed loop on the same seeds; each engine's rate lies in the other's interval."""
    bundle, seeds = MODELS / name, range(600_000, 600_100)
    rows = {
        engine: summarise(
            rollout(
                PolicyRecipe(str(bundle), engine=engine),
                load_spec(bundle).task,
                seeds,
                workers=2,
                label=f"{name} {engine}",
            )
        )
        for engine in ("torch", "openvino")
    }
    print(json.dumps(rows))
    for one, other in (("torch", "openvino"), ("openvino", "torch")):
        low, high = rows[other]["wilson_95"]
        assert low <= rows[one]["successes"] / 100 <= high
