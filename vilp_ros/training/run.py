"""Runs a recipe: autoencoders and frozen latents where there are any, the method's parts, bundle.

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

from vilp_ros.cluster import end_with_parent
from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import save_bundle
from vilp_ros.policy.frame_codec import build_autoencoder
from vilp_ros.policy.spec import BundleSpec, load_spec
from vilp_ros.policy.vqgan import VQGAN
from vilp_ros.training import checkpoint
from vilp_ros.training.adapt import adapt_part, adapted_recipe, write_view
from vilp_ros.training.autoencoder import AutoencoderObjective
from vilp_ros.training.before import (
    check_folders,
    check_pairs,
    check_parts,
    check_sources,
    check_warp,
    imitated_failures,
    require_autoencoders,
    unread,
)
from vilp_ros.training.claim import (
    Read,
    claim,
    fingerprint,
    learned_seeds,
    require_unchanged,
)
from vilp_ros.training.config import Recipe
from vilp_ros.training.features import write_latents
from vilp_ros.training.loop import Objective, fit
from vilp_ros.training.method import Training
from vilp_ros.training.processes import first, here
from vilp_ros.training.registry import TRAININGS
from vilp_ros.training.robust_stage import stage_notes, train_encoder, write_robust
from vilp_ros.training.vqgan import VqganObjective
from vilp_ros.training.work import Work


def train(
    recipe: Recipe,
    work: Path,
    bundle: Path,
    jobs: int = 1,
    tell: Callable[[str], object] = lambda said: None,
) -> None:
    """Trains every part of a recipe and writes the bundle.

    Args:
        recipe: what to train.
        work: folder for checkpoints, latents and tensorboard files.
        bundle: folder of the finished bundle.
        jobs: parts trained at a time, one core each; one, where several processes train together.
        tell: told by the first process, before anything is trained, what can be learned from.

    Raises:
        VilpError: `work` belongs to another recipe or other episodes, the episodes do not fit,
            teach nothing or changed meanwhile, or a part diverged.
    """
    if jobs < 1:
        raise VilpError(f"--jobs is {jobs}: parts trained at a time, at least 1")
    training = _training(recipe, work)
    read = first(lambda: _begin(training, bundle, tell))
    jobs = jobs if here().num_processes == 1 else 1
    plain = Path(recipe.robust.bundle) if recipe.robust.bundle else work / "plain"
    if not recipe.robust.bundle:
        _train_parts(training, jobs)
        first(lambda: _end(training, plain if recipe.robust.enabled else bundle, read))
    if recipe.robust.wanted:
        _make_robust(recipe, work, plain, bundle, jobs)
    first(training.work.drop_frames)


def _training(recipe: Recipe, work: Path) -> Training:
    return TRAININGS.find(recipe.policy.method)(Work(recipe, work))


def _begin(training: Training, bundle: Path, tell: Callable[[str], object]) -> Read:
    """What would stop a part in an hour stops all of them now, and is said once."""
    work, recipe = training.work, training.work.recipe
    check_folders(recipe, work.folder, bundle)
    check_sources(recipe)
    if recipe.robust.wanted:
        check_pairs(recipe)
        tell(check_warp(recipe))
    if recipe.robust.bundle and recipe.robust.adapt_steps:
        behind = adapted_recipe(recipe, Path(recipe.robust.bundle))
        try:
            check_parts(_training(behind, work.folder))
        except VilpError as error:
            raise VilpError(
                f"{error}; or, to make encoders robust and nothing else, set robust.adapt_steps=0"
            ) from error
    if not recipe.robust.bundle:
        check_parts(training)
        tell(str(training.usable()))
        if failed := imitated_failures(recipe):
            tell(failed)
        if said := unread(training):
            tell(said)
    read = fingerprint(recipe)
    claim(recipe, work.folder, read)
    return read


def _train_parts(training: Training, jobs: int) -> None:
    recipe, work = training.work.recipe, training.work.folder
    if training.work.method.autoencodes:
        _parallel([(_train_view, (recipe, work, view)) for view in recipe.views], jobs)
    for stage in training.stages:
        _parallel([(_train_part, (recipe, work, name)) for name in stage], jobs)


def _end(training: Training, bundle: Path, read: Read) -> None:
    """Networks and statistics of a bundle are of the same episodes, or there is no bundle."""
    require_unchanged(training.work.recipe, training.work.folder, read)
    _write_bundle(training, bundle)


def _parallel(calls: list[tuple[Callable, tuple]], jobs: int) -> None:
    """Runs the calls, `jobs` at a time, in processes of their own when more than one.

    They share the threads that this process may use.
    """
    if jobs == 1 or len(calls) == 1:
        for function, args in calls:
            function(*args)
        return
    context = mp.get_context("spawn")
    threads = max(1, torch.get_num_threads() // min(jobs, len(calls)))
    waiting, failed = list(calls), False
    running: list[mp.process.BaseProcess] = []
    while (waiting and not failed) or running:
        while waiting and not failed and len(running) < jobs:
            function, args = waiting.pop(0)
            process = context.Process(target=_in_a_process, args=(threads, function, args))
            process.start()
            running.append(process)
        running[0].join(timeout=0.2)
        for process in [p for p in running if p.exitcode is not None]:
            running.remove(process)
            failed |= process.exitcode != 0
    if failed:
        raise VilpError("a part of the training failed: its error is printed above")


def _in_a_process(threads: int, function: Callable, args: tuple) -> None:
    end_with_parent()  # or a run that was killed would go on beside the one that goes on with it
    torch.set_num_threads(threads)
    try:
        function(*args)
    except VilpError as error:
        sys.exit(f"vilp: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the parent was interrupted too, and says so


def _train_view(recipe: Recipe, folder: Path, view: str) -> None:
    """Fits one view's VAE and caches its latents; the VAE is frozen from here on."""
    name, work = f"autoencoder.{view}", Work(recipe, folder)
    if first(work.latents(view).is_file):
        return
    table, training, held_out = work.table()
    frames = work.frames(view)
    torch.manual_seed(recipe.seed)
    vae = build_autoencoder(recipe.policy.autoencoder, work.views[view])
    vae.to(memory_format=torch.channels_last)
    if recipe.autoencoder.bundle:
        vae.load_state_dict(_autoencoder_of_bundle(recipe, name))
    if recipe.autoencoder.bundle and recipe.autoencoder.frozen:
        work.keep_autoencoder(view, vae, recipe.autoencoder.bundle)
    else:
        data, config = (table, frames, training, held_out), recipe.autoencoder
        objective: Objective
        if isinstance(vae, VQGAN):
            objective = VqganObjective(vae, *data, config.vqgan)
        else:
            objective = AutoencoderObjective(vae, *data, config)
        if first(work.part(name).is_file):
            work.load(objective, name)
        else:
            fit(name, objective, recipe.autoencoder.optim, folder, recipe.seed)
    write_latents(vae, frames, work.layout.latent_dim, work.latents(view))


