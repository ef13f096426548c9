"""Whose parts a work folder holds: those of one recipe, learned from episodes of one content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.seeds import as_ranges
from vilp_ros.data.table import choose
from vilp_ros.errors import VilpError
from vilp_ros.policy.spec import load_spec
from vilp_ros.policy.weights import WEIGHTS
from vilp_ros.training.config import Recipe

STATES = ("ee_pose", "gripper_width", "before", "actions", "disturbed", "repeated")
Read = dict[str, str]
"""What is learned from, and a hash of the content of each."""


def fingerprint(recipe: Recipe) -> Read:
    """Hashes what a recipe learns from: all numbers, and three frames of every view and episode.

    Three frames tell one recording from another in seconds where all would take minutes.

    Raises:
        VilpError: a file is missing or cannot be learned from.
    """
    read: Read = {}
    robust, frozen = recipe.robust.bundle, recipe.autoencoder.bundle
    views = tuple(load_spec(robust).views if robust else recipe.views)
    for source in recipe.data.sources():
        file, chosen = choose(source, views)
        with closing(file):
            key = f"{source.path} as {source.role} from {source.start}"
            read[key] = _hash_of_episodes(file, chosen, views)
    for path in recipe.pairs:
        with closing(EpisodeFile(path)) as file:
            read[path] = _hash_of_episodes(file, range(len(file)), file.views)
    networks = [recipe.autoencoder.vqgan.perceptual]
    networks += [str(Path(bundle) / WEIGHTS) for bundle in (robust, frozen) if bundle]
    for path in filter(None, networks):
        read[path] = _hash_of_file(Path(path))
    return read


def learned_seeds(recipe: Recipe) -> list[list[int]]:
    """Seeds of all that a recipe learns from, as ranges: of episodes, pairs and frozen networks."""
    seeds: set[int] = set()
    for source in recipe.data.sources():
        file, chosen = choose(source, ())
        with closing(file):
            seeds |= {file.read(index, ()).seed for index in chosen}
    for path in recipe.pairs:
        with closing(EpisodeFile(path)) as file:
            seeds |= {file.read(index, ()).seed for index in range(len(file))}
    for bundle in filter(None, (recipe.robust.bundle, recipe.autoencoder.bundle)):
        for first, last in (load_spec(bundle).provenance or {}).get("seeds") or ():
            seeds |= set(range(first, last + 1))
    return as_ranges(seeds)


def claim(recipe: Recipe, work: Path, read: Read) -> None:
    """Makes a work folder this recipe's, or goes on in it.

    Args:
        recipe: what is trained.
        work: the folder; made if there is none.
        read: `fingerprint` of the recipe.

    Raises:
        VilpError: it holds parts of another recipe, or parts that learned from something else.
    """
    now = OmegaConf.to_container(OmegaConf.structured(recipe))
    paths = work / "recipe.yaml", work / "learned_from.json"
    work.mkdir(parents=True, exist_ok=True)
    if not paths[0].is_file():
        if parts := sorted(work.glob("*.safetensors")):
            raise VilpError(f"{work} has {parts[0].name} of an unknown recipe: {_elsewhere(work)}")
        _put(paths[1], json.dumps(read, indent=1))
        _put(paths[0], OmegaConf.to_yaml(OmegaConf.create(now)))
        return
    before = OmegaConf.to_container(OmegaConf.load(paths[0]))
    for key, was, is_now in _differences(before, now):
        raise VilpError(
            f"{work} holds parts of another recipe ({key} was {was}, is {is_now}): "
            f"{_elsewhere(work)}"
        )
    if not paths[1].is_file():
        raise VilpError(f"{work} does not say what its parts learned from: {_elsewhere(work)}")
    _require_same(json.loads(paths[1].read_text()), read, work)


def require_unchanged(recipe: Recipe, work: Path, read: Read) -> None:
    """Checks that what was learned from is what is there now.

    Raises:
        VilpError: it changed meanwhile.
    """
    _require_same(read, fingerprint(recipe), work)


def _require_same(before: Read, now: Read, work: Path) -> None:
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            raise VilpError(
                f"{key} is not what the parts in {work} learned from: {_elsewhere(work)}"
            )


def _elsewhere(work: Path) -> str:
    return f"train with another --work, such as {work.with_name(work.name + '_2')}"


def _differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Keys whose values differ, with both."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            inner = f"{key}.{name}" if key else name
            yield from _differences(before.get(name), now.get(name), inner)
    elif before != now:
        yield key, before, now


def _hash_of_episodes(file: EpisodeFile, chosen: Iterable[int], views: tuple[str, ...]) -> str:
    digest, roles = hashlib.sha256(), file.roles
    digest.update(repr((file.task, file.action_kind, file.control_period_s)).encode())
    digest.update(repr(file.depth_range_m).encode())
    for index in chosen:
        episode = file.read(index, ())
        arrays = [getattr(episode, key) for key in STATES]
        some = np.unique([0, len(episode) // 2, len(episode)])
        arrays += [file.frames(index, view, some) for view in views]
        said = [roles[index], episode.seed, episode.info.get("proprio")]
        digest.update(repr(tuple(word for word in said if word is not None)).encode())
        for array in arrays:
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _hash_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise VilpError(f"{path} cannot be read ({error})") from error


def _put(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text)
    draft.replace(path)
