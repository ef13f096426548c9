"""`make` sets up once, and says what a machine lacks before it downloads anything."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout without .venv, and a folder `bin` whose programs come first."""
    for name in ("Makefile", "setup.py", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    return tmp_path


def fake(checkout: Path, name: str, script: str) -> str:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def run(checkout: Path, *command: str, **variables: str) -> subprocess.CompletedProcess:
    # A `make` above, as in `make test`, would speak through its flags.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    env = inherited | {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"} | variables
    return subprocess.run(
        command, cwd=checkout, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_lists_every_target(checkout):
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (checkout / "Makefile").read_text(), re.M)
    result = run(checkout, "make")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == phony.split()


def test_a_second_setup_does_nothing(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "ready").touch()
    start = time.monotonic()
    result = run(checkout, "make", "setup")
    assert time.monotonic() - start < 1.0
    assert result.returncode == 0
    assert os.listdir(checkout / ".venv") == ["ready"]


def test_a_new_lock_is_installed(checkout):
    (checkout / ".venv").mkdir()
    stamp = checkout / ".venv" / "ready"
    stamp.touch()
    os.utime(stamp, (0, 0))
    assert "tools/setup.sh run" in run(checkout, "make", "--dry-run", "setup").stdout


def test_arguments_reach_the_demo(checkout):
    command = ["make", "--dry-run", "demo", "EPISODES=7", "MODEL=m", "TASK=t", "SEED_START=9"]
    printed = " ".join(run(checkout, *command).stdout.replace("\\\n", " ").split())
    assert printed.endswith(".venv/bin/vilp demo --episodes 7 --model m --task t --seed-start 9")


def test_an_unfit_python_is_named(checkout):
    python = fake(checkout, "python3.13", "echo Python 3.13.1; [ $1 = --version ]")
    result = run(checkout, "make", "setup", PYTHON=python)
    assert result.returncode != 0
    assert "needs Python 3.10, 3.11 or 3.12" in result.stderr
    assert "is Python 3.13.1" in result.stderr
    assert not (checkout / ".venv").exists()


def test_missing_libraries_are_named_to_who_is_not_root(checkout):
    fake(checkout, "ldconfig", "true")
    fake(checkout, "id", "echo 1000")
    fake(checkout, "apt-get", "echo must not run; exit 9")
    python = fake(
        checkout, "python", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    )
    result = run(checkout, "make", "setup", PYTHON=python)
    assert result.returncode != 0
    venv = f"python3.{sys.version_info.minor}-venv"
    assert (
        "sudo apt-get install --yes --no-install-recommends "
        f"libgl1 libglib2.0-0 libosmesa6 {venv}\n" in result.stderr
    )
    assert not (checkout / ".venv").exists()


def test_root_gets_the_missing_libraries_installed(checkout):
    fake(checkout, "ldconfig", "true")
    fake(checkout, "id", "echo 0")
    fake(checkout, "apt-get", f'echo "$*" >> {checkout}/apt')
    result = run(checkout, "tools/setup.sh", "install_packages", sys.executable)
    assert result.returncode == 0, result.stderr
    update, install = (checkout / "apt").read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith(" libgl1 libglib2.0-0 libosmesa6")


@pytest.mark.parametrize(("user", "wanted"), [("0", "libosmesa6\n"), ("1000", "")])
def test_only_root_is_asked_for_osmesa_where_egl_is_there(checkout, user, wanted):
    present = r"libGL.so.1 (x)\nlibglib-2.0.so.0 (x)\nlibEGL.so.1 (x)\n"
    fake(checkout, "ldconfig", f"printf '{present}'")
    fake(checkout, "id", f"echo {user}")
    assert run(checkout, "tools/setup.sh", "missing_packages", sys.executable).stdout == wanted


def test_torch_comes_from_where_the_user_says(checkout):
    result = run(checkout, "tools/setup.sh", "torch_index", "false", TORCH_INDEX_URL="https://x/y")
    assert result.stdout == "https://x/y\n"


def test_a_gpu_keeps_torch_from_the_cpu_index(checkout):
    fake(checkout, "nvidia-smi", "true")
    answers = fake(checkout, "python", "true")
    assert run(checkout, "tools/setup.sh", "torch_index", answers, TORCH_INDEX_URL="").stdout == ""


@pytest.mark.parametrize(("reachable", "index"), [("true", r"https://.*/whl/cpu\n"), ("false", "")])
def test_without_a_gpu_the_cpu_index_is_taken_if_it_answers(checkout, reachable, index):
    fake(checkout, "nvidia-smi", "false")
    python = fake(checkout, "python", reachable)
    result = run(checkout, "tools/setup.sh", "torch_index", python, TORCH_INDEX_URL="")
    assert result.returncode == 0
    assert re.fullmatch(index, result.stdout)
