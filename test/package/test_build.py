"""The package builds the way ROS users build it, and what was built runs."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from vilp_ros.ros.graph import NODES

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENTRY_POINTS = {"vilp", *(entry.executable for entry in NODES), "teleop_node"}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """What git would hand to a stranger, the weights replaced by a few bytes."""
    folder = tmp_path_factory.mktemp("workspace") / "src" / "vilp_ros"
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, listed.split("\0")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            path.write_bytes(b"weights")
        elif (ROOT / name).is_file():
            shutil.copy(ROOT / name, path)
    return folder


def share_of(source: Path) -> set[str]:
    """Files that must land in share/vilp_ros."""
    rooms = ("config", "launch", "models", "rviz")
    files = {path for room in rooms for path in (source / room).rglob("*") if path.is_file()}
    assert {path.relative_to(source).parts[0] for path in files} == set(rooms)
    return {str(path.relative_to(source)) for path in files} | {"package.xml"}


@pytest.fixture(scope="module")
def workspace(source) -> Path:
    folder = source.parents[1]
    result = subprocess.run(
        [BIN / "colcon", "build"],
        cwd=folder,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def sourced(workspace) -> dict[str, str]:
    """The environment after `source install/setup.bash`."""
    printed = subprocess.check_output(
        ["bash", "-c", "source install/setup.bash && env -0"], cwd=workspace, text=True
    )
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


def test_colcon_takes_it_for_ament_python(source):
    """An invalid package.xml silently demotes the package to (python)."""
    printed = subprocess.check_output([BIN / "colcon", "list"], cwd=source.parents[1], text=True)
    assert printed.split() == ["vilp_ros", "src/vilp_ros", "(ros.ament_python)"]


def test_built_files_are_where_ros_looks_for_them(source, workspace):
    prefix = workspace / "install" / "vilp_ros"
    assert {path.name for path in (prefix / "lib" / "vilp_ros").iterdir()} == ENTRY_POINTS
    assert (prefix / "share/ament_index/resource_index/packages/vilp_ros").is_file()
    share = prefix / "share" / "vilp_ros"
    assert not [name for name in share_of(source) if not (share / name).is_file()]


def test_a_built_copy_reads_its_own_files(workspace, sourced):
    program = "from vilp_ros.share import share_dir; print(share_dir())"
    printed = subprocess.check_output(
        [sys.executable, "-c", program], cwd=workspace, env=sourced, text=True
    )
    assert Path(printed.strip()) == workspace / "install" / "vilp_ros" / "share" / "vilp_ros"


def test_a_built_node_runs_until_it_is_interrupted(workspace, sourced):
    import rclpy

    program = workspace / "install" / "vilp_ros" / "lib" / "vilp_ros" / "observation_node"
    rclpy.init()
    watcher = rclpy.create_node("watcher")
    process = subprocess.Popen([program], cwd=workspace, env=sourced, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while "observation" not in watcher.get_node_names():
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline, "the node did not appear in the graph"
            rclpy.spin_once(watcher, timeout_sec=0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        watcher.destroy_node()
        rclpy.shutdown()
    assert process.returncode == 0
    assert b"Traceback" not in errors


def test_the_wheel_holds_everything(source, tmp_path):
    subprocess.run(
        [BIN / "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, source],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("vilp_ros-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    shared = {name.split("/share/vilp_ros/", 1)[1] for name in names if "/share/vilp_ros/" in name}
    assert shared == share_of(source)
    modules = {path.relative_to(source) for path in (source / "vilp_ros").rglob("*.py")}
    assert {str(path) for path in modules} <= set(names)
