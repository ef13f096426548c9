"""An option that changes nothing, and episodes that were learned from, do not pass unnoticed."""

import json

import pytest
from synthetic import SIZES, write_file

from vilp_ros.cli.main import main
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.seeds import as_ranges, within
from vilp_ros.evaluation.learned_seeds import Learned
from vilp_ros.policy.bundle import load_spec, save_untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    for name in ("one/bundle", "two/bundle", "bc"):
        save_untrained(folder / name, SIZES, method="bc" if name == "bc" else "ldp")
    write_file(folder / "e.hdf5", count=3)
    return folder


def run(folder, *words):
    return main(["eval", *(word.replace("F/", f"{folder}/") for word in words)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # Once the figures said `variation: light@2`, and were of the usual scene.
        (("reconstruction", "--variation", "light@2"), "--variation changes nothing in `vilp eval"),
        (("transfer", "--variation", "green"), "it is for `vilp eval`, `vilp eval oracle`"),
        (("idm", "--seed-start", "7"), "--seed-start changes nothing"),
        (("gap", "--data", "F/e.hdf5"), "--data changes nothing"),
        (("oracle", "--controls", "blind"), "--controls changes nothing"),
        (("--alarm",), "it is for `vilp eval gap`; leave it out"),
        (("--strengths", "2"), "it is for `vilp eval transfer`"),
        (("transfer", "--scenes", "none", "--families", "none"), "nothing to run"),
        (
            ("actions", "--data", "F/e.hdf5", "--control-bundles", "F/one/bundle"),
            "a bundle is named twice",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(folder, capsys, words, said):
    assert run(folder, *words, "--bundle", "F/one/bundle") == 2
    assert said in capsys.readouterr().err


def test_steps_of_what_does_not_denoise_are_refused(folder, capsys):
    assert run(folder, "--bundle", "F/bc", "--steps", "7") == 2
    assert "method 'bc' does not denoise" in capsys.readouterr().err


def test_bundles_of_one_name_are_rows_of_their_own(folder, tmp_path):
    """Those of a study are all called `bundle`; one took the other's row."""
    out = tmp_path / "a.json"
    words = ("--bundle", "F/one/bundle", "--control-bundles", "F/two/bundle")
    assert run(folder, "actions", *words, "--data", "F/e.hdf5", "--json", str(out)) == 0
    rows = json.loads(out.read_text())["rows"]
    assert {f"{folder}/one/bundle", f"{folder}/two/bundle"} < set(rows)


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({"control_period_s": 0.1}, "control_period_s 0.1, the bundle 0.05"),
        ({"depth_range_m": {"agentview": (0.4, 1.6)}}, r"depth_range_m (0.4, 1.6) for agentview"),
    ],
)
def test_episodes_of_another_clock_or_depth_are_refused(folder, tmp_path, capsys, differs, said):
    path, file = tmp_path / "other.hdf5", EpisodeFile(folder / "e.hdf5")
    with EpisodeWriter(path, task="lift", **differs) as writer:
        writer.add(file[0])
    assert run(folder, "idm", "--bundle", "F/one/bundle", "--data", str(path)) == 2
    assert said in capsys.readouterr().err


def test_episodes_that_were_learned_from_are_counted_and_said(folder, tmp_path, capsys):
    spec = load_spec(folder / "one/bundle")
    out, words = tmp_path / "r.json", ("--data", "F/e.hdf5")
    assert run(folder, "idm", "--bundle", "F/one/bundle", *words, "--json", str(out)) == 0
    assert "3 of 3 episodes are of seeds below 600000" in capsys.readouterr().err
    assert json.loads(out.read_text())["learned_seeds"] == [0, 1, 2]
    spec.provenance["seeds"] = [[1, 1], [40, 60]]
    assert Learned.of(spec, "lift", range(3)).seeds == [1]
    assert "trained on: this is not" in str(Learned.of(spec, "lift", range(3)))
    assert str(Learned.of(spec, "can", range(3))) == ""  # other objects lie there
    assert str(Learned.of(spec, "lift", range(2, 40))) == ""


def test_late_plans_on_episodes_that_were_learned_from_are_said(folder, tmp_path, capsys):
    out = tmp_path / "late.json"
    words = ["--episodes", "1", "--seed-start", "599999", "--delays", "0", "--json", str(out)]
    assert main(["bench", "delay", "--bundle", str(folder / "one/bundle"), *words]) == 0
    assert "1 of 1 episodes are of seeds below 600000" in capsys.readouterr().err
    report = json.loads(out.read_text())
    assert report["learned_seeds"] == report["seeds"] == [599_999]
    assert [row["delay_ms"] for row in report["rows"]] == [0]


def test_seeds_are_kept_as_ranges():
    assert as_ranges([7, 3, -1, 4, 5, 7]) == [[3, 5], [7, 7]]
    assert within([2, 3, 5, 6, 7], [[3, 5], [7, 7]]) == [3, 5, 7]
