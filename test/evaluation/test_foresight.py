"""Whether gaps foretell failure: known gaps, and a bundle in the simulator."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vilp_ros.cli.main import main
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.rollout import EpisodeResult
from vilp_ros.evaluation.imagination.foresight import alarm, foretell, warned
from vilp_ros.policy.bundle import save_untrained

VIEWS = ("agentview", "eye_in_hand")


def episode(seed, success, gap, late_gap=9.0):
    """40 periods if it succeeds, else 200; `gap` up to period 20, then `late_gap`."""
    steps = 40 if success else 200
    notes = [
        (t, np.full(2, gap if t < 20 else late_gap), np.array([gap, 0.5]), np.ones(2), np.ones(2))
        for t in range(4, steps, 4)
    ]
    return EpisodeResult(seed, success, steps, notes)


def test_a_gap_that_is_larger_in_failures_foretells_them():
    results = [episode(i, True, 0.4 + 0.01 * i) for i in range(20)]
    results += [episode(100 + i, False, 0.8 + 0.01 * i) for i in range(6)]
    report = foretell(results, VIEWS)
    assert (report["episodes"], report["failures"]) == (26, 6)
    row = report["equal_time"]["latent"]
    assert row["auroc"] == 1.0
    assert row["interval_95"] == (1.0, 1.0)
    assert row["mean_success"] < row["mean_failure"] < 0.9  # nothing after period 20 counts
    assert report["first_half"]["latent"]["mean_failure"] > 5.0
    assert report["equal_time"]["pixels.agentview"]["auroc"] == 1.0
    assert report["equal_time"]["pixels.eye_in_hand"]["auroc"] == 0.5
    assert report["equal_time"]["moved"]["auroc"] == 0.5
    json.dumps(report)


def test_few_failures_have_no_interval_and_none_no_area():
    results = [episode(i, True, 0.5) for i in range(9)]
    assert foretell(results, VIEWS)["first_half"]["latent"]["auroc"] is None
    results.append(episode(10, False, 0.9))
    row = foretell(results, VIEWS)["first_half"]["latent"]
    assert row["auroc"] == 1.0
    assert row["interval_95"] is None
    assert foretell([episode(1, False, 0.5)], VIEWS)["equal_time"] is None


def test_an_alarm_has_a_threshold_of_usual_episodes_and_counts_its_false_ones():
    usual = [episode(i, True, 0.01 * i) for i in range(40)]
    told = alarm(usual, [episode(9, False, 0.9), episode(10, True, 0.9), episode(11, True, 0.1)])
    row = told["latent"]
    assert 0.3 < row["threshold"] < 0.39
    assert (row["false_alarms"], row["usual"]) == (2, 20)
    assert (row["told"], row["varied"], row["told_of_failures"], row["failures"]) == (2, 3, 1, 1)
    assert told["moved"]["told"] == 0


def test_episodes_are_counted_in_which_the_robot_would_have_warned():
    def looking(levels, success=True):
        notes = [(4 * t, *[np.ones(2)] * 3, np.array([1.0, x])) for t, x in enumerate(levels)]
        return EpisodeResult(0, success, 4 * len(levels), notes)

    sizes = dict.fromkeys(VIEWS, (96, 160))
    results = [
        looking([30.0] * 12),
        looking([30.0] * 4 + [5.0] * 20, success=False),  # for a moment, as when the arm passes
        looking([5.0] * 10 + [30.0] * 9, success=False),
        looking([30.0] * 8),  # too short to say
    ]
    limits = {"agentview": 20.0, "eye_in_hand": 20.0}
    found = {"warned": 2, "episodes": 4, "failures_warned": 1, "failures": 2}
    assert warned(results, sizes, limits) == found
    assert warned(results, sizes, {"agentview": 20.0})["warned"] == 0
    assert warned(results, sizes, {}) is None


def test_no_gap_at_all_is_said():
    with pytest.raises(VilpError, match="no imagined frame was due"):
        foretell([EpisodeResult(1, True, 40, [])], VIEWS)


def test_the_verb_measures_a_bundle_in_another_scene(tmp_path, capsys):
    save_untrained(tmp_path / "bundle", task="lift")
    words = ["--bundle", str(tmp_path / "bundle"), "--episodes", "1", "--variation", "blue"]
    words += ["--alarm"]
    path = tmp_path / "gap.json"
    assert main(["eval", "gap", *words, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert (report["episodes"], report["failures"], report["variation"]) == (1, 1, "blue")
    assert report["first_half"]["latent"]["mean_failure"] > 0
    assert report["alarm"]["unlike"]["failures"] == 1
    assert report["warned"] is None  # it has no limits
    assert "an AUROC says nothing" in " ".join(capsys.readouterr().out.split())
