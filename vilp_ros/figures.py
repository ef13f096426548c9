"""Figures of a command as JSON, in the file that `--json` names."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any


def add_json(parser: ArgumentParser, what: str = "write the figures to this file") -> None:
    """Adds `--json`, whose path is tried before the minutes that a command may take."""
    parser.add_argument("--json", type=writable, metavar="PATH", help=what)


def write_figures(path: Path | None, figures: Any) -> None:
    """Writes figures whole or not at all; without a path, nowhere."""
    if path is not None:
        write_whole(path, json.dumps(figures, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a text whole or not at all: cut off, what stood there before still does."""
    if _is_device(path):
        path.write_text(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _draft(path).write_text(text)
    _draft(path).rename(path)


def writable(text: str) -> Path:
    """A path that can be written, as the type of an argument."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{path} is a folder: name a file in it")
    if _is_device(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _draft(path).touch()
        _draft(path).unlink()
    except OSError as error:
        raise ArgumentTypeError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _is_device(path: Path) -> bool:
    """/dev/stdout or a pipe: to be written to, not to be put another file in its place."""
    return path.exists() and not path.is_file()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")
