"""Behind robust encoders: planner and actions go on learning, from what those see.

A robust encoder gives nearly the latent of the clean frame. What it misses, a planner that was
trained on clean frames takes for a thing in the scene. Here the present of every sample is what
the robust encoder makes of an altered frame, and the future what it makes of the clean ones: the
planner learns to leave the difference out. Networks begin with the bundle's weights and keep its
statistics, so that any bundle can be adapted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vilp_ros.data.digest import digest
from vilp_ros.data.disk_array import DiskArray, write
from vilp_ros.policy.robust_encoder import RobustFrameEncoder, build_encoder
from vilp_ros.policy.spec import load_spec
from vilp_ros.training.config import OptimConfig, Recipe, RobustTraining
from vilp_ros.training.features import encode_pieces, make_features, pieces_of
from vilp_ros.training.loop import fit
from vilp_ros.training.processes import first
from vilp_ros.training.registry import TRAININGS
from vilp_ros.training.robust import Views, alter_frames, load_views
from vilp_ros.training.robust_stage import load_encoder
from vilp_ros.training.work import Work

LR_SHARE = 0.5
"""Of a part's learning rate: it knows its task already."""


def adapted_recipe(recipe: Recipe, plain: Path) -> Recipe:
    """The recipe as if the bundle's own parts were trained on frozen autoencoders of it."""
    spec = load_spec(plain)
    return replace(
        recipe,
        policy=replace(spec.policy, robust_encoder=None),
        views=list(spec.views),
        autoencoder=replace(recipe.autoencoder, bundle=str(plain)),
    )


def write_view(recipe: Recipe, work: Work, encoders: Path, plain: Path, view: str) -> None:
    """What a view's robust encoder sees in all frames, as they are and each altered in its way.

    A frame that `robust.pairs` show in a drawn look is often seen in that.

    Args:
        recipe: section `robust`.
        work: of `adapted_recipe`.
        encoders: folder where `train_encoder` left them.
        plain: the bundle.
        view: one of its views.
    """
    if first(seen(work, view).is_file):
        return
    spec = load_spec(plain)
    vae = spec.method_class.load_modules(plain, spec)[0][f"autoencoder.{view}"].eval()
    work.keep_autoencoder(view, vae, plain)
    encoder = build_encoder(spec.policy.autoencoder, recipe.robust.encoder, spec.views[view])
    load_encoder(encoder, encoders, view)
    data = load_views(recipe, encoders, view, spec, vae)
    depth = view in spec.depth_range_m
    frames = work.frames(view)
    shape = len(frames), work.layout.latent_dim
    for path, pieces in (
        (work.latents(view), pieces_of(frames)),
        (seen(work, view), _altered(frames, data, recipe, view, depth)),
    ):
        latents = encode_pieces(RobustFrameEncoder(encoder), pieces)
        first(partial(write, path, shape, np.float32, latents))


def _altered(
    frames: DiskArray, data: Views, recipe: Recipe, view: str, depth: bool
) -> Iterator[np.ndarray]:
    config, looks = recipe.robust, _by_content(data)
    warp = config.warp.get(view, config.warp_otherwise)
    for number, piece in enumerate(pieces_of(frames)):
        rng = np.random.default_rng([recipe.seed, number])
        piece = piece.copy()
        index = np.array([looks.get(digest([frame]), -1) for frame in piece])
        drawn = (index >= 0) & (rng.random(len(piece)) < config.drawn_share)
        piece[drawn] = data.seen[index[drawn]]
        altered = ~drawn & (rng.random(len(piece)) >= config.adapt_clean_share)
        for chosen, look, factor in ((drawn, True, 0.0), (altered, False, warp)):
            if chosen.any():
                piece[chosen] = alter_frames(piece[chosen], rng, config, look, factor, depth)
        yield piece


def seen(work: Work, view: str) -> Path:
    """File of a view's latents of altered frames."""
    return work.folder / f"latents.{view}.seen.npy"


def adapt_part(recipe: Recipe, work: Work, plain: Path, name: str) -> None:
    """Goes on with a part of a bundle, unless that is done.

    Args:
        recipe: section `robust`.
        work: of `adapted_recipe`, with what `write_view` writes.
        plain: the bundle.
        name: the part.
    """
    if first(work.part(name).is_file):
        return
    spec = load_spec(plain)
    modules, statistics = spec.method_class.load_modules(plain, spec)
    training = TRAININGS.find(spec.method)(work)
    table, learned, held_out = work.table()
    views = work.recipe.views
    features = make_features(
        table,
        [np.load(work.latents(view), mmap_mode="r") for view in views],
        spec.policy,
        spec.layout,
        training.actions,
        learned,
        held_out,
        [np.load(seen(work, view), mmap_mode="r") for view in views],
        statistics,
    )
    torch.manual_seed(recipe.seed)
    objective = training.objective(name, features)
    net = objective.net
    assert isinstance(net, nn.Module)
    net.load_state_dict(modules[name].state_dict())
    fit(name, objective, _optim(training.optim(name), recipe.robust), work.folder, recipe.seed)


def _optim(usual: OptimConfig, robust: RobustTraining) -> OptimConfig:
    return replace(usual, steps=robust.adapt_steps, lr=LR_SHARE * usual.lr)


def _by_content(data: Views) -> dict[str, int]:
    """Where the drawn look of a frame is, by the frame's digest."""
    first_drawn = len(data.usual) - len(data.seen)
    usual = (frame for piece in pieces_of(data.usual, first_drawn) for frame in piece)
    return {digest([frame]): i for i, frame in enumerate(usual)}
