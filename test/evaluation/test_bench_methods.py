"""Recipes beside each other: what is counted, and that an error is said in a sentence."""

import pytest

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.bench_methods import compare, markdown
from vilp_ros.policy.registry import METHODS

RECIPE = """\
policy:
  method: diffusion_policy
  horizon: 8
  planner: {kind: unet, channels: [16, 16, 16]}
  sampler: {planner_steps: 5}
  options: {width: 16, keypoints: 4, features: 8, shrink: 2}
"""


def test_a_recipe_is_timed_and_weighed(tmp_path):
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    seen = []
    report = compare([tmp_path / "tiny.yaml"], 2, 1, "cpu", seen.append)
    (row,) = report["rows"]
    assert seen == [row]
    assert (row["of"], row["method"], row["steps"]) == ("tiny", "diffusion_policy", 5)
    config = METHODS.find("diffusion_policy").small()
    config.planner.channels = [16, 16, 16]
    nets = METHODS.find("diffusion_policy").parts(config, dict.fromkeys("ab", (96, 160)))
    assert row["parameters"] == sum(p.numel() for p in nets["planner"].parameters())
    assert row["train"]["part"] == "planner"
    for part in (row["plan"], row["train"]):
        assert 0 < part["cpu_s"] < 60
        assert 50 < part["memory_mb"] < 5000
    last = markdown(report).splitlines()[-1]
    assert last.startswith("| tiny | diffusion_policy | 1.7 M | 5 | ")


def test_a_recipe_that_cannot_be_built_is_named(tmp_path):
    (tmp_path / "odd.yaml").write_text(RECIPE.replace("shrink: 2", "shrink: 8"))
    with pytest.raises(VilpError, match=r"odd\.yaml: diffusion_policy sees 11x18"):
        compare([tmp_path / "odd.yaml"], 1, 1, "cpu")
