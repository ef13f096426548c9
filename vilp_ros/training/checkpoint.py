"""Training state on disk: one safetensors file, replaced atomically, never a pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def write(path: Path, groups: dict[str, dict[str, Tensor]], notes: dict[str, Any]) -> None:
    """Writes groups of tensors and JSON notes; a kill leaves the previous file whole."""
    tensors = {
        f"{group}/{key}": value.detach().cpu().clone().contiguous()
        for group, part in groups.items()
        for key, value in part.items()
    }
    draft = path.with_suffix(".part")
    save_file(tensors, draft, metadata={"notes": json.dumps(notes)})
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
