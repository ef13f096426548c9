"""Runs a recipe: autoencoders, frozen latents, planner and inverse dynamics, bundle.

Every part leaves a file when it is done; calling again goes on where the last call stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from omegaconf import OmegaConf

from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.table import Table, choose, load_table
from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import load_modules, save_bundle
from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.layout import Layout, layout_of
from vilp_ros.policy.networks import FrameDecoder, build_autoencoder, build_parts
from vilp_ros.policy.spec import BundleSpec, load_spec
from vilp_ros.policy.video_planner import VideoPlanner
from vilp_ros.policy.vqgan import VQGAN
from vilp_ros.training import checkpoint
from vilp_ros.training.autoencoder import AutoencoderObjective
from vilp_ros.training.config import Recipe
from vilp_ros.training.features import Features, encode_frames, make_features, split
from vilp_ros.training.inverse_dynamics import BcObjective, IdmObjective
from vilp_ros.training.loop import Objective, fit
from vilp_ros.training.low_level import FrameLowLevelObjective, LowLevelObjective
from vilp_ros.training.planner import PlannerObjective
from vilp_ros.training.video_planner import VideoPlannerObjective
from vilp_ros.training.vqgan import VqganObjective


def train(recipe: Recipe, work: Path, bundle: Path, jobs: int = 1) -> None:
    """Trains every part of a recipe and writes the bundle.

    Args:
        recipe: what to train.
        work: folder for checkpoints, latents and tensorboard files.
        bundle: folder of the finished bundle.
        jobs: parts trained at a time, one core each.

    Raises:
        VilpError: `work` belongs to another recipe, or the episodes do not fit.
    """
    episodes = _check(recipe)
    names = _parts(recipe)  # builds them too: what does not fit is said now
    work.mkdir(parents=True, exist_ok=True)
    _claim(recipe, work, episodes)
    _parallel([(_train_view, (recipe, work, view)) for view in recipe.views], jobs)
    parts = [(_train_part, (recipe, work, part)) for part in names]
    # VILP's low-level policy learns from the planner's frames, and waits for it.
    _parallel(parts, 1 if recipe.policy.method == "vilp" else jobs)
    _write_bundle(recipe, work, bundle)


def _check(recipe: Recipe) -> list[int]:
    """How many episodes each source gives.

    What would stop a part in an hour stops all of them now, and is said once.
    """
    sources = recipe.data.sources()
    if not sources:
        raise VilpError("no episodes: name at least one file under data.expert")
    chosen = [choose(source, tuple(recipe.views)) for source in sources]
    for view in recipe.views:
        build_autoencoder(recipe.policy.autoencoder, _frame_size(recipe, view))
    for file, _ in chosen:
        file.close()
    return [len(indices) for _, indices in chosen]


def _claim(recipe: Recipe, work: Path, episodes: list[int]) -> None:
    """Refuses to mix two recipes, or a dataset and what it has become, in one work folder."""
    text = OmegaConf.to_yaml(OmegaConf.structured(recipe))
    path = work / "recipe.yaml"
    if path.is_file() and path.read_text() != text:
        raise VilpError(f"{work} holds another recipe's parts: choose another --work or delete it")
    noted = work / "episodes.json"
    began = json.loads(noted.read_text()) if noted.is_file() else episodes
    if began != episodes:
        raise VilpError(
            f"{work} was begun with {sum(began)} episodes, its datasets hold {sum(episodes)} now: "
            "choose another --work or delete it"
        )
    path.write_text(text)
    noted.write_text(json.dumps(episodes))


def _parallel(calls: list[tuple[Callable, tuple]], jobs: int) -> None:
    """Runs the calls, `jobs` at a time, in processes of their own when more than one."""
    if jobs == 1 or len(calls) == 1:
        for function, args in calls:
            function(*args)
        return
    context = mp.get_context("spawn")
    waiting, failed = list(calls), False
    running: list[mp.process.BaseProcess] = []
    while (waiting and not failed) or running:
        while waiting and not failed and len(running) < jobs:
            function, args = waiting.pop(0)
            process = context.Process(target=_one_thread, args=(function, args))
            process.start()
            running.append(process)
        running[0].join(timeout=0.2)
        for process in [p for p in running if p.exitcode is not None]:
            running.remove(process)
            failed |= process.exitcode != 0
    if failed:
        raise VilpError("a part of the training failed: its error is printed above")


def _one_thread(function: Callable, args: tuple) -> None:
    torch.set_num_threads(1)
    try:
        function(*args)
    except VilpError as error:
        sys.exit(f"vilp: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the parent was interrupted too, and says so


def _table(recipe: Recipe, views: tuple[str, ...]) -> tuple[Table, np.ndarray, np.ndarray]:
    table = load_table(recipe.data.sources(), views)
    return table, *split(table, recipe.data.validation, seed=0)


def _train_view(recipe: Recipe, work: Path, view: str) -> None:
    """Fits one view's VAE and caches its latents; the VAE is frozen from here on."""
    name = f"autoencoder.{view}"
    if (work / f"latents.{view}.npy").is_file():
        return
    table, training, held_out = _table(recipe, (view,))
    torch.manual_seed(recipe.seed)
    vae = build_autoencoder(recipe.policy.autoencoder, _frame_size(recipe, view))
    vae.to(memory_format=torch.channels_last)
    if recipe.autoencoder.bundle:
        vae.load_state_dict(_frozen_autoencoder(recipe, name))
        weights = {f"vae.{key}": value for key, value in vae.state_dict().items()}
        notes = {"step": 0, "seconds": 0.0, "last": f"frozen, of {recipe.autoencoder.bundle}"}
        checkpoint.write(work / f"{name}.safetensors", {"model": weights}, notes)
    else:
        data, config = (table, view, training, held_out), recipe.autoencoder
        objective: Objective
        if isinstance(vae, VQGAN):
            objective = VqganObjective(vae, *data, config.vqgan)
        else:
            objective = AutoencoderObjective(vae, *data, config)
        if not _load(objective, work / f"{name}.safetensors"):
            fit(name, objective, recipe.autoencoder.optim, work, recipe.seed)
    latents = encode_frames(vae.cpu(), table.images[view])
    np.save(work / f"latents.{view}.draft.npy", latents)
    (work / f"latents.{view}.draft.npy").rename(work / f"latents.{view}.npy")


