"""The speed table: one process a row, honest differences, readable failures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vilp_ros.cli.main import main
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.bench import bench, difference, run_job
from vilp_ros.evaluation.bench_process import Job
from vilp_ros.geometry import quat_multiply, yaw_quat
from vilp_ros.policy.bundle import save_untrained


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_untrained(folder, task="lift")
    return folder


def test_difference_is_in_units_a_person_can_judge():
    a = np.tile([0.4, 0.1, 0.2, 1.0, 0.0, 0.0, 0.0, 0.08], (5, 8, 1))
    b = a.copy()
    b[2, 3, 1] += 0.004
    b[1, 0, 3:7] = quat_multiply(yaw_quat(np.deg2rad(3.0)), a[1, 0, 3:7])
    b[4, 7, 7] -= 0.002
    found = difference(a, b)
    assert found == pytest.approx(
        {"position_mm": 4.0, "rotation_deg": 3.0, "gripper_mm": 2.0}, rel=1e-6
    )


def test_the_verb_saves_the_table_and_the_machine(bundle, tmp_path, capsys):
    path = tmp_path / "bench.json"
    words = ["--bundle", str(bundle), "--threads", "1", "--steps", "2", "--repeats", "20"]
    words += ["--budget", "1000"]
    assert main(["bench", *words, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    rows = {row["engine"]: row for row in report["rows"]}
    assert set(rows) == {"torch", "openvino"}
    for row in rows.values():
        assert row["total_ms"]["p50"] <= row["total_ms"]["p99"]
        parts = sum(row[f"{part}_ms"]["p50"] for part in ("encode", "plan", "idm"))
        assert parts <= 1.5 * row["total_ms"]["p50"] + 1.0
        assert row["decode_ms"]["p50"] < row["total_decoded_ms"]["p50"]
        assert row["total_decoded_ms"]["p50"] <= row["total_decoded_ms"]["p99"]
        assert row["plans_per_s_decoded"] > 0
        assert row["n"] == row["n_decoded"] == 20
    assert "against_torch" not in rows["torch"]
    assert rows["openvino"]["against_torch"]["position_mm"] < 5.0
    assert {"cpu", "cores", "load_average"} <= set(report["machine"])
    assert rows["openvino"]["against_torch"]["observations"] == 16
    table, progress = capsys.readouterr()
    assert table.count("openvino") == 2  # without decoding, and with
    lines = [line for line in progress.splitlines() if f"{bundle.name} " in line]
    assert ["torch" in line for line in lines] == [True, False]
    assert all("n 20" in line for line in lines)
    assert report["machine"]["cpu"] in table


@pytest.mark.parametrize(("kind", "decodes_apart"), [("latents", True), ("frames", False)])
def test_another_recipes_networks_are_timed_in_the_same_run(bundle, tmp_path, kind, decodes_apart):
    recipe = tmp_path / "other.yaml"
    recipe.write_text(
        "policy:\n  method: vilp\n  horizon: 2\n  n_action_steps: 2\n"
        "  autoencoder: {kind: spatial, channels: [8, 8]}\n"
        "  planner: {kind: video, channels: [8, 64], depth: 1}\n  sampler: {planner_steps: 3}\n"
        f"  low_level: {{kind: {kind}}}\n"
    )
    told = []
    report = bench(
        bundle,
        engines=["torch"],
        threads=[1],
        steps=[2],
        repeats=4,
        against=recipe,
        tell=told.append,
    )
    rows = [(row["of"], row["steps"]) for row in report["rows"]]
    assert rows == [(bundle.name, 2), ("other", 3), ("other", 4)]  # its own steps, the bundle's
    assert [(row["of"], row["steps"]) for row in told] == rows
    for row in report["rows"][1:]:
        assert (row["decode_ms"]["p50"] is not None) == decodes_apart
        assert (row["total_decoded_ms"] == row["total_ms"]) != decodes_apart


def test_a_row_ends_with_its_budget_and_is_told_at_once(bundle, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, 2, 96, 160, 3), np.uint8)
    np.savez(tmp_path / "observations.npz", images=images, proprio=np.full((16, 10), 0.1))
    job = Job(
        bundle=str(bundle),
        engine="torch",
        threads=1,
        steps=(1, 2),
        repeats=10**9,
        budget_s=0.0,
        warmup=20,
        device="cpu",
        observations=str(tmp_path / "observations.npz"),
        actions=str(tmp_path / "actions.npz"),
    )
    told = []
    rows = run_job(job, lambda row: told.append((row["steps"], Path(job.actions).exists())))
    assert [(row["steps"], row["n"], row["n_decoded"]) for row in rows] == [(1, 3, 3), (2, 3, 3)]
    assert told[0] == (1, False)  # the process was still measuring
    with np.load(job.actions) as actions:
        assert actions["actions_1"].shape[0] == 4  # one to warm up
        assert not np.array_equal(actions["actions_1"], actions["actions_2"])


def test_an_unknown_engine_is_refused_before_anything_starts(bundle):
    with pytest.raises(VilpError, match="engine 'tvm'; available: torch, openvino, compile"):
        bench(bundle, engines=["torch", "tvm"], threads=[1], steps=[1])


def test_a_process_that_fails_says_why(tmp_path):
    np.savez(tmp_path / "observations.npz", images=np.zeros(1), proprio=np.zeros(1))
    job = Job(
        bundle=str(tmp_path / "nowhere"),
        engine="torch",
        threads=1,
        steps=(1,),
        repeats=1,
        budget_s=1.0,
        warmup=0,
        device="cpu",
        observations=str(tmp_path / "observations.npz"),
        actions=str(tmp_path / "actions.npz"),
    )
    with pytest.raises(VilpError, match=r"(?s)bench of torch with 1 thread.*no bundle at"):
        run_job(job)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cuda"], "torch finds no CUDA device"),
        (["--engines", "torch,compile"], "'compile' is torch.compile on CUDA, not for cpu"),
        (["--engines", "tensorrt"], "available: torch, openvino, compile"),
        (["--steps", "4,0"], "0 denoising steps: expected 1 to 100"),
    ],
)
def test_what_this_machine_cannot_time_is_a_sentence(bundle, words, said, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["bench", "--bundle", str(bundle), *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
