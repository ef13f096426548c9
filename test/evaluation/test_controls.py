"""Which rows stand beside a score, and what the verb writes."""

from __future__ import annotations

import json

import pytest
from synthetic import SIZE, make_episode, write_file

from vilp_ros.cli.main import main
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import OracleRecipe, PolicyRecipe, ScriptRecipe
from vilp_ros.evaluation.closed_loop.controls import choose, make_row, name_bundles
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.policy.spec import load_spec


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    save_untrained(folder / "main", task="lift")
    save_untrained(folder / "proprio", task="lift", views={})
    save_untrained(folder / "elsewhere", task="can")
    return folder


def test_all_means_what_can_be_run(bundles):
    spec = load_spec(bundles / "main")
    assert choose("all", spec, {}) == ["expert", "blind", "ddim1", "oracle"]
    assert choose("all", spec, {"proprio": "x"})[-1] == "proprio"
    assert choose("none", spec, {}) == []
    assert choose("blind, ddim1", spec, {}) == ["blind", "ddim1"]
    spec.policy.method = "bc"
    assert choose("all", spec, {}) == ["expert", "blind"]


def test_a_wrong_control_is_refused_with_what_there_is(bundles):
    spec = load_spec(bundles / "main")
    with pytest.raises(VilpError, match="unknown control 'blnd'; available: expert, blind"):
        choose("blnd", spec, {})
    with pytest.raises(VilpError, match="--control-bundles"):
        choose("bc", spec, {})
    for wanted in ("none", "expert"):  # a table without the row that was asked for
        with pytest.raises(VilpError, match=f"has models/x, which --controls {wanted} leaves out"):
            choose(wanted, spec, {"bc": "models/x"})
    assert choose("bc", spec, {"bc": "models/x"}) == ["bc"]


def test_bundles_are_named_by_what_they_are(bundles):
    assert list(name_bundles([str(bundles / "proprio")], "lift")) == ["proprio"]
    with pytest.raises(VilpError, match="task 'can', not 'lift'"):
        name_bundles([str(bundles / "elsewhere")], "lift")
    with pytest.raises(VilpError, match="both 'proprio'"):
        name_bundles([str(bundles / "proprio")] * 2, "lift")


def test_rows_change_what_they_claim_and_nothing_else(bundles, tmp_path):
    policy = PolicyRecipe(str(bundles / "main"), engine="torch", steps=8, noise_seed=3)
    given = {"proprio": str(bundles / "proprio")}
    rows = {n: make_row(n, policy, [7, 8], given, tmp_path) for n in ("blind", "ddim1", "proprio")}
    assert all(row.seeds == (7, 8) for row in rows.values())
    assert rows["blind"].recipe == ScriptRecipe(blind=True)
    assert rows["ddim1"].recipe == PolicyRecipe(
        policy.bundle, engine="torch", steps=1, noise_seed=3
    )
    assert rows["proprio"].recipe.views == {}
    assert rows["proprio"].recipe.noise_seed == 3


def test_an_oracle_of_episodes_without_seeds_and_seeds_below_zero_are_refused(
    bundles, tmp_path, capsys
):
    path, recipe = tmp_path / "robot.hdf5", PolicyRecipe(str(bundles / "main"))
    episode = make_episode(0)
    episode.seed = -1
    with EpisodeWriter(path, task="lift") as writer:
        writer.add(episode)
    with pytest.raises(VilpError, match="says from which seed"):
        make_row("oracle", recipe, range(700_000, 700_100), {}, path)
    for option in ("--seed-start", "--noise-seed"):
        assert main(["eval", "--bundle", str(bundles / "main"), option, "-1"]) == 2
        assert "are at least 0" in capsys.readouterr().err


def test_the_oracle_runs_on_the_recorded_seeds(bundles, tmp_path):
    path = write_file(tmp_path / "held_out.hdf5", count=2)
    row = make_row("oracle", PolicyRecipe(str(bundles / "main")), range(700_000, 700_100), {}, path)
    assert isinstance(row.recipe, OracleRecipe)
    assert row.seeds == (0, 1)


def test_the_verb_writes_what_it_measured(bundles, tmp_path, capsys):
    path = tmp_path / "out" / "report.json"
    words = ["--bundle", str(bundles / "proprio"), "--episodes", "2", "--json", str(path)]
    assert main(["eval", *words, "--controls", "expert,blind"]) == 0
    report = json.loads(path.read_text())
    assert report["seeds"] == [700_000, 700_001]
    assert (report["episodes"], report["task"]) == (2, "lift")
    assert set(report["controls"]) == {"expert", "blind"}
    for row in (report, *report["controls"].values()):
        assert {"episodes", "successes", "wilson_95", "mean_steps", "seeds"} <= set(row)
        low, high = row["wilson_95"]
        assert low <= row["successes"] / row["episodes"] <= high
    assert report["controls"]["expert"]["successes"] == 2
    table = capsys.readouterr().out
    for name in ("policy", "expert", "blind", "2/2"):
        assert name in table


def test_the_verb_refuses_episodes_of_another_task(bundles, tmp_path, capsys):
    path = write_file(tmp_path / "can.hdf5", count=1, task="can")
    words = ["--bundle", str(bundles / "main"), "--data", str(path)]
    assert main(["eval", "idm", *words]) == 2
    assert "holds 1 episodes of can, not lift" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["ldp", "vilp"])
def test_probes_of_a_compiled_bundle(method, tmp_path, capsys):
    """OpenVINO takes inputs of one shape only, torch would forgive another."""
    views = {"agentview": SIZE, "eye_in_hand": SIZE}
    bundle = tmp_path / "bundle"
    save_untrained(bundle, task="lift", views=views, engine="openvino", method=method)
    data = write_file(tmp_path / "lift.hdf5", count=2)
    words = ["--bundle", str(tmp_path / "bundle"), "--data", str(data)]
    path = tmp_path / "r.json"
    assert main(["eval", "reconstruction", *words, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert {"psnr_db", "psnr_object_db", "median_image"} <= set(report["agentview"])
    assert report["episodes"] == 2
    assert main(["eval", "idm", *words, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert report["pairs"] == 40
    assert report["next_pose"]["position_mm"]["mean"] == pytest.approx(0.0, abs=1e-3)
    assert report["idm"]["position_mm"]["mean"] > 1.0
    assert "inverse dynamics" in capsys.readouterr().out
    data = write_file(tmp_path / "long.hdf5", count=6, length=60)
    words = ["--bundle", str(bundle), "--data", str(data), "--json", str(path)]
    assert main(["eval", "video", *words]) == 0
    report = json.loads(path.read_text())
    assert report["plans"] >= 50
    assert set(report["views"]["eye_in_hand"]) == {"imagined", "copy", "bound", "real"}
    assert {"apart_s", "other_imagination_s", "other_plan_s"} <= set(report["alignment"])
    assert "views apart in time" in capsys.readouterr().out


def test_transfer_is_a_row_for_every_scene_that_can_be_seen(bundles, tmp_path, capsys):
    path = tmp_path / "transfer.json"
    words = ["--episodes", "1", "--json", str(path), "--scenes", "none,blue", "--families", "none"]
    for name, seen in (("main", ["none", "blue"]), ("proprio", ["none"])):
        assert main(["eval", "transfer", "--bundle", str(bundles / name), *words]) == 0
        assert list(json.loads(path.read_text())["variations"]) == seen
        said = " ".join(capsys.readouterr().out.split())
        assert "0/1" in said
        assert ("nothing changes in what" in said) == (name == "proprio")