def _frozen_autoencoder(recipe: Recipe, name: str) -> dict[str, torch.Tensor]:
    """Weights of one view's VAE in the bundle that the recipe names."""
    folder = Path(recipe.autoencoder.bundle or "")
    spec = load_spec(folder)
    if spec.policy.autoencoder != recipe.policy.autoencoder or name.split(".")[1] not in spec.views:
        raise VilpError(
            f"autoencoder.bundle {folder} has {spec.policy.autoencoder} for {list(spec.views)}; "
            f"the recipe asks for {recipe.policy.autoencoder}: make policy.autoencoder the same"
        )
    return load_modules(folder, spec)[0][name].state_dict()


def _layout(recipe: Recipe) -> Layout:
    return layout_of(recipe.policy, {view: _frame_size(recipe, view) for view in recipe.views})


def _parts(recipe: Recipe) -> list[str]:
    return list(build_parts(recipe.policy, _layout(recipe)))


def _features(recipe: Recipe, work: Path) -> tuple[Table, Features]:
    table, training, held_out = _table(recipe, ())
    latents = [np.load(work / f"latents.{view}.npy") for view in recipe.views]
    layout = _layout(recipe)
    return table, make_features(table, latents, recipe.policy, layout, training, held_out)


def _train_part(recipe: Recipe, work: Path, name: str) -> None:
    """Fits one part of `build_parts` on the frozen latents."""
    if (work / f"{name}.safetensors").is_file():
        return
    _, features = _features(recipe, work)
    torch.manual_seed(recipe.seed)
    objective = _objective(recipe, work, name, features)
    optim = recipe.bc if name == "bc" else getattr(recipe, name).optim
    fit(name, objective, optim, work, recipe.seed)


