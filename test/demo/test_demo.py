"""`vilp demo` with real processes: what a stranger gets, and what happens when a part is broken."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import cv2
import psutil
import pytest

from vilp_ros.cli.main import main
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.ros.domain import free_domain

NODES = {"sim", "observation", "planner", "controller"}
DEADLINE_S = 240


def start(tmp_path, *words) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "vilp_ros", "demo", "--runs", str(tmp_path / "runs"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def nodes_of(process: psutil.Process) -> dict[str, psutil.Process]:
    """Node processes below the demo, by name."""
    found = {}
    for child in process.children(recursive=True):
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        if "vilp_ros.nodes" in words:  # -m vilp_ros.nodes NAME
            found[words[words.index("vilp_ros.nodes") + 1]] = child
    return found


def wait_until(condition, demo):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        assert demo.poll() is None, f"the demo ended: {demo.communicate()[0]}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_untrained(folder, task="lift")
    return folder


@pytest.fixture(scope="module")
def ran(model, tmp_path_factory):
    """One short episode of a policy that knows nothing."""
    folder = tmp_path_factory.mktemp("demo")
    words = ("--model", str(model), "--episodes", "1", "--timeout", "2", "--seed-start", "700007")
    demo = start(folder, *words, "--json", str(folder / "copy.json"))
    output, _ = demo.communicate(timeout=DEADLINE_S)
    return folder, demo.returncode, output, model


def test_it_runs_and_says_so(ran):
    _, code, output, _ = ran
    assert code == 0, output
    assert "seed 700007  time out" in output
    assert "0/1" in output  # a bad policy is no failure of the pipeline


def test_summary_has_the_promised_keys_with_real_numbers(ran):
    folder, _, output, _ = ran
    report = json.loads((folder / "runs" / "latest" / "summary.json").read_text())
    promised = "episodes successes wilson_95 plan_rate_hz plan_age_ms command_age_ms holds"
    assert set(promised.split()) | {"real_time_factor"} <= set(report), output
    assert (report["episodes"], report["successes"], report["task"]) == (1, 0, "lift")
    assert report["plan_rate_hz"] > 1
    assert report["commands"] > 0  # how many is the machine's affair
    for ages in (report["plan_age_ms"], report["command_age_ms"]):
        assert 0 < ages["p50"] <= ages["p99"] < 5000
    assert report["plan_age_ms"]["p50"] < report["command_age_ms"]["p50"]
    assert report["largest_speed_m_s"] > 0
    assert report["per_episode"][0]["seed"] == 700_007
    assert json.loads((folder / "copy.json").read_text()) == report


def test_video_and_strip_can_be_opened(ran):
    folder = ran[0] / "runs" / "latest"
    video = cv2.VideoCapture(str(folder / "episode_01.mp4"))
    assert int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") in (b"h264", b"avc1")
    frames = 0
    while video.read()[0]:
        frames += 1
    assert frames > 20
    assert cv2.imread(str(folder / "strip.png")).shape[1] > 1000


def test_every_node_ended_and_a_run_leaves_one_link(ran):
    folder = ran[0] / "runs"
    assert (folder / "latest").is_symlink()
    assert len(list(folder.iterdir())) == 2
    model = ran[3]
    words = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in words if f"model:={model}" in line]


def test_a_simulator_that_falls_behind_gets_a_slower_world(model, tmp_path):
    """It is stopped for two periods of every three, until the demo notices."""
    demo = start(tmp_path, "--model", str(model), "--episodes", "1", "--timeout", "2")
    process, noticed = psutil.Process(demo.pid), threading.Event()

    def hinder() -> None:
        wait_until(lambda: "sim" in nodes_of(process), demo)
        sim = nodes_of(process)["sim"]
        with suppress(psutil.NoSuchProcess):
            while not noticed.wait(0.05):
                sim.suspend()
                noticed.wait(0.1)
                sim.resume()

    hand = threading.Thread(target=hinder)
    hand.start()
    try:
        first = next(demo.stdout)
    finally:
        noticed.set()
        hand.join()
    assert "this machine is too slow, or busy: at 1 of real time the simulator came to" in first
    output, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, first + output
    report = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text())
    assert report["speed"] < 1
    assert report["real_time_factor"] <= report["speed"] * 1.01
    assert 1.5 < report["duration_s"] < 5  # of 2 simulated seconds, which took longer
    assert 0 < report["plan_age_ms"]["p50"] < report["command_age_ms"]["p50"] < 2000
    assert f"slowed to {report['speed']:g}" in output


def test_a_broken_model_is_told_with_its_log(model, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "policy.yaml").write_bytes((model / "policy.yaml").read_bytes())
    weights = (model / "weights.safetensors").read_bytes()
    (broken / "weights.safetensors").write_bytes(weights[: len(weights) // 2])
    demo = start(tmp_path, "--model", str(broken), "--episodes", "1")
    output, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 1, output
    assert "failed: planner" in output or "failed: controller" in output
    assert "weights.safetensors cannot be read" in " ".join(output.split())
    assert ".log" in output


def test_a_planner_that_dies_is_named_and_the_truth_is_written(model, tmp_path):
    demo = start(tmp_path, "--model", str(model), "--episodes", "2", "--timeout", "2")
    for line in demo.stdout:
        if line.startswith("episode  1"):
            break
    children = nodes_of(psutil.Process(demo.pid))
    children["planner"].kill()
    output, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 1, output
    assert "failed: planner: ended by itself: killed by SIGKILL" in output
    assert psutil.wait_procs(list(children.values()), timeout=10)[1] == []
    report = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text())
    assert report["per_episode"][0]["failure"] is None
    assert all("planner" in e["failure"] for e in report["per_episode"][1:])


def test_ctrl_c_ends_everything_quietly(model, tmp_path):
    demo = start(tmp_path, "--model", str(model), "--timeout", "600")
    process = psutil.Process(demo.pid)
    wait_until(lambda: set(nodes_of(process)) == NODES, demo)
    children = list(nodes_of(process).values())
    os.kill(demo.pid, signal.SIGINT)
    output, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 130, output
    assert "Traceback" not in output
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_a_domain_in_use_is_not_chosen(monkeypatch):
    monkeypatch.setattr(random.SystemRandom, "sample", lambda self, domains, n: [40, 41])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7400 + 250 * 40 + 10))
        assert free_domain() == 41
    assert free_domain() == 40


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("task:=can", "--task"),
        ("seed:=1", "--seed-start"),
        ("sim:=false", "vilp up"),
        ("speed:=0.5", "--speed"),
    ],
)
def test_what_the_demo_sets_itself_cannot_be_set_twice(word, instead, capsys):
    assert main(["demo", word]) == 2
    assert instead in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("fold", "is 'fold', which is none of the simulator's: name one of arrange_blocks, can"),
        ("", "it has no policy.yaml"),
    ],
)
def test_what_the_simulator_cannot_do_is_said_before_anything_starts(
    tmp_path, monkeypatch, capsys, task, words
):
    monkeypatch.chdir(tmp_path)
    if task:
        save_untrained(tmp_path / "model", task=task)
    else:
        (tmp_path / "model").mkdir()
    assert main(["demo", "--model", "model"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
