"""`weights.safetensors`: the networks of a bundle, in half precision, and its statistics."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.statistics import Statistics

WEIGHTS = "weights.safetensors"


def write_weights(folder: Path, modules: dict[str, nn.Module], statistics: Statistics) -> None:
    """Writes networks by name, all at once or not at all.

    Half precision halves the download and changes an action by less than a tenth of a millimetre.

    Raises:
        VilpError: a number is not finite, or too large for half precision.
    """
    statistics.check()
    tensors = {
        f"{name}/{key}": value.detach().cpu().to(torch.float16).contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    _require_finite("no bundle is written", tensors)
    tensors |= {f"statistics/{key}": value for key, value in statistics.tensors().items()}
    draft = folder / f"{WEIGHTS}.part"
    save_whole(tensors, draft, {"sha256": _digest(tensors)})
    draft.chmod(0o644)  # safetensors writes for the owner alone
    draft.replace(folder / WEIGHTS)


def save_whole(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Writes a safetensors file, or nothing.

    Raises:
        VilpError: the disk is full or does not let it.
    """
    try:
        save_file(tensors, path, metadata)
    except (SafetensorError, OSError) as error:
        path.unlink(missing_ok=True)
        raise VilpError(f"{path} cannot be written ({error}): make room on the disk") from error


def read_weights(folder: Path) -> tuple[Path, dict[str, dict[str, Tensor]]]:
    """The file, and its tensors by network.

    Raises:
        VilpError: it is missing or damaged, or a number in it is not finite.
    """
    path = folder / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get("sha256")
        tensors = load_file(path)
    except Exception as error:  # whatever its reader says of damaged bytes, which is no fixed set
        raise VilpError(f"{path} cannot be read ({error}): fetch it anew") from error
    if said is not None and said != _digest(tensors):
        raise VilpError(f"{path} is not what its checksum says: fetch it anew")
    _require_finite(f"{path} cannot be run", tensors)
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, rest = key.partition("/")
        parts.setdefault(name, {})[rest] = value.float()
    return path, parts


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _require_finite(what: str, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise VilpError(
                f"{what}: {name} holds NaN or Inf, or numbers above half precision's 65504; the "
                "training diverged"
            )
