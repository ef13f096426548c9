"""The stage of a training that gives a bundle robust encoders: trains them, writes the bundle."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from vilp_ros.policy.bundle import save_bundle
from vilp_ros.policy.robust_encoder import build_encoder
from vilp_ros.policy.spatial_autoencoder import SpatialVAE
from vilp_ros.policy.spec import load_spec
from vilp_ros.training import checkpoint
from vilp_ros.training.claim import learned_seeds
from vilp_ros.training.config import Recipe
from vilp_ros.training.loop import fit
from vilp_ros.training.processes import first
from vilp_ros.training.robust import RobustObjective, load_views
from vilp_ros.training.robust_grid import RobustGridObjective


def train_encoder(recipe: Recipe, work: Path, plain: Path, view: str) -> None:
    """Trains the robust encoder of one view of a bundle.

    Args:
        recipe: section `robust`, and `data`.
        work: folder for checkpoints and tensorboard files.
        plain: the bundle.
        view: one of its views.

    Raises:
        VilpError: the bundle's autoencoder has no robust encoder, or the frames do not fit it.
    """
    name = f"encoder.{view}"
    if first((work / f"{name}.safetensors").is_file):
        return
    spec = load_spec(plain)
    vae = spec.method_class.load_modules(plain, spec)[0][f"autoencoder.{view}"].eval()
    torch.manual_seed(recipe.seed)
    student = build_encoder(spec.policy.autoencoder, recipe.robust.encoder, spec.views[view])
    student.start_from(vae)
    data = load_views(recipe, work, view, spec, vae)
    student.to(memory_format=torch.channels_last)
    depth = view in spec.depth_range_m
    needs = (student, vae, data, view, recipe.robust, depth)
    objective = (
        RobustGridObjective(*needs, recipe.autoencoder.contrast)
        if isinstance(vae, SpatialVAE)
        else RobustObjective(*needs)
    )
    fit(name, objective, recipe.robust.optim, work, recipe.seed)


def load_encoder(encoder: nn.Module, work: Path, view: str) -> dict[str, Any]:
    """Gives an encoder the weights that `train_encoder` has found; its notes of the training."""
    groups, notes = checkpoint.read(work / f"encoder.{view}.safetensors")
    weights = {k.removeprefix("student."): x for k, x in groups["model"].items()}
    encoder.load_state_dict(weights)
    return notes


def write_robust(
    recipe: Recipe,
    work: Path,
    plain: Path,
    bundle: Path,
    origin: dict[str, str],
    adapted: Mapping[str, Path],
) -> None:
    """Writes a bundle with the robust encoders that `train_encoder` has made for it.

    Args:
        recipe: section `robust`.
        work: where they are.
        plain: the bundle that they were made for; it stays as it is.
        bundle: folder of the new one.
        origin: commit and date, for its provenance.
        adapted: files of the parts that went on learning, by name.
    """
    spec = load_spec(plain)
    modules, statistics = spec.method_class.load_modules(plain, spec)
    config = spec.policy.robust_encoder = recipe.robust.encoder
    provenance = copy.deepcopy(spec.provenance)
    unlike = {}
    for view, size in spec.views.items():
        name = f"encoder.{view}"
        modules[name] = build_encoder(spec.policy.autoencoder, config, size)
        notes = load_encoder(modules[name], work, view)
        if level := (notes.get("last") or {}).get("unlike_above"):
            unlike[view] = level
        provenance.setdefault("stages", {})[name] = stage_notes(notes)
    for name, file in adapted.items():
        groups, notes = checkpoint.read(file)
        weights = {k.removeprefix("net."): x for k, x in groups["model"].items() if k[:4] == "net."}
        modules[name].load_state_dict(weights)
        provenance["stages"][f"{name}.adapted"] = stage_notes(notes)
    made = OmegaConf.to_container(OmegaConf.structured(recipe.robust))
    # A bundle that does not say what it was trained on does not say it afterwards either.
    if "seeds" in provenance:
        provenance["seeds"] = learned_seeds(recipe)
    provenance["robust"] = {"recipe": made, "seed": recipe.seed, **origin}
    provenance = json.loads(json.dumps(provenance))
    spec.unlike_above = unlike
    save_bundle(bundle, replace(spec, provenance=provenance), modules, statistics)


def stage_notes(notes: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle says of a part's training."""
    return {
        "steps": notes["step"],
        "seconds": round(notes["seconds"]),
        "precision": notes.get("precision"),
        "held_out": notes.get("last"),
    }
