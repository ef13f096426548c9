"""Recipes beside each other: what is counted, and that an error is said in a sentence."""

import json
from copy import deepcopy

import pytest

from vilp_ros.cli.main import main
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.bench_methods import _rows_alike, compare, markdown
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
    report = compare([tmp_path / "tiny.yaml"], 2, 1, "cpu")
    (row,) = report["rows"]
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


def test_a_table_that_was_cut_off_goes_on(tmp_path, capsys):
    one, odd = tmp_path / "one.yaml", tmp_path / "odd.yaml"
    one.write_text(RECIPE)
    odd.write_text(RECIPE.replace("shrink: 2", "shrink: 8"))
    table, page = tmp_path / "t.json", tmp_path / "t.md"
    command = ["bench", "methods", "--json", str(table), "--markdown", str(page)]
    command += ["--repeats", "1", "--device", "cpu", "--recipes", str(one), str(odd)]

    def run():
        code, said = main(command), capsys.readouterr().err.splitlines()
        report = json.loads(table.read_text())
        assert page.read_text() == markdown(report)
        return code, [line for line in said if "kept" in line or "done" in line], report

    code, said, report = run()
    assert (code, said) == (2, ["one done"])
    (first,) = report["rows"]
    odd.write_text(RECIPE.replace("planner_steps: 5", "planner_steps: 6"))
    code, said, report = run()
    assert (code, said) == (0, ["one kept as measured before", "odd done"])
    assert [row["of"] for row in report["rows"]] == ["one", "odd"]
    assert report["rows"][0] == first

    # Another recipe under the same name: cut off now, the table has still the row behind it.
    one.write_text(RECIPE.replace("width: 16", "width: 24"))
    told = []
    compare([one, odd], 1, 1, "cpu", report, lambda *so_far: told.append(deepcopy(so_far)))
    assert [(name, kept) for _, name, kept in told] == [("one", False), ("odd", True)]
    changed, second = told[0][0]["rows"]
    assert changed["recipe"] != first["recipe"]
    assert second == report["rows"][1]


@pytest.mark.parametrize(
    "other", [{"batch": 2}, {"repeats": 2}, {"device": "cuda"}, {"machine": {"cpu": "another"}}]
)
def test_rows_measured_otherwise_are_not_kept(other):
    wanted = {"machine": {"cpu": "one"}, "batch": 1, "repeats": 1, "device": "cpu"}
    before = wanted | {"rows": [{"of": "x", "recipe": "a"}, {"of": "y", "recipe": "b"}]}
    assert _rows_alike(before, wanted, ["b", "c"]) == {"b": {"recipe": "b"}}
    assert _rows_alike(before, wanted | other, ["b"]) == {}
    assert _rows_alike({}, wanted, ["b"]) == {}


def test_a_recipe_that_cannot_be_built_is_named(tmp_path):
    (tmp_path / "odd.yaml").write_text(RECIPE.replace("shrink: 2", "shrink: 8"))
    with pytest.raises(VilpError, match=r"odd\.yaml: diffusion_policy sees 11x18"):
        compare([tmp_path / "odd.yaml"], 1, 1, "cpu")