def _autoencoder_of_bundle(recipe: Recipe, name: str) -> dict[str, torch.Tensor]:
    """Weights of one view's VAE in the bundle that the recipe names."""
    folder = Path(recipe.autoencoder.bundle or "")
    spec = load_spec(folder)
    if spec.policy.autoencoder != recipe.policy.autoencoder or name.split(".")[1] not in spec.views:
        raise VilpError(
            f"autoencoder.bundle {folder} has {spec.policy.autoencoder} for {list(spec.views)}; "
            f"the recipe asks for {recipe.policy.autoencoder}: make policy.autoencoder the same"
        )
    return spec.method_class.load_modules(folder, spec)[0][name].state_dict()


def _train_part(recipe: Recipe, folder: Path, name: str) -> None:
    _training(recipe, folder).fit(name)


def _write_bundle(training: Training, bundle: Path) -> None:
    work, recipe = training.work, training.work.recipe
    table = work.table()[0]
    views = work.views
    parts = work.method.parts(recipe.policy, views)
    modules = {f"autoencoder.{v}": work.autoencoder(v) for v in views if work.method.autoencodes}
    stages: dict[str, Any] = {}
    for name in [*modules, *parts]:
        stages[name] = stage_notes(checkpoint.read(work.part(name))[1])
    spec = BundleSpec(
        name=recipe.name,
        task=table.task,
        views=dict(views),
        action_kind=table.action_kind,
        control_period_s=table.control_period_s,
        policy=recipe.policy,
        depth_range_m={v: r for v in views if (r := work.first_file.depth_range_m.get(v))},
        provenance={
            "recipe": OmegaConf.to_container(OmegaConf.structured(recipe)),
            **_origin(),
            "seeds": learned_seeds(recipe),
            "episodes": {r: len(table.episodes(r)) for r in np.unique(table.role).tolist()},
            "stages": json.loads(json.dumps(stages)),
        },
    )
    for name, net in parts.items():
        weights = checkpoint.read(work.part(name))[0]["model"]
        net.load_state_dict({k.removeprefix("net."): x for k, x in weights.items()})
        modules[name] = net
    save_bundle(bundle, spec, modules, training.statistics())


def _make_robust(recipe: Recipe, work: Path, plain: Path, bundle: Path, jobs: int) -> None:
    """The last stage: encoders for the bundle `plain`, which with them becomes `bundle`."""
    spec = load_spec(plain)
    require_autoencoders(spec.policy)
    views = spec.views
    _parallel([(train_encoder, (recipe, work, plain, view)) for view in views], jobs)
    adapted = _adapt(recipe, work, plain, jobs) if recipe.robust.adapt_steps else {}
    first(lambda: write_robust(recipe, work, plain, bundle, _origin(), adapted))


def _adapt(recipe: Recipe, encoders: Path, plain: Path, jobs: int) -> dict[str, Path]:
    """Files of the parts of `plain` that went on learning behind the robust encoders."""
    behind, folder = adapted_recipe(recipe, plain), encoders / "adapted"
    folder.mkdir(exist_ok=True)
    work = Work(behind, folder)
    calls = [(write_view, (recipe, work, encoders, plain, view)) for view in behind.views]
    _parallel(calls, jobs)
    stages = TRAININGS.find(behind.policy.method).stages
    for stage in stages:
        _parallel([(adapt_part, (recipe, work, plain, name)) for name in stage], jobs)
    work.drop_frames()
    return {name: work.part(name) for stage in stages for name in stage}


def _origin() -> dict[str, str]:
    return {"commit": _commit(), "date": time.strftime("%Y-%m-%d")}


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
