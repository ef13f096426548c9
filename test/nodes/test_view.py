"""`vilp view`: what it shows of a run and of a live graph, and to whom."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

import numpy as np
import psutil
import pytest
from ros_rig import WAIT_S, Rig

from vilp_ros.cli.main import main
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.demo.run_file import save_episode
from vilp_ros.evaluation.demo.run_report import EpisodeLog

pytest.importorskip("rerun", reason="extra `view`")

VIEWS = ("agentview", "eye_in_hand")


def entities(path) -> set[str]:
    """Entities of a recording that hold data over time."""
    import rerun as rr

    columns = rr.dataframe.load_recording(path).schema().component_columns()
    return {column.entity_path for column in columns if not column.is_static}


def so_far(path) -> set[str]:
    """Entities of a recording that is still being written."""
    try:
        return entities(path)
    except RuntimeError:
        return set()


def picture(value):
    return np.full((96, 160, 3), value, np.uint8)


@pytest.fixture
def run_folder(tmp_path):
    log = EpisodeLog(700_000, began_s=100.0, ended_s=101.0, offsets_s=(0.1, 0.2))
    times = [100.0 + 0.05 * n for n in range(20)]
    log.images = {v: [(t, picture(4 * n)) for n, t in enumerate(times)] for v in VIEWS}
    log.decoded = [(t, {v: np.stack([picture(9)] * 2) for v in VIEWS}) for t in times]
    log.gaps = [(t, {"agentview.latent": 0.5, "ahead_s": 0.4}) for t in times]
    log.joints = [(t, np.zeros(7)) for t in times]
    log.arm = [(t, np.array([0.4, 0.0, 0.3])) for t in times]
    log.paths = [(t, np.zeros((3, 3))) for t in times]
    log.commands = [(t, t + 0.05) for t in times]
    save_episode(log, tmp_path / "episode_01.npz")
    return tmp_path


def test_a_run_becomes_a_file_with_all_that_was_seen(run_folder):
    path = run_folder / "out" / "run.rrd"
    assert main(["view", str(run_folder), "--save", str(path)]) == 0
    shown = entities(path)
    assert {f"/cameras/{view}" for view in VIEWS} <= shown
    assert {"/imagined", "/gap/agentview.latent", "/age/command_ms"} <= shown
    assert {"/arm/here", "/arm/went", "/arm/planned", "/joints/panda_joint1"} <= shown
    assert "/gap/ahead_s" not in shown


def test_a_folder_without_episodes_is_refused(tmp_path, capsys):
    assert main(["view", str(tmp_path), "--save", str(tmp_path / "x.rrd")]) == 2
    assert "no episode_*.npz" in capsys.readouterr().err


def test_without_rerun_it_says_how_to_get_it(monkeypatch):
    from vilp_ros.evaluation.demo.rerun_view import import_rerun

    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(VilpError, match="pip install 'rerun-sdk"):
        import_rerun()


def test_a_live_graph_becomes_a_file(probe, contract, tmp_path):
    path = tmp_path / "live.rrd"
    process = subprocess.Popen([sys.executable, "-m", "vilp_ros", "view", "--save", str(path)])
    rig = Rig(probe, contract)
    try:
        camera = contract.views["agentview"].topic
        probe.spin_until(lambda: probe.node.count_subscribers(camera), "its subscriptions")
        wanted = {f"/cameras/{view}" for view in VIEWS} | {"/arm/here", "/joints/panda_joint7"}
        probe.spin_until(lambda: path.exists() and wanted <= so_far(path), "all of it in the file")
    finally:
        rig.close()
        process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 0
    assert wanted <= entities(path)


def test_the_page_is_for_this_machine_only_and_ends_with_the_verb(run_folder):
    words = ["view", str(run_folder), "--port", "19190"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vilp_ros", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("open http://127.0.0.1:19190/?url=")
        with urllib.request.urlopen(line.split()[1], timeout=WAIT_S) as page:
            assert b"<html" in page.read().lower()
        children = psutil.Process(process.pid).children(recursive=True)
        listening = [c.laddr for p in children for c in p.net_connections() if c.status == "LISTEN"]
        assert {(a.ip, a.port) for a in listening} == {("127.0.0.1", 19190), ("127.0.0.1", 19191)}
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 0
    assert not psutil.wait_procs(children, timeout=10)[1]
