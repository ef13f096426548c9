"""What would stop a training in an hour, or spoil it without a word, stops it before it begins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch

from vilp_ros.data.digest import digest
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.table import choose
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.frame_codec import build_autoencoder
from vilp_ros.policy.registry import METHODS
from vilp_ros.policy.spec import BundleSpec, load_spec
from vilp_ros.training.config import Recipe, RobustTraining
from vilp_ros.training.method import Training
from vilp_ros.training.robust import pairs_of
from vilp_ros.training.work import Work

TRAINED_KIND = "ee_pose"
"""Action space of all that is trained: what `Policy.act` gives."""
PICTURES = 16
"""Of a video, by which it is known again."""


def check_folders(recipe: Recipe, work: Path, bundle: Path) -> None:
    """Raises VilpError where a folder cannot be written, or the bundle would replace its origin."""
    for made_of in filter(None, (recipe.robust.bundle, recipe.autoencoder.bundle)):
        if Path(made_of).resolve() == bundle.resolve():
            raise VilpError(f"--out {bundle} is the bundle that is trained from: name another")
    for option, folder in (("--work", work), ("--out", bundle)):
        above = (folder.absolute(), *folder.absolute().parents)
        there = next(path for path in above if path.exists())
        if not there.is_dir():
            raise VilpError(f"{option} {folder} cannot be a folder: {there} is a file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise VilpError(f"{option} {folder}: {there} cannot be written; name another folder")


def check_sources(recipe: Recipe) -> None:
    """Raises VilpError where an episode is there twice: held out once, it is learned from yet."""
    named: dict[tuple[Path, int], str] = {}
    recorded: dict[str, str] = {}
    for source in recipe.data.sources():
        file, chosen = choose(source, ())
        with closing(file):
            for index in chosen:
                if before := named.get((Path(source.path).resolve(), index)):
                    raise VilpError(
                        f"episode {index} of {source.path} is named twice, under data.{before} and "
                        f"data.{source.role}: it could be held out and learned from; set start, "
                        "count"
                    )
                named[Path(source.path).resolve(), index] = source.role
                here = f"episode {index} of {source.path} (data.{source.role})"
                there = recorded.setdefault(_recording(file, index), here)
                if there != here:
                    raise VilpError(
                        f"{here} is the same recording as {there}: it could be held out and "
                        "learned from; leave one of them out, by its file or by start, count"
                    )


def imitated_failures(recipe: Recipe) -> str:
    """Names demonstrations that say of themselves that they failed; empty where there are none."""
    found, episodes, named = 0, 0, ""
    for source in recipe.data.sources():
        if source.role == "suboptimal":
            continue
        file, chosen = choose(source, ())
        with closing(file):
            done = file.successes
        failed = [index for index in chosen if not done[index]]
        if failed and not named:
            named = f"episode {failed[0]} of {source.path}"
        found, episodes = found + len(failed), episodes + len(chosen)
    if not found:
        return ""
    return (
        f"note: {found} of {episodes} demonstrations say that they failed ({named}), and are "
        "imitated all the same; failures belong under data.suboptimal"
    )


def _recording(file: EpisodeFile, index: int) -> str:
    """Of an episode's way through space, which its copies share whatever else was changed in them.

    No two recordings of an arm have it in common to the last bit. Where nothing tells it, such as
    in videos alone, of some pictures.
    """
    episode = file.read(index, ())
    if episode.info.get("proprio") != "none":
        return digest([episode.ee_pose[:, :3], episode.gripper_width])
    picks = np.unique(np.linspace(0, len(episode), PICTURES).astype(np.int64))
    return digest(file.frames(index, view, picks) for view in file.views)


def check_pairs(recipe: Recipe) -> None:
    """Raises VilpError where `robust.pairs` lack a view, or are of something else.

    They are needed when all else is done.
    """
    robust, sources = recipe.robust, recipe.data.sources()
    if not (recipe.pairs and sources):  # without demonstrations `check_parts` says so
        return
    if robust.bundle:
        spec = load_spec(robust.bundle)
        views, task, ranges = list(spec.views), spec.task, spec.depth_range_m
    else:
        with closing(EpisodeFile(sources[0].path)) as first:
            views, task, ranges = recipe.views, first.task, first.depth_range_m
    for path in recipe.pairs:
        if not Path(path).is_file():
            raise VilpError(
                f"robust.pairs names {path}, which is not there: draw it from recordings of the "
                f"simulator with `vilp redraw --data DATASET --out {path}`; those of a real arm "
                "cannot be drawn again, and are altered alone with robust.pairs=[]"
            )
        with closing(EpisodeFile(path)) as pairs:
            if pairs.task != task:
                raise VilpError(f"robust.pairs: {path} shows {pairs.task}, what is trained {task}")
            for view in views:
                if (found := pairs.depth_range_m.get(view)) != (wanted := ranges.get(view)):
                    raise VilpError(
                        f"robust.pairs: {path} shows {view} from {found} m (near, far), what is "
                        f"trained from {wanted}: a grey would mean another depth"
                    )
        for view in views:
            for frames, _ in pairs_of(path, view)[:1]:
                frames.file.close()


def check_warp(recipe: Recipe) -> str:
    """How far each view is warped, in words.

    Raises:
        VilpError: a factor is for a view that there is not.
    """
    robust = recipe.robust
    views = list(load_spec(robust.bundle).views) if robust.bundle else recipe.views
    # Of the default, which stays when a recipe adds its own.
    if unknown := set(robust.warp) - set(views) - set(RobustTraining().warp):
        raise VilpError(
            f"robust.warp names {sorted(unknown)[0]!r}; the views are {', '.join(views) or 'none'}"
        )
    factors = (f"{view} {robust.warp.get(view, robust.warp_otherwise):g}" for view in views)
    return f"cameras are moved by (robust.warp): {', '.join(factors)}"


def check_parts(training: Training) -> None:
    """Raises VilpError where the episodes do not fit the recipe, or no such network can be run."""
    work, recipe = training.work, training.work.recipe
    _require_teachers(training)
    for source in recipe.data.sources():
        file, indices = choose(source, tuple(recipe.views))
        with closing(file):
            if file.action_kind != TRAINED_KIND:
                raise VilpError(
                    f"{source.path} has actions of kind {file.action_kind!r}; what is trained here "
                    f"gives {TRAINED_KIND!r}: convert its bags under a contract of that kind"
                )
            _check_sizes(file, indices, work.views)
            if work.layout.forecasts_proprio:
                _check_poses(file, indices)
    if recipe.robust.enabled:
        require_autoencoders(recipe.policy)
    for size in work.views.values() if work.method.autoencodes else ():
        build_autoencoder(recipe.policy.autoencoder, size)
    work.method.options(recipe.policy)
    modules = work.method.parts(recipe.policy, work.views)
    assert set(modules) == {name for stage in training.stages for name in stage}
    _run_once(work)


def _run_once(work: Work) -> None:
    """Runs every network, untrained: sizes that do not fit are found by their numbers alone."""
    recipe, method = work.recipe, work.method
    file = work.first_file
    with closing(file):
        spec = BundleSpec(
            recipe.name,
            file.task,
            dict(work.views),
            file.action_kind,
            file.control_period_s,
            recipe.policy,
        )
    try:
        with torch.random.fork_rng(), torch.inference_mode():
            for net, inputs in method.examples(spec, method.modules(spec), 1).values():
                net.eval()(*inputs)
    except VilpError:
        raise
    except Exception as error:  # whatever torch says of a network that cannot be
        what = str(error).split("\n")[0]
        raise VilpError(
            f"the networks of this recipe cannot be run ({what}): change the sizes under policy"
        ) from error


def _require_teachers(training: Training) -> None:
    """Raises VilpError where nobody shows what to do, or nothing tells what an action does."""
    data, method = training.work.recipe.data, training.work.recipe.policy.method
    if not data.expert and not data.action_free:
        raise VilpError(
            "no demonstrations: name a file under data.expert, or, where they have no actions, "
            "under data.action_free"
        )
    if not data.expert and training.imitates_actions:
        raise VilpError(
            f"data.expert is empty: method {method!r} imitates actions and learns nothing from "
            "demonstrations without them; name some that have actions, or train a planner (ldp, "
            "vilp, unipi)"
        )
    if not data.expert and not data.suboptimal:
        raise VilpError(
            "no episode has actions: name play (vilp collect --role play) or failures under "
            "data.suboptimal, or demonstrations that have actions under data.expert"
        )


def _check_sizes(
    file: EpisodeFile, indices: list[int], views: Mapping[str, tuple[int, int]]
) -> None:
    """Raises VilpError where frames differ in size from those of the first episode."""
    for index in indices:
        for view, size in views.items():
            found = file.frames(index, view, np.zeros(1, np.int64)).shape[1:3]
            if found != size:
                raise VilpError(
                    f"{file.path}: frames of {view} are {found[0]}x{found[1]} in episode {index}, "
                    f"{size[0]}x{size[1]} in the first one: convert its bags under one contract"
                )


def _check_poses(file: EpisodeFile, indices: list[int]) -> None:
    """Raises VilpError where episodes, such as videos alone, do not tell where the hand is."""
    lack = sum(file.read(index, ()).info.get("proprio") == "none" for index in indices)
    if lack:
        raise VilpError(
            f"this planner forecasts where the hand will be, and {lack} episodes of "
            f"{file.path} do not tell where it is: leave them out, or train policy.method vilp"
        )


def require_autoencoders(policy: PolicyConfig) -> None:
    """Raises VilpError where a policy does not see with autoencoders, or not with them alone."""
    if not METHODS.find(policy.method).autoencodes:
        raise VilpError(
            f"method {policy.method!r} sees with no autoencoder that could be made robust: leave "
            "`robust` out of the recipe"
        )
    if policy.method == "vilp" and policy.planner.encoder != "light":
        raise VilpError(
            f"a planner of policy.planner.encoder {policy.planner.encoder!r} looks at the frames "
            "themselves, past any robust encoder: leave `robust` out, or take encoder 'light'"
        )


def unread(training: Training) -> str:
    """Names settings that the method does not read, whose author may think that they count."""
    recipe, usual = training.work.recipe, type(training.work.recipe)()
    parts = {name for stage in training.stages for name in stage}
    keys = sorted({"planner", "idm", "low_level", "bc"} - parts) + list(training.unread)
    changed = [key for key in keys if attrgetter(key)(recipe) != attrgetter(key)(usual)]
    method = recipe.policy.method
    return f"note: method {method!r} does not read {', '.join(changed)}" if changed else ""
