"""Where the files that ship beside the code lie: config, launch, models, rviz."""

from __future__ import annotations

import os
from pathlib import Path

from vilp_ros.errors import VilpError

_PACKAGE = Path(__file__).resolve().parent


def share_dir() -> Path:
    """The folder that holds `config/ launch/ models/ rviz/` of this very copy of the package.

    A checkout (also `pip install -e` and `colcon build --symlink-install`) keeps them at its root,
    an installed copy in `<prefix>/share/vilp_ros`. No environment variable takes part, so that a
    copy never reads the files of another.

    Raises:
        VilpError: The package was copied without its files.
    """
    candidates = [_PACKAGE.parent]
    candidates += [folder / "share" / _PACKAGE.name for folder in _PACKAGE.parents]
    for folder in candidates:
        if (folder / "package.xml").is_file():
            return folder
    raise VilpError(
        f"no share/{_PACKAGE.name}/package.xml above {_PACKAGE}; install the package with "
        "`make setup` or `colcon build` instead of copying its modules"
    )


def find_shared(name: str) -> Path:
    """A file by its path, or by "package://NAME/path": of this copy, or of a sourced workspace.

    Raises:
        VilpError: no workspace that is sourced has the package.
    """
    if not name.startswith("package://"):
        return Path(name).expanduser()
    package, _, inside = name.removeprefix("package://").partition("/")
    if package == _PACKAGE.name:
        return share_dir() / inside
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for prefix in prefixes:
        if (prefix / "share" / package).is_dir():
            return prefix / "share" / package / inside
    raise VilpError(f"{name}: no workspace that is sourced has the package {package}")
