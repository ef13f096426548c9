"""The rules of the rooms hold, and each of them bites."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "vilp_ros").rglob("*.py"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(
        ROOT / "vilp_ros", folder / "vilp_ros", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def test_the_rooms_keep_the_rules(tree):
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("policy/intruder.py", "import vilp_ros.control", "rooms build on the rooms below them"),
        ("control/intruder.py", "import vilp_ros.policy", "rooms build on the rooms below them"),
        ("data/intruder.py", "import vilp_ros.sim", "rooms build on the rooms below them"),
        ("evaluation/intruder.py", "import rclpy", "only nodes, and the verbs that start them"),
        ("sim/intruder.py", "import torch", "a simulator does not know who drives it"),
        (
            "evaluation/closed_loop/intruder.py",
            "import vilp_ros.evaluation.imagination.gap",
            "success is counted without pictures",
        ),
        (
            "policy/spec.py",
            "import vilp_ros.policy.methods.ldp",
            "methods stand on what they share",
        ),
        (
            "training/work.py",
            "import vilp_ros.training.methods.ldp",
            "trainings stand on what they share",
        ),
        ("control/intruder.py", "import torch", "what moves the arm needs numpy only"),
        ("nodes/intruder.py", "import pickle", "no torchvision, no pickle"),
    ],
)
def test_a_broken_rule_is_named(tree, module, line, contract):
    intruder = tree / "vilp_ros" / module
    before = intruder.read_text() if intruder.exists() else None
    intruder.write_text((before or "") + line + "\n")
    try:
        result = lint_imports(tree)
    finally:
        intruder.unlink() if before is None else intruder.write_text(before)
    assert result.returncode == 1
    broken = [text for text in result.stdout.splitlines() if " BROKEN" in text]
    assert len(broken) == 1, result.stdout
    assert broken[0].startswith(contract)


def test_weights_travel_as_safetensors_only():
    """torch.load and numpy's allow_pickle are doors to pickle that no import shows."""
    forbidden = {"torch.load", "torch.save", "torch.jit.load", "eval", "exec"}
    found = [
        f"{path}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and (
            ast.unparse(node.func) in forbidden
            or "allow_pickle" in {keyword.arg for keyword in node.keywords}
        )
    ]
    assert not found


@pytest.mark.parametrize(
    ("room", "strangers"),
    [
        ("policy", {"torchvision", "rclpy", "robosuite", "timm"}),
        ("control", {"torch", "rclpy", "h5py"}),
        ("contract", {"torch", "rclpy", "h5py"}),
        ("sim", {"torch", "rclpy"}),
        ("evaluation", {"rclpy", "torchvision"}),
        ("cli", {"torch", "rclpy", "robosuite", "mujoco"}),
    ],
)
def test_a_room_imports_without_strangers(room, strangers):
    """What third parties import behind our back counts too, so a real interpreter says it."""
    program = (
        "import pkgutil, sys, importlib\n"
        f"room = importlib.import_module('vilp_ros.{room}')\n"
        "for module in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert not strangers & set(result.stdout.split())
