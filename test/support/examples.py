"""The example packages of the documentation, installed for a test."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def install(name: str, target: Path, patch: pytest.MonkeyPatch) -> None:
    """Puts a package of `docs` where only this process, and what it starts, looks."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    offline = ["--no-index", "--disable-pip-version-check", "--target", str(target)]
    with tempfile.TemporaryDirectory() as source:  # a build leaves files where it runs
        for file in (DOCS / name).iterdir():
            if file.is_file():
                (Path(source) / file.name).write_bytes(file.read_bytes())
        subprocess.run([*pip, *offline, source], check=True, timeout=120)
    patch.syspath_prepend(target)
    patch.setenv("PYTHONPATH", str(target), prepend=":")
