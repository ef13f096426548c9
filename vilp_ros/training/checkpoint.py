"""Training state on disk: safetensors files, replaced atomically, never a pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vilp_ros.policy.weights import save_whole

KEPT = 3
"""Checkpoints kept of a part that is being trained."""


def write(path: Path, groups: dict[str, dict[str, Tensor]], notes: dict[str, Any]) -> None:
    """Writes groups of tensors and JSON notes; a kill leaves the previous file whole."""
    tensors = {
        f"{group}/{key}": value.detach().cpu().clone().contiguous()
        for group, part in groups.items()
        for key, value in part.items()
    }
    draft = path.with_suffix(".part")
    save_whole(tensors, draft, {"notes": json.dumps(notes)})
    os.replace(draft, path)


def read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Inverse of `write`."""
    groups: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        notes = json.loads(file.metadata()["notes"])
        for name in sorted(file.keys()):
            group, _, key = name.partition("/")
            groups.setdefault(group, {})[key] = file.get_tensor(name)
    return groups, notes


def save(
    folder: Path, part: str, groups: dict[str, dict[str, Tensor]], notes: dict[str, Any]
) -> None:
    """Writes the checkpoint of a part at step `notes["step"]`; keeps the last `KEPT`."""
    write(folder / f"{part}.checkpoint.{notes['step']}.safetensors", groups, notes)
    for path in saved(folder, part)[:-KEPT]:
        path.unlink()


def saved(folder: Path, part: str) -> list[Path]:
    """Checkpoints of a part, by rising step."""
    found = folder.glob(f"{part}.checkpoint.*.safetensors")
    return sorted(found, key=lambda path: int(path.name.split(".")[-2]))


def newest(folder: Path, part: str) -> Path | None:
    """The last checkpoint of a part that can be read; one that a full disk cut off is passed."""
    for path in reversed(saved(folder, part)):
        try:
            with safe_open(path, framework="pt"):
                return path
        except SafetensorError:
            continue
    return None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an Adam optimiser as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`; learning rates are the caller's."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