def _objective(recipe: Recipe, work: Path, name: str, features: Features) -> Objective:
    """The loss of a part, on fresh weights."""
    policy = recipe.policy
    net = build_parts(policy, features.layout)[name]
    if name == "bc":
        return BcObjective(net, features)
    if name == "idm":
        return IdmObjective(net, features, policy.idm.prediction, recipe.idm)
    decoders = [FrameDecoder(_trained_autoencoder(recipe, work, v)) for v in recipe.views]
    if name == "low_level":
        planner = _objective(recipe, work, "planner", features)
        _load(planner, work / "planner.safetensors")
        assert isinstance(planner, VideoPlannerObjective)
        needs = (net, features, planner.eval(), recipe.low_level)
        if isinstance(net, FramePolicy):
            return FrameLowLevelObjective(*needs, decoders)
        return LowLevelObjective(*needs)
    if isinstance(net, VideoPlanner):
        images = _table(recipe, tuple(recipe.views))[0].images if net.sees_frames else {}
        frames = [images[view] for view in recipe.views] if images else []
        return VideoPlannerObjective(net, features, policy, recipe.planner, decoders, frames)
    return PlannerObjective(net, features, policy, decoders)


def _trained_autoencoder(recipe: Recipe, work: Path, view: str) -> torch.nn.Module:
    vae = build_autoencoder(recipe.policy.autoencoder, _frame_size(recipe, view))
    weights = checkpoint.read(work / f"autoencoder.{view}.safetensors")[0]["model"]
    vae.load_state_dict(
        {k.removeprefix("vae."): x for k, x in weights.items() if k.startswith("vae.")}
    )
    return vae


def _load(module: torch.nn.Module, path: Path) -> bool:
    if not path.is_file():
        return False
    module.load_state_dict(checkpoint.read(path)[0]["model"])
    return True


def _write_bundle(recipe: Recipe, work: Path, bundle: Path) -> None:
    table, features = _features(recipe, work)
    views = {v: _frame_size(recipe, v) for v in recipe.views}
    parts = build_parts(recipe.policy, features.layout)
    names = [*(f"autoencoder.{v}" for v in views), *parts]
    stages: dict[str, Any] = {}
    for name in names:
        notes = checkpoint.read(work / f"{name}.safetensors")[1]
        stages[name] = {
            "steps": notes["step"],
            "seconds": round(notes["seconds"]),
            "held_out": notes.get("last"),
        }
    spec = BundleSpec(
        name=recipe.name,
        task=table.task,
        views=views,
        action_kind="ee_pose",
        control_period_s=table.control_period_s,
        policy=recipe.policy,
        depth_range_m={v: r for v in views if (r := _first_file(recipe).depth_range_m.get(v))},
        provenance={
            "recipe": OmegaConf.to_container(OmegaConf.structured(recipe)),
            "commit": _commit(),
            "date": time.strftime("%Y-%m-%d"),
            "episodes": {r: len(table.episodes(r)) for r in np.unique(table.role).tolist()},
            "stages": json.loads(json.dumps(stages)),
        },
    )
    modules = {f"autoencoder.{v}": _trained_autoencoder(recipe, work, v) for v in views}
    for name, net in parts.items():
        weights = checkpoint.read(work / f"{name}.safetensors")[0]["model"]
        net.load_state_dict({k.removeprefix("net."): x for k, x in weights.items()})
        modules[name] = net
    save_bundle(bundle, spec, modules, features.statistics)


def _frame_size(recipe: Recipe, view: str) -> tuple[int, int]:
    start = recipe.data.sources()[0].start
    height, width = _first_file(recipe).read(start, (view,)).images[view].shape[1:3]
    return int(height), int(width)


def _first_file(recipe: Recipe) -> EpisodeFile:
    return EpisodeFile(recipe.data.sources()[0].path)


def _commit() -> str:
    """Commit of the code, `unknown` outside a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"
