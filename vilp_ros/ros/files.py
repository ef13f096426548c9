"""Find a contract, bundle or parameter file by path or by the name it ships under."""

from __future__ import annotations

from pathlib import Path

from vilp_ros.errors import VilpError
from vilp_ros.share import share_dir


def find(value: str, folder: str, suffix: str = "") -> Path:
    """Path of a shipped or own file.

    Args:
        value: A path, or the stem of a name in `folder`.
        folder: Relative to the package's share, such as `config/robots`.
        suffix: `.yaml`, or empty for a directory.

    Raises:
        VilpError: Neither exists; lists the names that do.
    """
    shipped = share_dir() / folder
    for path in (Path(value).expanduser(), shipped / f"{value}{suffix}"):
        if path.exists():
            return path.resolve()
    names = sorted(path.stem for path in shipped.glob(f"[!.]*{suffix}"))
    there = ", ".join(names)
    raise VilpError(f"'{value}' is neither a path nor a name in {folder}; there are {there}")


def find_contract(value: str) -> Path:
    """Path of a robot contract."""
    return find(value, "config/robots", ".yaml")


def find_model(value: str) -> Path:
    """Path of a policy bundle."""
    return find(value, "models")
