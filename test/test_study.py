"""A study: every cell is trained and run, once, and what fails is named."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from ray_nodes import RayNodes, possible
from synthetic import write_file

from vilp_ros.cli.study import markdown, row
from vilp_ros.training.claim import claim, fingerprint
from vilp_ros.training.config import load_recipe

VILP = (sys.executable, "-m", "vilp_ros")
LITTLE = {"steps": 2, "batch_size": 4}
RECIPE = {
    "policy": {
        "autoencoder": {"latent_dim": 4, "channels": [8, 8, 8]},
        "planner": {"width": 16, "depth": 1},
        "idm": {"width": 16},
    },
    "autoencoder": {"optim": LITTLE},
    "planner": {"optim": LITTLE},
    "idm": {"optim": LITTLE},
}
STUDY = {
    "recipe": "recipe.yaml",
    "later_seeds": ["autoencoder.bundle={first}/bundle"],
    "arms": {"near": ["policy.horizon=4"], "wrong": ["planner.optim.lr=1e30"]},
}


@pytest.fixture
def folder(tmp_path):
    write_file(tmp_path / "e.hdf5")
    data = {"expert": [{"path": "e.hdf5"}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"data": data}))
    (tmp_path / "some.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return tmp_path


def study(folder, *words, run=subprocess.run):
    command = [*VILP, "study", "some.yaml", "--seeds", "2", "--episodes", "1", "--jobs", "1"]
    return run([*command, *words], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--arms", "near", "neer"), "has no arm neer; there are near, wrong"),
        (("--cluster", "127.0.0.1:9"), "no Ray cluster at 127.0.0.1:9"),
    ],
)
def test_what_cannot_begin_says_so(folder, words, said):
    if words[0] == "--cluster":
        pytest.importorskip("ray")
    done = study(folder, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_of_earlier_runs_stay(folder):
    root = folder / "runs/study/some"
    for seed, successes in ((10, 3), (2, 1)):
        (root / f"near_{seed}").mkdir(parents=True)
        measured = {"successes": successes, "episodes": 4, "seeds": [700000, 700003]}
        (root / f"near_{seed}" / "eval.json").write_text(json.dumps(measured))
    assert study(folder, "--arms", "wrong", "--seeds", "1").returncode == 1
    table = json.loads((root / "table.json").read_text())
    assert table["near"]["seeds"] == ["1/4", "3/4"]
    assert "wrong" not in table


def test_arms_that_were_run_on_other_seeds_are_not_compared_without_a_word():
    cells = [
        {"successes": 3, "episodes": 4, "seeds": list(range(start, start + 4))}
        for start in (700_000, 800_000)
    ]
    table = {"near": row(cells[:1]), "far": row(cells[1:])}
    assert "near on 700000 to 700003; far on 800000 to 800003" in markdown(table)
    assert "**" not in markdown({"near": row(cells[:1]), "far": row(cells[:1])})


def test_a_cell_of_another_recipe_or_other_data_is_named_and_stays(folder, monkeypatch):
    """Once its figures were shown as those of the recipe that is there now."""
    monkeypatch.chdir(folder)
    cell, measured = folder / "runs/study/some/near_0", {"successes": 4, "episodes": 4}
    recipe = load_recipe("recipe.yaml", ["name=bundle", "seed=0", "policy.horizon=4"])
    claim(recipe, cell, fingerprint(recipe))
    (cell / "eval.json").write_text(json.dumps(measured))
    (cell / "seeds.json").write_text(json.dumps(["--episodes", "1", "--seed-start", "700000"]))
    done = study(folder, "--arms", "near", "--seeds", "1")
    assert (done.returncode, "4/4" in done.stdout) == (0, True), done.stdout + done.stderr
    (folder / "e.hdf5").unlink()
    write_file(folder / "e.hdf5", count=11)
    other_data = study(folder, "--arms", "near", "--seeds", "1")
    text = (folder / "some.yaml").read_text()
    (folder / "some.yaml").write_text(text.replace("horizon=4", "horizon=8"))
    other_arm = study(folder, "--arms", "near", "--seeds", "1")
    for done, said in (
        (other_data, "e.hdf5 as expert from 0 is not what the parts"),
        (other_arm, "policy.horizon was 4, is 8"),
    ):
        assert done.returncode == 1
        assert said in done.stdout
        assert "near_0 to keep it" in done.stdout
        assert json.loads((cell / "eval.json").read_text()) == measured


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": "no.yaml"}, "no recipe at no.yaml"),
        ({"armz": {}}, "and nothing else"),
        ({"arms": {}}, "at least one"),
        ({"arms": {"../evil": []}}, "it names a folder"),
        ({"arms": {"near": ["policy.horizn=4"]}}, "horizn"),
        # Every training seed was then the same, and their figures were pooled as of several.
        ({"arms": {"near": ["seed=7"]}}, "arm near sets 'seed=7'"),
        ({"later_seeds": ["name=x"]}, "later_seeds sets 'name=x'"),
        ({"arms": {"near": [{"planner.optim.steps": 5}]}}, "expected a list of text"),
        ({"later_seeds": "autoencoder.bundle={first}/bundle"}, "expected a list of text"),
        ({"recipe": 5}, "recipe is 5, expected the path"),
        ({"probes": ["vdieo"]}, "probe 'vdieo'; available: reconstruction"),
        ({"later_seeds": ["data.expert=[{paht: e.hdf5}]"]}, "paht"),
    ],
)
def test_what_is_wrong_in_a_study_is_said_before_anything_is_trained(folder, change, said):
    (folder / "some.yaml").write_text(yaml.safe_dump(STUDY | change, sort_keys=False))
    done = study(folder)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert said in done.stderr
    assert not (folder / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True], ids=["here", "on_a_cluster"])
def test_cells_are_done_once_and_what_fails_is_named(folder, there):
    cluster = ()
    if there:
        if not possible():
            pytest.skip("needs Ray, root and `ip netns`")
        nodes = RayNodes(1, 1)
        cluster = ("--cluster", nodes.head)
    try:

        def run(*words):
            if not there:
                return study(folder, *words)
            process = study(
                folder,
                *words,
                run=lambda command, cwd, **_: nodes.on_head(
                    *command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                ),
            )
            out, error = process.communicate()
            return subprocess.CompletedProcess((), process.returncode, out, error)

        done = run(*cluster)
        assert done.returncode == 1, done.stderr
        root = folder / "runs/study/some"
        assert "failed: near" not in done.stdout, done.stdout + done.stderr
        table = json.loads((root / "table.json").read_text())
        assert list(table) == ["near"]
        assert len(table["near"]["seeds"]) == 2
        assert done.stdout.count("failed: wrong, seed") == 2
        assert "`vilp train` ended with 2" in done.stdout
        written = {path: os.stat(path).st_mtime_ns for path in root.rglob("*.safetensors")}
        done = run("--arms", "near", *cluster)
        assert done.returncode == 0
        after = {path: os.stat(path).st_mtime_ns for path in root.rglob("*.safetensors")}
        assert after == written
        done = run("--arms", "near", "--episodes", "2", *cluster)
        assert done.returncode == 0, done.stdout + done.stderr
        table = json.loads((root / "table.json").read_text())
        assert {seed.partition("/")[2] for seed in table["near"]["seeds"]} == {"2"}
        after = {path: os.stat(path).st_mtime_ns for path in root.rglob("*.safetensors")}
        assert after == written
    finally:
        if there:
            nodes.close()
